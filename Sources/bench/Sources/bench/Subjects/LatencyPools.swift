// The pools of the latency benches.
import Dispatch
import Foundation
import NIOPosix
import WorkerPool

/// Nil for what this subject does not offer.
func latency(_ bench: LatencyBenchName, of subject: SubjectName, workers: Int, n: Int) throws -> Workload? {
  switch subject {
  case .ours:
    let pool = try ThreadPoolExecutor(maxWorkers: workers)
    return latency(bench, workers: workers, n: n) { task in try pool.execute(task) }
  case .fifo:
    let pool = FIFOPool(workers: workers)
    return latency(bench, workers: workers, n: n) { task in pool.submit(task) }
  case .nio:
    let pool = NIOThreadPool(numberOfThreads: workers)
    pool.start()
    return latency(bench, workers: workers, n: n) { task in pool.submit { _ in task() } }
  case .dispatch:
    // The width of a concurrent queue cannot be set, and libdispatch adds threads for those that block: it soon runs five
    // of these tasks at once. A serial queue runs one. All tasks take the same time, so serial queues that get tasks in
    // turn begin them in the order of a single queue.
    let queues = (0..<workers).map { DispatchQueue(label: "latency-\($0)") }
    let turn = Counter()
    return latency(bench, workers: workers, n: n) { task in queues[turn.next() % workers].async(execute: task) }
  default: return nil
  }
}

/// The reference: a mutex, a condition variable, and threads that each take the oldest task. Its threads end with the
/// process.
private final class FIFOPool: @unchecked Sendable {
  // SAFETY: `tasks` is read and written with `condition` locked.
  private let condition = NSCondition()
  // An array, since no more than some dozens wait.
  private var tasks: [@Sendable () -> Void] = []

  init(workers: Int) {
    for _ in 0..<workers {
      let worker = Thread { while true { self.next()() } }
      worker.start()
    }
  }

  func submit(_ task: @escaping @Sendable () -> Void) {
    condition.lock()
    tasks.append(task)
    condition.unlock()
    condition.signal()
  }

  private func next() -> @Sendable () -> Void {
    condition.lock()
    defer { condition.unlock() }
    while tasks.isEmpty { condition.wait() }
    return tasks.removeFirst()
  }
}
