/// Runs `body` with a pool of worker processes of its own, and shuts the pool down on every way out.
///
/// ```swift
/// let counts = try withProcessPoolExecutor(maxWorkers: 4) { pool in
///   try pool.map(limits.map { CountPrimes(limit: $0) })
/// }
/// ```
///
/// Returns when all accepted tasks have ended and the processes are gone, also when `body` throws.
///
/// - Parameters:
///   - maxWorkers: Number of processes, 1 to 1024; nil for as many CPUs as the process is granted.
///   - name: What `ps` shows the workers as.
///   - startMethod: How the workers come into being.
///   - configuration: What workers may do and use.
///   - body: Gets the pool.
/// - Throws: what `body` throws, or why the pool could not start; see ``ProcessPoolExecutor``.
@_disfavoredOverload  // so that async code gets the async form also for a body that never suspends
@available(*, noasync, message: "blocks a thread of the cooperative pool; use the async form")
public func withProcessPoolExecutor<Output>(
  maxWorkers: Int? = nil, name: String = "worker", startMethod: ProcessPoolExecutor.StartMethod = .automatic,
  configuration: ProcessPoolExecutor.Configuration = .init(), _ body: (ProcessPoolExecutor) throws -> Output
) throws -> Output {
  let pool = try ProcessPoolExecutor(
    maxWorkers: maxWorkers, name: name, startMethod: startMethod, configuration: configuration)
  defer { pool.shutdown() }
  return try body(pool)
}

/// The async form of the function of the same name: suspends where that one blocks.
public nonisolated(nonsending) func withProcessPoolExecutor<Output>(
  maxWorkers: Int? = nil, name: String = "worker", startMethod: ProcessPoolExecutor.StartMethod = .automatic,
  configuration: ProcessPoolExecutor.Configuration = .init(),
  _ body: nonisolated(nonsending) (ProcessPoolExecutor) async throws -> Output
) async throws -> Output {
  let pool = try ProcessPoolExecutor(
    maxWorkers: maxWorkers, name: name, startMethod: startMethod, configuration: configuration)
  let result: Result<Output, any Error>
  do {
    result = .success(try await body(pool))
  } catch {
    result = .failure(error)
  }
  await pool.shutdown()
  return try result.get()
}
