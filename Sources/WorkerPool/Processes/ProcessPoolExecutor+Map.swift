// `map` is never a loop of `submit`: inputs travel in chunks, one task for each, so that a tiny task does not pay for
// a round trip between processes.

extension ProcessPoolExecutor {
  /// Runs all jobs and returns their outputs in the jobs' order. As `map(_:chunkSize:options:)`, with the pool's
  /// options.
  @available(*, noasync, message: "use the async overload, which does not block")
  public func map<J: Job>(_ jobs: some Sequence<J>, chunkSize: Int? = nil) throws -> [J.Output] {
    try map(jobs, chunkSize: chunkSize, options: nil)
  }

  /// Runs all jobs and returns their outputs in the jobs' order. Blocks the calling thread.
  ///
  /// - Parameters:
  ///   - jobs: Pulled as workers have room, so a lazy sequence is never held as a whole.
  ///   - chunkSize: How many jobs travel together and run on one worker, at least 1. nil for as many as take
  ///     a millisecond, by those that have ended: one at first, and at most half of a worker's share of what is left.
  ///     Chunks of a sequence that does not know its length grow as it goes on, to 256. With a timeout it is 1: a chunk
  ///     is one task, and its timeout that of the whole chunk.
  ///   - options: What each chunk may do and use; nil for what the pool's configuration says.
  /// - Throws: The first error in the jobs' order, when no job of this call runs any more; what had not begun by then
  ///   is cancelled, and what runs is asked to stop. A worker's death fails its whole chunk.
  @available(*, noasync, message: "use the async overload, which does not block")
  public func map<J: Job>(_ jobs: some Sequence<J>, chunkSize: Int? = nil, options: TaskOptions?) throws -> [J.Output] {
    try map(chunks: chunks(of: jobs, chunkSize, options)) { try pool.submit(chunk: $0, options) }
  }

  /// Calls `function` with every input in the workers, and returns the outputs in the inputs' order. As
  /// `map`.
  @available(*, noasync, message: "use the async overload, which does not block")
  public func map<Input, Output>(
    _ function: FunctionHandle<Input, Output>, _ inputs: some Sequence<Input>, chunkSize: Int? = nil,
    options: TaskOptions? = nil
  ) throws -> [Output] {
    try map(chunks: chunks(of: inputs, chunkSize, options)) { try pool.submit(function, chunk: $0, options) }
  }

  /// The async form of `map` with the pool's options.
  public nonisolated(nonsending) func map<J: Job>(
    _ jobs: some Sequence<J>, chunkSize: Int? = nil
  ) async throws -> [J.Output] {
    try await map(jobs, chunkSize: chunkSize, options: nil)
  }

  /// The async form: suspends where the other one blocks. Cancelling the calling task takes back all jobs that have
  /// not begun, asks those that run to stop, and throws `CancellationError`; jobs that go on do so unheard.
  public nonisolated(nonsending) func map<J: Job>(
    _ jobs: some Sequence<J>, chunkSize: Int? = nil, options: TaskOptions?
  ) async throws -> [J.Output] {
    let chunks = try chunks(of: jobs, chunkSize, options)
    return try await ChunkedMap(workers: maxWorkers).outputs(of: chunks) { try pool.submit(chunk: $0, options) }
  }

  /// The async form of calling a function with every input. Cancellation as with jobs.
  public nonisolated(nonsending) func map<Input, Output>(
    _ function: FunctionHandle<Input, Output>, _ inputs: some Sequence<Input>, chunkSize: Int? = nil,
    options: TaskOptions? = nil
  ) async throws -> [Output] {
    let chunks = try chunks(of: inputs, chunkSize, options)
    return try await ChunkedMap(workers: maxWorkers).outputs(of: chunks) {
      try pool.submit(function, chunk: $0, options)
    }
  }

  private func chunks<Source: Sequence>(
    of source: Source, _ chunkSize: Int?, _ options: TaskOptions?
  ) throws -> Chunks<Source.Iterator> {
    let hasTimeout = options.map { $0.timeout != nil } ?? pool.hasTimeout
    return try Chunks(of: source, chunkSize: chunkSize, otherwise: hasTimeout ? .fixed(1) : .time, workers: maxWorkers)
  }

  private func map<Base: IteratorProtocol, Output>(
    chunks: consuming Chunks<Base>, submit: ([Base.Element]) throws -> Future<[Output]>
  ) throws -> [Output] {
    if pool.waitDeadlocks { throw WorkerPoolError.waitInCallback }
    let map = ChunkedMap<Output>(workers: maxWorkers)
    while let progress = map.fill(from: &chunks, submit: submit) { try progress.result() }
    return try map.outputs()
  }
}
