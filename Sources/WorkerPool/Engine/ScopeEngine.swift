import CWorkerPool

/// The engine's count of a scope's tasks.
struct GroupAddress: @unchecked Sendable {
  // SAFETY: points to the frame of `ThreadPool.runScope`, which outlives the scope.
  fileprivate let pointer: UnsafeMutablePointer<wp_group>

  /// Has ``ThreadPoolExecutor/Scope/runNext()`` called once more.
  func spawn() { wp_group_spawn(pointer) }
}

extension ThreadPool {
  /// Runs `body` with a scope on a worker, and returns when all of the scope's tasks have ended.
  func runScope<Output>(_ body: (ThreadPoolExecutor.Scope) throws -> Output) throws -> Output {
    var result: Result<Output, any Error>?
    try perform(count: 1, grain: 1) { _, _ in
      result = Result { try runScopeHere(body) }
    }
    guard let result else { preconditionFailure("a scope's body was not run") }
    return try result.get()
  }

  private func runScopeHere<Output>(_ body: (ThreadPoolExecutor.Scope) throws -> Output) throws -> Output {
    var output: Output?
    var room = wp_group()
    try withUnsafeMutablePointer(to: &room) { room in
      let scope = ThreadPoolExecutor.Scope(GroupAddress(pointer: room))
      let begun = wp_group_begin(
        room, pool, { Unmanaged<ThreadPoolExecutor.Scope>.fromOpaque($0!).takeUnretainedValue().runNext() },
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
