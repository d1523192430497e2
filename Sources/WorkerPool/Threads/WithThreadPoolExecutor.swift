/// Runs `body` with a pool of threads of its own, and shuts the pool down on every way out.
///
/// ```swift
/// let squares = try withThreadPoolExecutor(maxWorkers: 4) { pool in
///   try pool.map(1...1000) { $0 * $0 }
/// }
/// ```
///
/// Returns when all accepted tasks have ended and the threads are gone, also when `body` throws.
///
/// - Parameters:
///   - maxWorkers: Number of threads; nil for as many CPUs as the process is granted.
///   - name: What the threads are called.
///   - body: Gets the pool.
/// - Throws: what `body` throws, or why the pool could not start; see ``ThreadPoolExecutor``.
@_disfavoredOverload  // so that async code gets the async form also for a body that never suspends
@available(*, noasync, message: "blocks a thread of the cooperative pool; use the async form")
public func withThreadPoolExecutor<Output>(
  maxWorkers: Int? = nil, name: String = "worker", _ body: (ThreadPoolExecutor) throws -> Output
) throws -> Output {
  let pool = try ThreadPoolExecutor(maxWorkers: maxWorkers, name: name)
  defer { pool.shutdown() }
  return try body(pool)
}

/// The async form of the function of the same name: suspends where that one blocks.
public nonisolated(nonsending) func withThreadPoolExecutor<Output>(
  maxWorkers: Int? = nil, name: String = "worker",
  _ body: nonisolated(nonsending) (ThreadPoolExecutor) async throws -> Output
) async throws -> Output {
  let pool = try ThreadPoolExecutor(maxWorkers: maxWorkers, name: name)
  let result: Result<Output, any Error>
  do {
    result = .success(try await body(pool))
  } catch {
    result = .failure(error)
  }
  await pool.shutdown()
  return try result.get()
}
