/// What one task may do and use. The default asks for nothing.
///
/// A pool has such options for all of its tasks (``ProcessPoolExecutor/Configuration/taskOptions``); those given with a
/// task replace them as a whole.
public struct TaskOptions: Hashable, Sendable {
  /// How long the task may run, from its start in a worker and not from its submission; nil for as long as it likes.
  ///
  /// When the time is over the task is asked to stop (see ``TaskContext``), and once ``gracePeriod`` has passed as well
  /// its worker is killed. The future then fails with ``WorkerPoolError/Code/taskTimedOut``, also if the task answers
  /// by throwing `CancellationError`. Any other result or error that it still comes to is its own.
  ///
  /// Measured on the system's monotonic clock; a machine that is asleep does not count. The pool acts on it between done
  /// callbacks, so that one that blocks delays it. Positive.
  public var timeout: Duration?

  /// How long a task that was asked to stop by its ``timeout`` may take over it; zero kills at once. Not negative.
  public var gracePeriod: Duration

  /// How often the task is run again when a worker dies that runs it: with 2 it is given up, with
  /// ``WorkerPoolError/Code/workerDied``, when it has ended three. Not negative.
  ///
  /// A task with retries may run several times and has to be written for that: what a first attempt has changed in the
  /// world stays changed (*at least once*, where without retries it is *at most once*). A task whose worker was killed
  /// by ``timeout`` or by ``ProcessPoolExecutor/terminate(_:)`` is not run again, nor one that was asked to stop.
  public var retries: Int

  /// Processor time that the task may use, where that is less than ``WorkerLimits/cpuTime``, which says more. Positive.
  public var cpuTime: Duration?

  /// Private memory in bytes that the worker may have while it runs the task, where that is less than
  /// ``WorkerLimits/memory``, which says more. What the worker has already counts, so that too small a limit fails the
  /// task's first allocation.
  public var memory: Int?

  /// Options; a pool or a submission that is given values against the rules above throws
  /// ``WorkerPoolError/Code/invalidArgument``.
  public init(
    timeout: Duration? = nil, gracePeriod: Duration = .milliseconds(100), retries: Int = 0, cpuTime: Duration? = nil,
    memory: Int? = nil
  ) {
    self.timeout = timeout
    self.gracePeriod = gracePeriod
    self.retries = retries
    self.cpuTime = cpuTime
    self.memory = memory
  }
}
