/// One `map` call: cuts a sequence into chunks, keeps a bounded number of them with the workers, and puts what comes
/// back in order.
///
/// The driver (the thread or task that called `map`) alternates between ``fill(from:submit:)`` and waiting for the
/// future that it returns; completions arrive on other threads. Chunks are waited for as they end and not in order,
/// so that a slow one does not keep the others' places from being refilled.
@usableFromInline
final class ChunkedMap<Output: Sendable>: Sendable {
  @usableFromInline
  struct State: Sendable {
    /// By chunk; nil until it has ended well.
    var results: [[Output]?] = []
    var pending: [Int: Future<[Output]>] = [:]
    /// Chunks that were taken from the source and have not ended. More than `pending.count`: they are counted first.
    var inFlight = 0
    /// The failed chunk that comes first in order.
    var failure: (chunk: Int, error: any Error)?
    var waiter: Promise<Void>?
  }

  @usableFromInline let state = Locked(State())
  @usableFromInline let window: Int

  @usableFromInline
  init(workers: Int) { window = chunksInFlight(workers: workers) }

  /// Submits chunks until the window is full, the source is empty or something has failed. Returns what to wait for
  /// before the next call, or nil when there is nothing left to wait for.
  @inlinable
  func fill<Input>(
    from chunks: inout some IteratorProtocol<[Input]>, submit: ([Input]) throws -> Future<[Output]>
  ) -> Future<Void>? {
    while let chunk = reserveChunk(from: &chunks) {
      do {
        let future = try submit(chunk.inputs)
        watch(future, of: chunk.index)
      } catch {
        finish(chunk.index, with: .failure(error))
      }
    }
    return progress()
  }

  /// Submits everything from async code and returns the outputs. Cancelling the calling task takes back what has not
  /// begun.
  @inlinable
  nonisolated(nonsending) func outputs<Input>(
    of chunks: consuming some IteratorProtocol<[Input]>, submit: ([Input]) throws -> Future<[Output]>
  ) async throws -> [Output] {
    while let progress = fill(from: &chunks, submit: submit) {
      do {
        try await progress.value
      } catch {
        cancel()
        throw error
      }
    }
    return try outputs()
  }

  /// What is completed when the next chunk ends; nil when none is in flight.
  @usableFromInline
  func progress() -> Future<Void>? {
    state.withLock { state in
      guard state.inFlight > 0 else { return nil }
      let waiter = Promise<Void>()
      state.waiter = waiter
      return waiter.future
    }
  }

  /// The first chunk in order that has not ended.
  @usableFromInline
  var oldestPending: Future<[Output]>? {
    state.withLock { state in state.pending.min { $0.key < $1.key }?.value }
  }

  /// All outputs in order, or the first error in order. Only when ``fill(from:submit:)`` has returned nil.
  @usableFromInline
  func outputs() throws -> [Output] {
    try state.withLock { state in
      if let failure = state.failure { throw failure.error }
      return state.results.flatMap { $0 ?? [] }
    }
  }

  /// Takes back what has not begun; the outputs are of no interest any more.
  @usableFromInline
  func cancel() {
    let pending = state.withLock { state in
      state.failure = (-1, CancellationError())
      return Array(state.pending.values)
    }
    for future in pending { future.cancel() }
  }

  /// The next chunk with its place, nil when none may be submitted now.
  @inlinable
  func reserveChunk<Input>(
    from chunks: inout some IteratorProtocol<[Input]>
  ) -> (index: Int, inputs: [Input])? {
    // Outside the lock: the sequence is the caller's code.
    guard hasRoom, let inputs = chunks.next() else { return nil }
    return (appendChunk(), inputs)
  }

  @usableFromInline
  var hasRoom: Bool { state.withLock { $0.failure == nil && $0.inFlight < window } }

  /// Makes a place for one more chunk and returns its index.
  @usableFromInline
  func appendChunk() -> Int {
    state.withLock { state in
      state.inFlight += 1
      state.results.append(nil)
      return state.results.count - 1
    }
  }

  @usableFromInline
  func watch(_ future: Future<[Output]>, of chunk: Int) {
    let isUseless = state.withLock { state in
      state.pending[chunk] = future
      return state.failure != nil
    }
    future.addDoneCallback { [self] future in
      finish(chunk, with: future.outcome ?? .failure(CancellationError()))
    }
    if isUseless { future.cancel() }
  }

  @usableFromInline
  func finish(_ chunk: Int, with result: Result<[Output], any Error>) {
    let (waiter, useless) = state.withLock { state -> (Promise<Void>?, [Future<[Output]>]) in
      state.inFlight -= 1
      state.pending[chunk] = nil
      var useless: [Future<[Output]>] = []
      switch result {
      case .success(let outputs):
        state.results[chunk] = outputs
      case .failure(let error):
        // Chunks before this one may still fail, and their error would be the one to throw.
        if chunk < state.failure?.chunk ?? .max {
          state.failure = (chunk, error)
          useless = state.pending.filter { $0.key > chunk }.map(\.value)
        }
      }
      defer { state.waiter = nil }
      return (state.waiter, useless)
    }
    for future in useless { future.cancel() }
    waiter?.succeed(())
  }
}

/// A size that the caller may have chosen, or an error that names it.
@usableFromInline
func checkedSize(_ size: Int?, _ name: String) throws -> Int? {
  guard let size, size < 1 else { return size }
  throw WorkerPoolError(code: .invalidArgument, message: "\(name) is \(size) and has to be at least 1")
}

/// How many chunks are with the workers at once: all of a list that was cut by default, and enough to keep every
/// worker busy while the caller wakes up to submit more.
@usableFromInline
func chunksInFlight(workers: Int) -> Int { max(4 * workers, 16) }

/// Cuts a sequence into arrays, pulling no element before its chunk is asked for.
@usableFromInline
struct Chunks<Base: IteratorProtocol>: IteratorProtocol {
  @usableFromInline var base: Base
  @usableFromInline let fixedSize: Int?
  @usableFromInline let parts: Int
  @usableFromInline var pulled = 0

  /// Chunks of sequences whose length nobody knows grow up to this size.
  @inlinable
  static var largestGuess: Int { 256 }

  /// - Parameter chunkSize: nil for a quarter of a worker's share, so that uneven chunks even out. Of a sequence that
  ///   does not know its length, the share of what was pulled so far.
  @inlinable
  init<Source: Sequence>(of source: Source, chunkSize: Int?, workers: Int) throws where Source.Iterator == Base {
    let chunkSize = try checkedSize(chunkSize, "chunkSize")
    parts = 4 * workers
    let count = source.underestimatedCount
    fixedSize = chunkSize ?? (count > 0 ? (count - 1) / parts + 1 : nil)
    base = source.makeIterator()
  }

  @inlinable
  mutating func next() -> [Base.Element]? {
    let size = fixedSize ?? min(max(1, pulled / parts), Self.largestGuess)
    var chunk: [Base.Element] = []
    if fixedSize != nil { chunk.reserveCapacity(size) }
    while chunk.count < size, let element = base.next() { chunk.append(element) }
    pulled += chunk.count
    return chunk.isEmpty ? nil : chunk
  }
}
