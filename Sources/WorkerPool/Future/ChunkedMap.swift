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
    var pace = Pace()
  }

  @usableFromInline let state = Locked(State())
  @usableFromInline let window: Int

  @usableFromInline
  init(workers: Int) { window = chunksInFlight(workers: workers) }

  /// Submits chunks until the window is full, the source is empty or something has failed. Returns what to wait for
  /// before the next call, or nil when there is nothing left to wait for.
  @inlinable
  func fill<Base: IteratorProtocol>(
    from chunks: inout Chunks<Base>, submit: ([Base.Element]) throws -> Future<[Output]>
  ) -> Future<Void>? {
    while true {
      switch next(isAtEnd: chunks.isAtEnd) {
      case .take(let pace):
        // Outside the lock: the sequence is the caller's code.
        guard let inputs = chunks.next(at: pace) else { continue }
        let chunk = appendChunk()
        do {
          watch(try submit(inputs), of: chunk, count: inputs.count)
        } catch {
          finish(chunk, with: .failure(error), after: nil)
        }
      case .wait(let progress): return progress
      case .stop: return nil
      }
    }
  }

  /// Submits everything from async code and returns the outputs. Cancelling the calling task takes back what has not
  /// begun.
  @inlinable
  nonisolated(nonsending) func outputs<Base: IteratorProtocol>(
    of chunks: consuming Chunks<Base>, submit: ([Base.Element]) throws -> Future<[Output]>
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

  /// What ``fill(from:submit:)`` does next.
  @usableFromInline
  enum Step: Sendable {
    /// Takes a chunk, with elements as fast as this.
    case take(Pace)
    /// Waits until the next chunk ends.
    case wait(Future<Void>)
    case stop
  }

  /// In one look: chunks may end at any moment.
  @usableFromInline
  func next(isAtEnd: Bool) -> Step {
    state.withLock { state in
      if !isAtEnd, state.failure == nil, state.inFlight < window { return .take(state.pace) }
      guard state.inFlight > 0 else { return .stop }
      let waiter = Promise<Void>()
      state.waiter = waiter
      return .wait(waiter.future)
    }
  }

  /// On a worker of the pool that has the chunks: runs the first one that nobody has begun, or else blocks until the first one
  /// that has not ended has.
  ///
  /// - Parameter progress: What ``fill(from:submit:)`` has returned.
  @usableFromInline
  func work(awaiting progress: Future<Void>) throws {
    let pending = state.withLock { state in state.pending.sorted { $0.key < $1.key }.map(\.value) }
    for chunk in pending where chunk.runHere() { return }
    do {
      if let chunk = pending.first(where: { !$0.isDone }) {
        _ = try chunk.block(until: .never)
      } else {
        _ = try progress.block(until: .never)
      }
    } catch {
      cancel()
      throw error
    }
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
  func watch(_ future: Future<[Output]>, of chunk: Int, count: Int) {
    let isUseless = state.withLock { state in
      state.pending[chunk] = future
      return state.failure != nil
    }
    future.addDoneCallback { [self] future in
      var result = future.outcome ?? .failure(CancellationError())
      if case .success(let outputs) = result, outputs.count != count {
        // A worker that a task has damaged.
        let message = "\(count) inputs of map came back as \(outputs.count) outputs"
        result = .failure(WorkerPoolError(code: .coding, message: message))
      }
      finish(chunk, with: result, after: future.source?.runNanoseconds)
    }
    if isUseless { future.cancel() }
  }

  @usableFromInline
  func finish(_ chunk: Int, with result: Result<[Output], any Error>, after nanoseconds: UInt64?) {
    let (waiter, useless) = state.withLock { state -> (Promise<Void>?, [Future<[Output]>]) in
      state.inFlight -= 1
      state.pending[chunk] = nil
      var useless: [Future<[Output]>] = []
      switch result {
      case .success(let outputs):
        state.results[chunk] = outputs
        if let nanoseconds { state.pace.note(outputs.count, took: nanoseconds) }
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

/// How long elements take, by those that have ended, the latest most of all.
@usableFromInline
struct Pace: Sendable {
  @usableFromInline var elements = 0
  @usableFromInline var nanoseconds: UInt64 = 0

  @usableFromInline init() {}

  mutating func note(_ count: Int, took time: UInt64) {
    elements = elements / 2 + count
    nanoseconds = nanoseconds / 2 + min(time, 1 << 60)
  }

  /// How many elements take so long, at least 1; nil before any has ended.
  @usableFromInline
  func elements(in time: UInt64) -> Int? {
    guard elements > 0 else { return nil }
    return Int(min(max(1, Double(time) * Double(elements) / Double(max(1, nanoseconds))), 1e9))
  }
}

/// How ``Chunks`` are cut.
@usableFromInline
enum ChunkSize {
  case fixed(Int)
  /// By the number of elements: a quarter of a worker's share, so that uneven chunks even out. Of a sequence that does
  /// not know its length, the share of what was pulled so far.
  case share
  /// By the time that elements take, once that is known: so much for each chunk that the way to a worker and back does
  /// not count, and never more than half of a worker's share of what is left, so that all end together. (Guided
  /// self-scheduling: Polychronopoulos, Kuck, IEEE Trans. Computers 36(12), 1987; bounded by time.)
  case time
}

/// Cuts a sequence into arrays, pulling no element before its chunk is asked for.
@usableFromInline
struct Chunks<Base: IteratorProtocol> {
  @usableFromInline var base: Base
  @usableFromInline let size: ChunkSize
  @usableFromInline let workers: Int
  /// The length of the sequence, 0 if it does not know.
  @usableFromInline let count: Int
  @usableFromInline var pulled = 0
  /// Whether the sequence has ended.
  @usableFromInline var isAtEnd = false

  /// Chunks of sequences whose length nobody knows grow up to this size.
  @inlinable
  static var largestGuess: Int { 256 }

  /// What a chunk cut by time takes; a hundred times the way to a worker and back, or more.
  @inlinable
  static var nanosecondsPerChunk: UInt64 { 1_000_000 }

  /// - Parameter chunkSize: nil for what `otherwise` says.
  @inlinable
  init<Source: Sequence>(
    of source: Source, chunkSize: Int?, otherwise size: ChunkSize = .share, workers: Int
  ) throws where Source.Iterator == Base {
    self.size = try checkedSize(chunkSize, "chunkSize").map(ChunkSize.fixed) ?? size
    self.workers = workers
    count = source.underestimatedCount
    base = source.makeIterator()
  }

  @inlinable
  mutating func next(at pace: Pace = Pace()) -> [Base.Element]? {
    let size = nextSize(at: pace)
    var chunk: [Base.Element] = []
    if pulled < count { chunk.reserveCapacity(min(size, count - pulled)) }
    while chunk.count < size, let element = base.next() { chunk.append(element) }
    pulled += chunk.count
    isAtEnd = chunk.isEmpty
    return chunk.isEmpty ? nil : chunk
  }

  @inlinable
  func nextSize(at pace: Pace) -> Int {
    let guess = min(max(1, pulled / (4 * workers)), Self.largestGuess)
    switch size {
    case .fixed(let size): return size
    case .share: return count > 0 ? (count - 1) / (4 * workers) + 1 : guess
    case .time:
      guard let timed = pace.elements(in: Self.nanosecondsPerChunk) else { return 1 }
      return min(timed, pulled < count ? (count - pulled - 1) / (2 * workers) + 1 : guess)
    }
  }
}
