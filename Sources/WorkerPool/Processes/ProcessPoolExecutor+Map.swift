// `map` is never a loop of `submit`: inputs travel in chunks, one task for each, so that a tiny task does not pay for
// a round trip between processes.

extension ProcessPoolExecutor {
  /// Runs all jobs and returns their outputs in the jobs' order. Blocks the calling thread.
  ///
  /// - Parameters:
  ///   - jobs: Pulled as workers have room, so a lazy sequence is never held as a whole.
  ///   - chunkSize: How many jobs travel together and run on one worker, at least 1. nil for a quarter of each worker's
  ///     share; chunks of a sequence that does not know its length grow as it goes on, to 256.
  /// - Throws: The first error in the jobs' order, when no job of this call runs any more; what had not begun by then
  ///   is cancelled. A worker's death fails its whole chunk.
  @available(*, noasync, message: "use the async overload, which does not block")
  public func map<J: Job>(_ jobs: some Sequence<J>, chunkSize: Int? = nil) throws -> [J.Output] {
    try map(chunks: Chunks(of: jobs, chunkSize: chunkSize, workers: maxWorkers)) { try pool.submit(chunk: $0) }
  }

  /// Calls `function` with every input in the workers, and returns the outputs in the inputs' order. As
  /// `map`.
  @available(*, noasync, message: "use the async overload, which does not block")
  public func map<Input, Output>(
    _ function: FunctionHandle<Input, Output>, _ inputs: some Sequence<Input>, chunkSize: Int? = nil
  ) throws -> [Output] {
    try map(chunks: Chunks(of: inputs, chunkSize: chunkSize, workers: maxWorkers)) {
      try pool.submit(function, chunk: $0)
    }
  }

  /// The async form: suspends where the other one blocks. Cancelling the calling task takes back all jobs that have
  /// not begun and throws `CancellationError`; jobs that run go on, unheard.
  public nonisolated(nonsending) func map<J: Job>(
    _ jobs: some Sequence<J>, chunkSize: Int? = nil
  ) async throws -> [J.Output] {
    let chunks = try Chunks(of: jobs, chunkSize: chunkSize, workers: maxWorkers)
    return try await ChunkedMap(workers: maxWorkers).outputs(of: chunks) { try pool.submit(chunk: $0) }
  }

  /// The async form of calling a function with every input. Cancellation as with jobs.
  public nonisolated(nonsending) func map<Input, Output>(
    _ function: FunctionHandle<Input, Output>, _ inputs: some Sequence<Input>, chunkSize: Int? = nil
  ) async throws -> [Output] {
    let chunks = try Chunks(of: inputs, chunkSize: chunkSize, workers: maxWorkers)
    return try await ChunkedMap(workers: maxWorkers).outputs(of: chunks) { try pool.submit(function, chunk: $0) }
  }

  private func map<Input, Output>(
    chunks: consuming some IteratorProtocol<[Input]>, submit: ([Input]) throws -> Future<[Output]>
  ) throws -> [Output] {
    let map = ChunkedMap<Output>(workers: maxWorkers)
    while let progress = map.fill(from: &chunks, submit: submit) { try progress.result() }
    return try map.outputs()
  }
}
