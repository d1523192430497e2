extension ThreadPoolExecutor {
  /// Submits a task for each element, together: one claim of the queue and one look at sleeping workers for all of them.
  ///
  /// ```swift
  /// let futures = try pool.submit(forEach: urls) { try fetch($0) }
  /// for future in asCompleted(futures) { use(try future.result()) }
  /// ```
  ///
  /// - Returns: their futures, in the elements' order.
  /// - Throws: ``WorkerPoolError`` as `submit` when none was taken. If the pool is shut down in the middle,
  ///   those that were not taken have futures which failed with that error.
  /// - Complexity: O(count).
  @inlinable
  @discardableResult
  public func submit<Element: Sendable, Success>(
    forEach elements: some Sequence<Element>, _ body: @escaping @Sendable (Element) throws -> Success
  ) throws -> [Future<Success>] {
    let futures = elements.map { element in Future.make(home: engine.pool) { try body(element) } }
    guard let (accepted, error) = engine.submitTasks(futures.map { future in { future.answer($0) } }) else {
      return futures
    }
    if accepted == 0 { throw error }
    for future in futures[accepted...] { future.refuse(error) }
    return futures
  }

  /// Submits a task for each element, together, that nobody waits for; see ``execute(_:)``.
  ///
  /// - Throws: as ``execute(_:)`` when not all were taken; the message says how many were, counted from the first.
  /// - Complexity: O(count).
  @inlinable
  public func execute<Element: Sendable>(
    forEach elements: some Sequence<Element>, _ body: @escaping @Sendable (Element) -> Void
  ) throws {
    try engine.submit(elements.map { element in { @Sendable in body(element) } })
  }

  /// Runs `body`, and returns when all tasks have ended that were spawned in the scope it gets.
  ///
  /// ```swift
  /// try pool.withScope { scope in
  ///   for row in 0..<rows { scope.spawn { render(row) } }
  /// }
  /// ```
  ///
  /// Tasks may spawn others. A worker that waits for the end of its scope runs tasks of it; a caller from outside the pool
  /// takes a worker's place as in ``join(_:_:)``, or sleeps while the body runs on one. Where the work is two halves or a range,
  /// ``join(_:_:)`` and ``concurrentPerform(iterations:grain:_:)`` borrow their closures and allocate nothing at all; a
  /// spawned closure outlives the call that spawned it, so that its captures have to live on the heap.
  ///
  /// - Returns: what `body` returned.
  /// - Throws: the first error, in time, of `body` and the tasks; all of them have ended by then, and none is left out.
  ///   ``WorkerPoolError`` as ``join(_:_:)``.
  /// - Complexity: a handful of allocations for the scope.
  @available(*, noasync, message: "blocks a thread of the cooperative pool")
  public func withScope<Output: Sendable>(_ body: @Sendable (Scope) throws -> Output) throws -> Output {
    try engine.runScope(body)
  }
}
