import CWorkerPool

/// Where tasks are spawned that ``ThreadPoolExecutor/withScope(_:)`` waits for.
///
/// May be used from the scope's body, and from tasks of the scope, on whichever thread they run; not when the scope has
/// ended.
public final class Scope: Sendable {
  private struct State: Sendable {
    var isOpen = true
    var waiting: [@Sendable () throws -> Void] = []
  }

  private let group: GroupAddress
  private let failure = FirstFailure()
  private let state = Locked(State())

  fileprivate init(_ group: GroupAddress) { self.group = group }

  /// Adds a task, for whichever worker is free.
  ///
  /// Beyond the closure's own context nothing is allocated, but for the list that grows with the tasks that wait. O(1).
  /// An error that the task throws comes out of `withScope`, if it is the first.
  public func spawn(_ body: @escaping @Sendable () throws -> Void) {
    state.withLock { state in
      precondition(state.isOpen, "a task was spawned in a scope that had ended")
      state.waiting.append(body)
    }
    wp_group_spawn(group.pointer)
  }

  /// The engine calls this once for each spawn.
  fileprivate func runNext() {
    guard let body = state.withLock({ $0.waiting.popLast() }) else {
      preconditionFailure("a scope was to run more tasks than it was given")
    }
    attempt(body)
  }

  fileprivate func attempt(_ body: () throws -> Void) {
    do {
      try body()
    } catch {
      failure.record(error, at: 0)
    }
  }

  fileprivate func close() throws {
    state.withLock { $0.isOpen = false }
    try failure.rethrow()
  }
}

private struct GroupAddress: @unchecked Sendable {
  // SAFETY: points to the frame of `ThreadPool.runScope`, which outlives the scope; the engine's functions for groups may
  // be called from the threads that Scope allows.
  let pointer: UnsafeMutablePointer<wp_group>
}

extension ThreadPool {
  /// Runs `body` with a scope on a worker, and returns when all of the scope's tasks have ended.
  func runScope<Output>(_ body: (Scope) throws -> Output) throws -> Output {
    var result: Result<Output, any Error>?
    try perform(count: 1, grain: 1) { _, _ in
      result = Result { try runScopeHere(body) }
    }
    guard let result else { preconditionFailure("a scope's body was not run") }
    return try result.get()
  }

  private func runScopeHere<Output>(_ body: (Scope) throws -> Output) throws -> Output {
    var output: Output?
    var room = wp_group()
    try withUnsafeMutablePointer(to: &room) { room in
      let scope = Scope(GroupAddress(pointer: room))
      let begun = wp_group_begin(
        room, pool, { Unmanaged<Scope>.fromOpaque($0!).takeUnretainedValue().runNext() },
        Unmanaged.passUnretained(scope).toOpaque())
      precondition(begun, "a scope's body runs on a worker")
      scope.attempt { output = try body(scope) }
      wp_group_wait(room)
      try scope.close()
    }
    guard let output else { preconditionFailure("a scope without an error has a result") }
    return output
  }
}
