extension ThreadPoolExecutor {
  /// Where tasks are spawned that ``ThreadPoolExecutor/withScope(_:)`` waits for.
  ///
  /// For the scope's body, and for its tasks; not for other threads, and not when the scope has ended.
  public final class Scope: Sendable {
    private struct State: Sendable {
      var isOpen = true
      var waiting: [@Sendable () throws -> Void] = []
    }

    private let group: GroupAddress
    private let failure = FirstFailure()
    private let state = Locked(State())

    init(_ group: GroupAddress) { self.group = group }

    /// Adds a task, for whichever worker is free.
    ///
    /// Beyond the closure's own context nothing is allocated, but for the list that grows with the tasks that wait. O(1).
    /// An error that the task throws comes out of `withScope`, if it is the first. When thousands of tasks wait already,
    /// one of them is run before this returns: do not spawn with a lock held.
    public func spawn(_ body: @escaping @Sendable () throws -> Void) {
      state.withLock { state in
        precondition(state.isOpen, "a task was spawned in a scope that had ended")
        state.waiting.append(body)
      }
      group.spawn()
    }

    /// The engine calls this once for each spawn.
    func runNext() {
      guard let body = state.withLock({ $0.waiting.popLast() }) else {
        preconditionFailure("a scope was to run more tasks than it was given")
      }
      attempt(body)
    }

    func attempt(_ body: () throws -> Void) {
      do {
        try body()
      } catch {
        failure.record(error, at: 0)
      }
    }

    func close() throws {
      state.withLock { $0.isOpen = false }
      try failure.rethrow()
    }
  }
}
