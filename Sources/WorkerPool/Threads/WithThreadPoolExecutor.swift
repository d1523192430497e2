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
///   - maxSpares: How many threads may stand in for workers that block; nil for 256.
///   - name: What the threads are called.
///   - affinity: Which CPUs the threads may use.
///   - blockedSignals: Signals that the threads block, besides those that the calling thread blocks now.
///   - body: Gets the pool.
/// - Throws: what `body` throws, or why the pool could not start; see ``ThreadPoolExecutor``.
@_disfavoredOverload  // so that async code gets the async form also for a body that never suspends
@available(*, noasync, message: "blocks a thread of the cooperative pool; use the async form")
public func withThreadPoolExecutor<Output>(
  maxWorkers: Int? = nil, maxSpares: Int? = nil, name: String = "worker", affinity: Affinity = .none,
  blockedSignals: [Int32] = [], _ body: (ThreadPoolExecutor) throws -> Output
) throws -> Output {
  let pool = try ThreadPoolExecutor(
    maxWorkers: maxWorkers, maxSpares: maxSpares, name: name, affinity: affinity, blockedSignals: blockedSignals)
  defer { pool.shutdown() }
  return try body(pool)
}

/// The async form of the function of the same name: suspends where that one blocks.
public nonisolated(nonsending) func withThreadPoolExecutor<Output>(
  maxWorkers: Int? = nil, maxSpares: Int? = nil, name: String = "worker", affinity: Affinity = .none,
  blockedSignals: [Int32] = [],
  _ body: nonisolated(nonsending) (ThreadPoolExecutor) async throws -> Output
) async throws -> Output {
  let pool = try ThreadPoolExecutor(
    maxWorkers: maxWorkers, maxSpares: maxSpares, name: name, affinity: affinity, blockedSignals: blockedSignals)
  let result: Result<Output, any Error>
  do {
    result = .success(try await body(pool))
  } catch {
    result = .failure(error)
  }
  await pool.shutdown()
  return try result.get()
}
