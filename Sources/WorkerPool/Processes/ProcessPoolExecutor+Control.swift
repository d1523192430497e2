/// What a shutdown with a deadline had to do.
public struct ShutdownReport: Hashable, Sendable {
  /// Tasks that ended by themselves, in their own way, after the shutdown had begun.
  public var finished = 0
  /// Tasks that had not begun at the deadline. Their futures are cancelled.
  public var cancelled = 0
  /// Tasks that ran at the deadline and were asked to stop. Each of them is in ``finished`` or ``killed`` as well.
  public var askedToStop = 0
  /// Tasks that ran on through the grace period, and were ended with their workers. Their futures have failed with
  /// ``WorkerPoolError/Code/terminated``.
  public var killed = 0

  public init() {}
}

extension ProcessPoolExecutor {
  /// Shuts the pool down in a bounded time: drains it, then asks, then kills.
  ///
  /// Takes no more work, and lets what was accepted go on until the deadline. Then cancels what has not begun and asks
  /// what runs to stop (see ``TaskContext``), and after the grace period kills the workers of tasks that have not. Blocks
  /// until all processes are gone, and no longer than it takes: a pool without work ends at once.
  ///
  /// In a callback of one of this pool's futures, which runs on the thread that this would wait for, the same happens
  /// in the background, and the report is empty.
  ///
  /// - Parameters:
  ///   - deadline: How long from now tasks may go on undisturbed; zero or less asks at once.
  ///   - gracePeriod: How long tasks may then take over their end.
  /// - Returns: What it had to do.
  @available(*, noasync, message: "blocks a thread of the cooperative pool; use the async form")
  @discardableResult
  public func shutdown(deadline: Duration, gracePeriod: Duration = .milliseconds(100)) -> ShutdownReport {
    pool.shutDown(by: .after(deadline), gracePeriod)
  }

  /// As the form with a duration, with a point in time.
  @available(*, noasync, message: "blocks a thread of the cooperative pool; use the async form")
  @discardableResult
  public func shutdown(
    deadline: ContinuousClock.Instant, gracePeriod: Duration = .milliseconds(100)
  ) -> ShutdownReport {
    pool.shutDown(by: .after(ContinuousClock.now.duration(to: deadline)), gracePeriod)
  }

  /// The async form: suspends where the other one blocks. Cancelling the awaiting task does not end the wait; it is
  /// bounded as it is.
  @discardableResult
  public func shutdown(deadline: Duration, gracePeriod: Duration = .milliseconds(100)) async -> ShutdownReport {
    let end = MonotonicInstant.after(deadline)
    return await withUnsafeContinuation { continuation in
      pool.runOnDetachedThread { [pool] in continuation.resume(returning: pool.shutDown(by: end, gracePeriod)) }
    }
  }

  /// The async form with a point in time.
  @discardableResult
  public func shutdown(
    deadline: ContinuousClock.Instant, gracePeriod: Duration = .milliseconds(100)
  ) async -> ShutdownReport {
    await shutdown(deadline: ContinuousClock.now.duration(to: deadline), gracePeriod: gracePeriod)
  }

  /// Changes how many workers the pool has, while it runs. Does not wait for them.
  ///
  /// ```swift
  /// try pool.resize(maxWorkers: 8)
  /// try pool.resize()  // as many as there are CPUs for now
  /// ```
  ///
  /// Workers that are added take the next places of the pool's ``Affinity``, and start in the background; one that cannot be
  /// started is tried again, and does not break a pool that has others, unless its ``WorkerInitializer`` fails. Workers
  /// that are too many end the task that they run and leave; tasks that they have not begun are begun by others, before any
  /// that wait. A `map` that runs already keeps the number of chunks that it has in flight.
  ///
  /// May be called from any thread, in callbacks too; of several calls at once the last to take effect counts.
  ///
  /// - Parameter maxWorkers: From 1 to 1024; nil for as many as CPUs that the process is granted now.
  /// - Throws: ``WorkerPoolError``: `.invalidArgument` with the number and the pool's limit (which is lower where files may
  ///   not be large: RLIMIT_FSIZE), `.shutDown` once the pool was shut down, `.brokenPool`, `.forked`, `.systemCall`.
  ///   Nothing has changed then.
  /// - Complexity: O(workers), and for nil or with an affinity the reading of the machine's topology.
  public func resize(maxWorkers: Int? = nil) throws {
    try pool.resize(to: maxWorkers)
  }

  /// Ends a task of this pool at once, whatever it is doing.
  ///
  /// A task that has not begun is cancelled. One that runs is killed with its worker, which the pool replaces; its
  /// future fails with ``WorkerPoolError/Code/terminated`` as soon as the worker is gone, unless the task ended by itself
  /// at the same moment. Nothing of the task's own runs any more, no `defer` and no `deinit`. Does not wait. O(1).
  ///
  /// There is no such thing for ``ThreadPoolExecutor``: a thread cannot be ended.
  ///
  /// - Returns: Whether there was something to end: false for a future that is done, and for one of another executor.
  @discardableResult
  public func terminate<Success>(_ future: Future<Success>) -> Bool {
    pool.terminate(future)
  }
}

extension ProcessPool {
  fileprivate func shutDown(by deadline: MonotonicInstant, _ gracePeriod: Duration) -> ShutdownReport {
    close()
    let before = taskCounts
    var report = ShutdownReport()
    switch join(until: deadline) {
    case .ended: break
    case .timedOut:
      report.askedToStop = stopRunning()
      cancelPending()
      report.askedToStop += stopRunning()  // what began in between
      if join(until: .after(gracePeriod)) == .timedOut {
        terminateRunning()
        join()
      }
    case .wouldDeadlock:
      runOnDetachedThread { _ = self.shutDown(by: deadline, gracePeriod) }
      return report
    }
    let after = taskCounts
    report.cancelled = after.discarded - before.discarded
    report.killed = after.terminated - before.terminated
    report.finished = max(0, before.unfinished - report.cancelled - report.killed)
    return report
  }
}
