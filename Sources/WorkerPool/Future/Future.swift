extension Future {
  /// Where a future stands.
  public enum State: Hashable, Sendable {
    /// Nobody has begun the task; it can be cancelled.
    case pending
    /// The task runs.
    case running
    /// The task was cancelled before it began and never will.
    case cancelled
    /// The task returned or threw.
    case finished
  }

  /// Blocks the calling thread until the future is done, and returns what the task returned.
  ///
  /// Tasks may wait for tasks, nested as deep as you like. Called on a worker of the pool that the task waits in, this
  /// runs the task itself if nobody has begun it, enough of the stack is left, and it is no Swift task that waits (that does so
  /// only where no other thread is left); otherwise a spare thread takes the worker's place in its pool while it is blocked.
  /// In a done callback, what the thread still has to tell is told first (``addDoneCallback(_:)``).
  ///
  /// - Throws: what the task threw; `CancellationError` when it was cancelled; ``WorkerPoolError`` with
  ///   ``WorkerPoolError/Code/wouldDeadlock`` on a worker, for a task of its own pool, when all workers and all spares of the pool
  ///   wait for such tasks, so that no thread is left to begin one (``WorkerPoolError/systemCall`` says so if a spare's thread
  ///   could not be started), and in a done callback of a process pool for a task of the same pool that has not ended; with
  ///   ``WorkerPoolError/Code/forked`` for a future from before this process was forked by somebody else, unless it was done
  ///   by then; with ``WorkerPoolError/Code/threadEnded`` when the task ended its thread. A wait for anything else,
  ///   promises and other pools among it, goes on for as long as it takes, since something outside of the pool may end it.
  /// - Complexity: O(1); spins for at most 20 µs before it sleeps, and less where that has not paid lately.
  @available(*, noasync, message: "blocks a thread of the cooperative pool; await 'value' instead")
  @inlinable
  public final func result() throws -> Success {
    if !isDone, !runHere() { _ = try block(until: .never) }
    return try settledResult()
  }

  /// Like ``result()``, for at most `timeout`.
  ///
  /// The task goes on when the time is over: cancel the future if it should not begin any more. A worker that runs the
  /// awaited task itself does not stop in the middle of it. A timeout of zero or less looks once, and neither waits nor runs
  /// anything.
  ///
  /// - Throws: as ``result()``, and ``WorkerPoolError`` with the code ``WorkerPoolError/Code/timedOut``. Since its time is
  ///   bounded such a wait is no deadlock: ``WorkerPoolError/Code/wouldDeadlock`` comes in callbacks of process pools alone.
  @available(*, noasync, message: "blocks a thread of the cooperative pool; await 'value' instead")
  @inlinable
  public final func result(timeout: Duration) throws -> Success {
    let deadline = MonotonicInstant.after(timeout)
    guard try isDone || !deadline.hasPassed && runHere() || block(until: deadline) else {
      throw WorkerPoolError(code: .timedOut, message: "no result after \(timeout)")
    }
    return try settledResult()
  }

  /// What the task returned, once it has.
  ///
  /// Cancelling the Swift task that awaits ends this wait alone, with `CancellationError`; the future goes on for
  /// others. Use an executor's `run` to have the work cancelled along with its awaiting task.
  ///
  /// - Throws: what the task threw; `CancellationError` when it, or the wait, was cancelled; ``WorkerPoolError`` with
  ///   ``WorkerPoolError/Code/forked`` or ``WorkerPoolError/Code/threadEnded`` as ``result()``.
  @inlinable
  public final var value: Success {
    get async throws {
      if let reason = reasonNotToWait { throw reason }
      guard await waitUntilDone() else { throw CancellationError() }
      return try settledResult()
    }
  }

  /// Registers a callback for when the future is done.
  ///
  /// Callbacks run in the order of their registration, on the thread that completes or cancels the future; on the
  /// calling thread, at once, when the future is done already. They should be short: the completing thread is a worker,
  /// or the one thread that completes all tasks of a process pool, on which a callback cannot wait for another task of
  /// that pool: ``result()`` and `map` throw ``WorkerPoolError/Code/wouldDeadlock`` there. O(1), one allocation.
  ///
  /// Callbacks never run on top of one another, so that a chain of them may have any length. What a callback brings about
  /// on its own thread is told when the callback has returned, in its order, before the callbacks that were to come next:
  /// the callbacks of a future that it completes, cancels or lets go of, and one that it adds to a future that is done. A
  /// callback that waits for a future, in ``ThreadPoolExecutor/join(_:_:)`` and its like, or in
  /// ``ThreadPoolExecutor/withBlocking(_:)`` has all of this told before it blocks. What waits in other ways, by a semaphore of
  /// its own say, must not wait for what it has brought about.
  public final func addDoneCallback(_ body: @escaping @Sendable (Future<Success>) -> Void) {
    // The list holds the future until it is done: a callback must be able to look at it.
    let node = WaiterNode(.callback { body(self) })
    if !add(node) { Delivery.ofThread.tell(WaiterList(node)) }
  }

  /// Like ``value``, for a task that belongs to the awaiting Swift task: cancelling that one takes the task back if it
  /// has not begun.
  @inlinable
  final var valueOfOwnTask: Success {
    get async throws {
      try await withTaskCancellationHandler {
        try await value
      } onCancel: {
        cancel()
      }
    }
  }

  /// Suspends until the future is done (true) or the current task is cancelled (false).
  @usableFromInline
  final func waitUntilDone() async -> Bool {
    if isDone { return true }
    let node = WaiterNode()
    return await withTaskCancellationHandler {
      await withUnsafeContinuation { continuation in
        node.waiter = .continuation(continuation)
        if !add(node) { continuation.resume(returning: isDone) }
      }
    } onCancel: {
      if case .continuation(let continuation)? = remove(node) { continuation.resume(returning: false) }
    }
  }

  @inlinable
  final func settledResult() throws -> Success {
    guard let outcome else { preconditionFailure("a future's result was read before it was done") }
    return try outcome.get()
  }
}

extension Future: CustomStringConvertible {
  public var description: String { "Future<\(Success.self)>(\(state))" }
}
