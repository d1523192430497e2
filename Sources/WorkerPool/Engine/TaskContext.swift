import CWorkerPool

/// What a task that runs in a worker process can learn about itself: above all, whether it should stop.
///
/// ```swift
/// func run() throws -> Int {
///   var sum = 0
///   for row in rows {
///     try TaskContext.checkStop()
///     sum += work(on: row)
///   }
///   return sum
/// }
/// ```
///
/// A task is asked to stop by its timeout (``TaskOptions/timeout``), by `cancel()` on its future, by the end of the Swift
/// task that awaits it in `run`, and by `shutdown(deadline:)`. The request is a word in memory: a task that does not
/// look is not disturbed. No request outlives the task that it was meant for.
///
/// Threads cannot be ended and know no such requests: outside of a worker process ``current`` is nil, and
/// ``checkStop()-swift.type.method`` does nothing, so that a job may call it wherever it runs.
public struct TaskContext: Sendable {
  private let task: UInt32
  private let deadline: UInt64
  /// Number of the worker in its pool, from 0 to one less than ``ProcessPoolExecutor/maxWorkers``.
  public let workerIndex: Int

  /// The task that runs in this process, nil outside of a worker. May be read on any thread of the worker. O(1).
  public static var current: TaskContext? {
    let task = wp_process_current_task()
    guard task != 0 else { return nil }
    return TaskContext(
      task: task, deadline: wp_process_task_deadline(), workerIndex: Int(wp_process_worker_index()))
  }

  /// Whether the task should stop. Some nanoseconds; false once the task has ended.
  public var isStopRequested: Bool { wp_process_stop_requested(task) }

  /// How much is left of the task's timeout, zero when it is over; nil when it has none.
  public var remainingTime: Duration? {
    guard deadline != .max else { return nil }
    let now = wp_monotonic_now()
    return .nanoseconds(deadline > now ? Int64(clamping: deadline - now) : 0)
  }

  /// Throws `CancellationError` if the task should stop.
  public func checkStop() throws {
    if isStopRequested { throw CancellationError() }
  }

  /// Throws `CancellationError` if the task that runs in this worker should stop; elsewhere does nothing.
  public static func checkStop() throws { try current?.checkStop() }
}
