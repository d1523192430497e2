// Swift tasks on an executor: the benches of the default one and of ours as a TaskExecutor.
import Dispatch
import Foundation
import Synchronization

/// n children of one task group; `run` runs them on the executor.
func taskChildren(
  _ n: Int, _ run: @escaping (_ children: @escaping @Sendable () async -> Int) throws -> Int
) -> Workload {
  let children: @Sendable () async -> Int = {
    await withTaskGroup(of: Int.self) { group in
      for index in 0..<n { group.addTask { index & 1 } }
      return await group.reduce(0, +)
    }
  }
  return Workload {
    let found = try run(children)
    return {
      try check(found, is: n / 2)
      return [:]
    }
  }
}

/// n awaits, one after another, each from an actor with a thread of its own into the executor and back. From outside,
/// since an await that stays on the default executor moves nothing.
func taskAwaits(
  _ n: Int, isInside: @escaping @Sendable () -> Bool,
  run: @escaping (_ awaits: @escaping @Sendable () async -> Int) throws -> Int
) -> Workload {
  let outside = Outside()
  return Workload {
    let found = try run { await outside.hop(n, isInside) }
    return {
      try check(found, is: n * (n - 1) / 2)
      return [:]
    }
  }
}

/// Whether this is a thread on which nothing of `Outside` runs.
@Sendable func isNotOutside() -> Bool { UInt(pthread_self()) != ActorThread.id.load(ordering: .relaxed) }

private actor Outside {
  private let thread = ActorThread()
  nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

  func hop(_ n: Int, _ isInside: @Sendable () -> Bool) async -> Int {
    var sum = 0
    for index in 0..<n { sum += await inside(index, isInside) }
    return sum
  }
}

/// Runs on the task's executor. The question where it is both checks that and keeps the hop from being optimised away.
@inline(never)
private nonisolated func inside(_ index: Int, _ isInside: @Sendable () -> Bool) async -> Int {
  isInside() ? index : -1
}

/// A serial executor with a thread of its own, which ends with the process.
private final class ActorThread: SerialExecutor {
  /// Of the one thread; there is one `Outside` in a process.
  static let id = Atomic<UInt>(0)
  private let jobs = Mutex<[UnownedJob]>([])
  private let arrived = DispatchSemaphore(value: 0)

  init() {
    let thread = Thread { [self] in
      Self.id.store(UInt(pthread_self()), ordering: .relaxed)
      while true {
        arrived.wait()
        let job = jobs.withLock { $0.removeFirst() }
        job.runSynchronously(on: asUnownedSerialExecutor())
      }
    }
    thread.start()
  }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    jobs.withLock { $0.append(job) }
    arrived.signal()
  }
}
