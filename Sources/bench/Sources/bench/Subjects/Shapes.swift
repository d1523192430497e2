// The benches as far as they are the same for all subjects: what differs comes in as closures.
import BenchReport
import BenchedPrimes
import CPrimeKernel
import Dispatch
import Foundation

/// The main thread submits n tiny tasks, and waits for the last.
func fanout(_ n: Int, _ submit: @escaping (Latch) throws -> Void) -> Workload {
  Workload {
    let latch = Latch(n)
    for _ in 0..<n { try submit(latch) }
    try latch.wait()
    return {
      try latch.check()
      return [:]
    }
  }
}

/// The same from a task that runs in the pool itself.
func fireAndForget(
  _ n: Int, run: @escaping (@escaping @Sendable () -> Void) throws -> Void,
  submit: @escaping @Sendable (Latch) throws -> Void
) -> Workload {
  Workload {
    let latch = Latch(n)
    try run {
      do {
        for _ in 0..<n { try submit(latch) }
      } catch {
        latch.fail(error)
      }
    }
    try latch.wait()
    return {
      try latch.check()
      return [:]
    }
  }
}

/// The same from four threads at once.
func contend(_ n: Int, _ submit: @escaping @Sendable (Latch) throws -> Void) -> Workload {
  let threads = 4
  return Workload {
    let latch = Latch(n)
    for index in 0..<threads {
      let count = n * (index + 1) / threads - n * index / threads
      let thread = Thread {
        do {
          for _ in 0..<count { try submit(latch) }
        } catch {
          latch.fail(error)
        }
      }
      thread.start()
    }
    try latch.wait()
    return {
      try latch.check()
      return [:]
    }
  }
}

/// One task at a time, submitted from outside; `trip` blocks for its result, which is the number it was given.
func pingpong(_ n: Int, _ trip: @escaping (Int) throws -> Int) -> Workload {
  Workload {
    var trips = [Double](repeating: 0, count: n)
    var sum = 0
    var start = nanoseconds(CLOCK_MONOTONIC)
    for index in 0..<n {
      sum += try trip(index)
      // The end of a trip is the beginning of the next: one reading of the clock in each.
      let end = nanoseconds(CLOCK_MONOTONIC)
      trips[index] = Double(end - start)
      start = end
    }
    return { [sum, trips] in
      try check(sum, is: n * (n - 1) / 2)
      return ["p50_ns": percentile(0.5, of: trips) ?? 0, "p99_ns": percentile(0.99, of: trips) ?? 0]
    }
  }
}

/// n trivial elements; `map` makes a new array of their threefold.
func mapUniform(_ n: Int, _ map: @escaping ([Int]) throws -> [Int]) -> Workload {
  let input = Array(0..<n)
  return Workload {
    let output = try map(input)
    return {
      try check(output.count, is: n)
      try check(output.indices.first { output[$0] != $0 * 3 }, is: nil)
      return [:]
    }
  }
}

/// n prime counts of very different size; `map` returns the sum of what the kernel says for each limit.
func mapIrregular(_ n: Int, _ sum: @escaping ([UInt32]) throws -> Int) -> Workload {
  let limits = (1...n).map { UInt32(500 * $0) }
  let counts = primeCounts(upTo: 500 * n)
  let expected = limits.map { counts[Int($0)] }.reduce(0, +)
  return Workload {
    let found = try sum(limits)
    return {
      try check(found, is: expected)
      return [:]
    }
  }
}

/// One prime count, cut into ranges of equal cost; `sum` adds up what the kernel says for each range.
func primes(_ n: Int, _ sum: @escaping ([Range<UInt32>]) throws -> Int) -> Workload {
  let ranges = equalCostRanges(below: UInt32(n), count: 64)
  let expected = primeCounts(upTo: n)[n]
  return Workload {
    let found = try sum(ranges)
    return {
      try check(found, is: expected)
      return [:]
    }
  }
}

/// The kernel that all subjects in native code share.
@Sendable func kernel(_ range: Range<UInt32>) -> Int { Int(prime_kernel_count(range.lowerBound, range.upperBound)) }

/// How many primes there are below each number up to and including `limit`, by a sieve: the right answers, found in
/// another way.
func primeCounts(upTo limit: Int) -> [Int] {
  var isPrime = [Bool](repeating: true, count: max(2, limit))
  (isPrime[0], isPrime[1]) = (false, false)
  for divisor in 2..<isPrime.count where isPrime[divisor] && divisor <= limit / divisor {
    for multiple in stride(from: divisor * divisor, to: isPrime.count, by: divisor) { isPrime[multiple] = false }
  }
  var counts = [0]
  for number in 0..<limit { counts.append(counts[number] + (isPrime[number] ? 1 : 0)) }
  return counts
}

/// n futures are made and kept, then each result is taken; `sum` adds them up, where the i-th is i.
func fanoutFuture(_ n: Int, _ sum: @escaping () throws -> Int) -> Workload {
  Workload {
    let found = try sum()
    return {
      try check(found, is: n * (n - 1) / 2)
      return [:]
    }
  }
}
