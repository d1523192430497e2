// What a task costs in memory while it waits for a worker.
import CLinux
import Dispatch
import Foundation
import Synchronization

/// Counts tasks and adds up their numbers.
final class Tally: Sendable {
  let latch: Latch
  private let sum = Atomic<Int>(0)

  init(_ count: Int) { latch = Latch(count) }

  func count(_ number: Int) {
    sum.add(number, ordering: .relaxed)
    latch.countDown()
  }

  /// Of all, once the latch is open.
  var total: Int { sum.load(ordering: .relaxed) }
}

/// Keeps all workers of a pool waiting, so that what is submitted stays pending.
final class Blockade {
  private let workers: Int
  private let run: (@escaping @Sendable () -> Void) throws -> Void
  private var release = DispatchSemaphore(value: 0)

  init(_ workers: Int, run: @escaping (@escaping @Sendable () -> Void) throws -> Void) {
    self.workers = workers
    self.run = run
  }

  func close() throws {
    let (started, release) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
    for _ in 0..<workers {
      try run {
        started.signal()
        release.wait()
      }
    }
    for _ in 0..<workers { started.wait() }
    self.release = release
  }

  func open() {
    for _ in 0..<workers { release.signal() }
  }
}

/// Tasks whose closure captures a reference and an Int.
func pending(
  _ n: Int, close: @escaping () throws -> Void, open: @escaping () -> Void,
  submit: @escaping (Tally, Int) throws -> Void
) -> Workload {
  pending(n, close: close, open: open) { tally in
    for number in 0..<n { try submit(tally, number) }
    return {}
  }
}

/// The same with futures kept; the array that keeps them does not count. `finish` takes their results.
func pendingFuture<Handle>(
  _ n: Int, close: @escaping () throws -> Void, open: @escaping () -> Void,
  submit: @escaping (Tally, Int) throws -> Handle, finish: @escaping ([Handle?]) throws -> Void
) -> Workload {
  var handles = [Handle?](repeating: nil, count: n)
  return pending(n, close: close, open: open) { tally in
    for number in 0..<n { handles[number] = try submit(tally, number) }
    return {
      try finish(handles)
      for number in 0..<n { handles[number] = nil }
    }
  }
}

/// `submitAll` returns what is left to do after the tasks have run.
private func pending(
  _ n: Int, close: @escaping () throws -> Void, open: @escaping () -> Void,
  submitAll: @escaping (Tally) throws -> () throws -> Void
) -> Workload {
  var resident = 0
  // Later rounds reuse what pool and allocator kept, and seem to need less; so the most that any needed is told.
  var most = 0.0
  let blockade = {
    try close()
    // A freed page that is still here would hide one that is needed.
    malloc_trim(0)
    resident = residentBytes()
  }
  // A full round would leave its memory behind; a blockade alone wakes all threads.
  return Workload(
    warmUp: {
      try blockade()
      open()
    },
    prepare: blockade,
    round: {
      let tally = Tally(n)
      let finish = try submitAll(tally)
      most = max(most, Double(residentBytes() - resident) / Double(n))
      open()
      try tally.latch.wait()
      try finish()
      return {
        try check(tally.total, is: n * (n - 1) / 2)
        return ["bytes": most]
      }
    })
}

/// Resident memory of this process.
private func residentBytes() -> Int {
  guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8),
    let pages = text.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
  else { preconditionFailure("/proc/self/statm tells no resident size") }
  return pages * sysconf(Int32(_SC_PAGESIZE))
}
