// `map` is never a loop of `submit`: elements travel in chunks, one future each.

extension ThreadPoolExecutor {
  /// Applies `transform` to every element on the pool's threads and returns the outputs in the elements' order. Blocks
  /// the calling thread; on a worker of this pool, that worker does its part of the work.
  ///
  /// - Parameters:
  ///   - elements: Pulled as workers have room, so a lazy sequence is never held as a whole.
  ///   - chunkSize: How many elements one task takes, at least 1. nil for a quarter of each worker's share, so that
  ///     uneven chunks even out; chunks of a sequence that does not know its length grow as it goes on, to 256.
  ///   - transform: Called once for each element, several calls at once.
  /// - Throws: The first error in the elements' order, when no call of `transform` runs any more; what had not begun by
  ///   then is cancelled. ``WorkerPoolError`` with ``WorkerPoolError/Code/shutDown`` or
  ///   ``WorkerPoolError/Code/invalidArgument``; with ``WorkerPoolError/Code/wouldDeadlock`` on a worker as
  ///   ``Future/result()``, in which case calls that have begun still run.
  @inlinable
  @_disfavoredOverload  // collections have a better one below; the rules of ranking do not see it
  @available(*, noasync, message: "blocks a thread of the cooperative pool; use the async overload")
  public func map<Element: Sendable, Output: Sendable>(
    _ elements: some Sequence<Element>, chunkSize: Int? = nil,
    _ transform: @escaping @Sendable (Element) throws -> Output
  ) throws -> [Output] {
    var chunks = try Chunks(of: elements, chunkSize: chunkSize, workers: maxWorkers)
    let map = ChunkedMap<Output>(workers: maxWorkers)
    while let progress = map.fill(from: &chunks, submit: { try submit(chunk: $0, transform) }) {
      if currentWorkerIndex != nil {
        try map.work(awaiting: progress)
      } else {
        try progress.result()
      }
    }
    return try map.outputs()
  }

  /// As the `map` over any sequence, for collections that know their elements' places: chunks are cut on the spot, by
  /// whoever is free, and outputs are written where they belong. Nothing is allocated for an element or a chunk. The calling
  /// thread takes part as in ``join(_:_:)``.
  ///
  /// - Parameters:
  ///   - elements: Read from several threads at once.
  ///   - chunkSize: The fewest elements worth a thief's while, at least 1; nil for a 128th of a worker's share.
  ///   - transform: Borrowed: it may use the caller's variables.
  /// - Throws: The first error in the elements' order; elements behind it that had not begun are left out.
  @inlinable
  @inline(__always)  // see ParallelMap
  @available(*, noasync, message: "blocks a thread of the cooperative pool; use the async overload")
  public func map<Elements: RandomAccessCollection & Sendable, Output: Sendable>(
    _ elements: Elements, chunkSize: Int? = nil, _ transform: @Sendable (Elements.Element) throws -> Output
  ) throws -> [Output] {
    let outputs = try elements.withContiguousStorageIfAvailable { elements in
      typealias Map = ParallelMap<BorrowedElements<Elements.Element>, Output>
      return try Map.outputs(of: BorrowedElements(elements), chunkSize: chunkSize, on: self) {
        Map.run($0, $1, $2, transform)
      }
    }
    if let outputs { return outputs }
    typealias Map = ParallelMap<Elements, Output>
    return try Map.outputs(of: elements, chunkSize: chunkSize, on: self) {
      Map.run($0, $1, $2, transform)
    }
  }

  /// The async form: suspends where the other one blocks. Cancelling the calling task takes back all chunks that have
  /// not begun and throws `CancellationError`; chunks that run go on, unheard.
  @inlinable
  public nonisolated(nonsending) func map<Element: Sendable, Output: Sendable>(
    _ elements: some Sequence<Element>, chunkSize: Int? = nil,
    _ transform: @escaping @Sendable (Element) throws -> Output
  ) async throws -> [Output] {
    let chunks = try Chunks(of: elements, chunkSize: chunkSize, workers: maxWorkers)
    return try await ChunkedMap(workers: maxWorkers).outputs(of: chunks) { try submit(chunk: $0, transform) }
  }

  /// Runs all jobs and returns their outputs in the jobs' order. As `map` with `{ try $0.run() }`.
  @inlinable
  @available(*, noasync, message: "blocks a thread of the cooperative pool; use the async overload")
  public func map<J: Job>(_ jobs: some Sequence<J>, chunkSize: Int? = nil) throws -> [J.Output] {
    try map(jobs, chunkSize: chunkSize) { try $0.run() }
  }

  /// The async form of running all jobs.
  @inlinable
  public nonisolated(nonsending) func map<J: Job>(
    _ jobs: some Sequence<J>, chunkSize: Int? = nil
  ) async throws -> [J.Output] {
    try await map(jobs, chunkSize: chunkSize) { try $0.run() }
  }

  /// Applies `transform` on the pool's threads while the caller goes through the outputs, in the elements' order.
  ///
  /// ```swift
  /// for result in try pool.mapLazily(lines, parse) { handle(try result.get()) }
  /// ```
  ///
  /// Nothing begins before the first output is asked for. The workers keep a bounded number of chunks ahead of the
  /// reader, so that neither an endless sequence nor a slow reader fills the memory. An element that fails yields a
  /// failure in its place, and the sequence goes on. Leaving the loop cancels what has not begun.
  ///
  /// - Parameters:
  ///   - elements: Pulled on the reader's thread. Iterating twice pulls, and works, twice.
  ///   - chunkSize: As for `map`.
  ///   - transform: Called once for each element, several calls at once.
  /// - Throws: ``WorkerPoolError`` with ``WorkerPoolError/Code/invalidArgument``. A shutdown during the iteration
  ///   yields one failure and ends it.
  @inlinable
  public func mapLazily<Base: Sequence, Output: Sendable>(
    _ elements: Base, chunkSize: Int? = nil, _ transform: @escaping @Sendable (Base.Element) throws -> Output
  ) throws -> LazyMapResults<Base, Output> where Base.Element: Sendable {
    _ = try Chunks(of: elements, chunkSize: chunkSize, workers: maxWorkers)
    let workers = maxWorkers
    return LazyMapResults(
      window: chunksInFlight(workers: workers),
      chunks: { try Chunks(of: elements, chunkSize: chunkSize, workers: workers) },
      submit: { chunk in
        try self.submit { chunk.map { element in Result { try transform(element) } } }
      })
  }

  @inlinable
  func submit<Element: Sendable, Output: Sendable>(
    chunk: [Element], _ transform: @escaping @Sendable (Element) throws -> Output
  ) throws -> Future<[Output]> {
    try submit { try chunk.map(transform) }
  }
}
