/// A place to run ``Job`` values: threads, processes, and later the ranks of an MPI job.
///
/// All requirements may be called from any thread.
public protocol JobExecutor: Sendable {
  /// How many jobs can run at once.
  var maxWorkers: Int { get }

  /// Accepts a job and returns at once.
  ///
  /// Throws ``WorkerPoolError``: `.shutDown` after a shutdown, and whatever else keeps this executor from taking the
  /// job. Errors of the job itself come out of the future.
  func submit<J: Job>(_ job: J) throws -> Future<J.Output>

  /// Runs all jobs and returns their outputs in the jobs' order. Blocks the calling thread.
  ///
  /// - Parameters:
  ///   - jobs: Pulled as workers have room for them, so a lazy sequence is never held as a whole.
  ///   - chunkSize: How many jobs travel together, at least 1; nil leaves the choice to the executor.
  /// - Throws: The first error in the jobs' order, once no job of this call runs any more.
  @available(*, noasync, message: "use the async overload, which does not block")
  func map<J: Job>(_ jobs: some Sequence<J>, chunkSize: Int?) throws -> [J.Output]

  /// As the blocking form, for async code. Cancelling the calling task takes back all jobs that have not begun and
  /// throws `CancellationError`.
  nonisolated(nonsending) func map<J: Job>(_ jobs: some Sequence<J>, chunkSize: Int?) async throws -> [J.Output]

  /// Takes no more work from now on.
  ///
  /// - Parameters:
  ///   - wait: Whether to block until all accepted work has ended.
  ///   - cancelPending: Whether to cancel what has not begun.
  @available(*, noasync, message: "use the async form, which does not block")
  func shutdown(wait: Bool, cancelPending: Bool)

  /// The async form: suspends until all accepted work has ended.
  func shutdown(cancelPending: Bool) async
}

extension JobExecutor {
  /// `map` with a chunk size of the executor's choice.
  @available(*, noasync, message: "use the async overload, which does not block")
  public func map<J: Job>(_ jobs: some Sequence<J>) throws -> [J.Output] {
    try map(jobs, chunkSize: nil)
  }

  /// The async `map` with a chunk size of the executor's choice.
  public nonisolated(nonsending) func map<J: Job>(_ jobs: some Sequence<J>) async throws -> [J.Output] {
    try await map(jobs, chunkSize: nil)
  }

  /// Takes no more work and blocks until what was accepted has ended.
  @available(*, noasync, message: "use the async form, which does not block")
  public func shutdown() { shutdown(wait: true, cancelPending: false) }

  /// Takes no more work and suspends until what was accepted has ended.
  public func shutdown() async { await shutdown(cancelPending: false) }
}
