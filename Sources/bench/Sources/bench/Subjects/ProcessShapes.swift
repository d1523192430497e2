// The benches of processes as far as they are the same for all subjects.
import BenchReport
import BenchedPrimes
import Foundation

/// What `process-payload` moves: 1 MiB in which no two neighbours are alike.
let largeResult = (0..<1 << 20).map { UInt8(truncatingIfNeeded: $0 &* 31) }

/// n large results, one at a time.
func payload<Bytes: Collection<UInt8> & Sendable>(_ n: Int, _ trip: @escaping () throws -> Bytes) -> Workload {
  Workload {
    var result: Bytes?
    for _ in 0..<n {
      result = try trip()
      try check(result?.count ?? 0, is: largeResult.count)
    }
    return { [result] in
      try check(result.map(Array.init) == largeResult, is: true)
      return [:]
    }
  }
}

/// n deaths, one after another; `gap` kills a worker, and returns how long after it died the next task began.
func respawn(_ n: Int, _ gap: @escaping () throws -> Int) -> Workload {
  Workload {
    let gaps = try (0..<n).map { _ in Double(try gap()) }
    return {
      try check(gaps.first { $0 <= 0 }, is: nil)
      return [
        "wall_ns": gaps.reduce(0, +), "p50_ns": percentile(0.5, of: gaps) ?? 0,
        "p99_ns": percentile(0.99, of: gaps) ?? 0,
      ]
    }
  }
}

/// How many times each count of primes is done in the main job of the seed, and in the benches after it.
private let repetitions = 4

/// The kernel's count below n, four times, cut into pieces of equal cost; `sum` adds up what the kernel says for each.
func processPrimes(_ n: Int, _ sum: @escaping ([Range<UInt32>]) throws -> Int) -> Workload {
  let pieces = equalCostRanges(below: UInt32(n), count: 16)
  let ranges = (0..<repetitions).flatMap { _ in pieces }
  let expected = repetitions * primeCounts(upTo: n)[n]
  return Workload {
    let found = try sum(ranges)
    return {
      try check(found, is: expected)
      return [:]
    }
  }
}

/// The primes below n, counted four times by the kernel of the `primes` program; `count` answers for each limit.
func seedPrimes(_ n: Int, _ count: @escaping ([UInt32]) throws -> [Int]) -> Workload {
  let limits = Array(repeating: UInt32(n), count: repetitions)
  let expected = Array(repeating: primeCounts(upTo: n)[n], count: repetitions)
  return Workload {
    let found = try count(limits)
    return {
      try check(found, is: expected)
      return [:]
    }
  }
}

/// A point in time that processes share: made before they are forked.
struct SharedStamp: @unchecked Sendable {
  // SAFETY: a page that is never unmapped; a task writes it before its worker dies, and the host reads it after it was
  // told of the death.
  private let page: UnsafeMutablePointer<Int>

  init() throws {
    let address = mmap(nil, MemoryLayout<Int>.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)
    guard let address, address != MAP_FAILED else { throw failure(of: "mmap") }
    page = address.assumingMemoryBound(to: Int.self)
  }

  func now() { page.pointee = nanoseconds(CLOCK_MONOTONIC) }
  var value: Int { page.pointee }
}
