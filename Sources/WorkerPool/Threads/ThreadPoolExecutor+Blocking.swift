extension ThreadPoolExecutor {
  /// Runs `body`, which may block in a way that the pool does not know of: a semaphore, a `read`, a C library.
  ///
  /// ```swift
  /// let line = try pool.submit {
  ///   try pool.withBlocking { try readLine(from: socket) }
  /// }
  /// ```
  ///
  /// On a worker, a spare takes the worker's place meanwhile, so that the pool goes on with as many tasks as it has workers.
  /// Without it a task that waits for what another task does, by a semaphore say, keeps its worker from all others, and a pool
  /// whose workers all wait so stands still. What waits for futures, in ``Future/result()``, ``join(_:_:)``, `map` or
  /// ``shutdown(wait:cancelPending:)``, need not stand in it.
  ///
  /// Counts for the pool that the calling thread is a worker of, whichever that is; on any other thread it runs `body` and
  /// nothing else. May be called in async code that runs on the pool, too: `body` does not suspend. Calls may be nested. When
  /// all spares are taken (`maxSpares` of the initializer), `body` runs all the same. Something outside of the pool may end
  /// its wait: so such a wait never makes others throw ``WorkerPoolError/Code/wouldDeadlock``.
  ///
  /// - Returns: what `body` returns.
  /// - Throws: what `body` throws, and nothing else.
  /// - Complexity: O(1), about as dear as waking a thread: some microseconds, 50 or so when a spare has to be started. For waits
  ///   that are as a rule longer.
  public func withBlocking<Output, Failure>(_ body: () throws(Failure) -> Output) throws(Failure) -> Output {
    try whileBlocked(body)
  }
}
