/// What `mapLazily` returns: the outputs in order, worked out while they are read.
///
/// A blocking `Sequence` and an `AsyncSequence`; each iteration starts anew. Where the reader would wait for ever for a
/// chunk, as ``Future/result()`` says, it reads one failure in the chunk's place. Not `Sendable`: it pulls its elements on
/// the reader's thread.
public struct LazyMapResults<Base: Sequence, Output: Sendable>: Sequence, AsyncSequence {
  public typealias Element = Result<Output, any Error>

  let window: Int
  let chunks: () throws -> Chunks<Base.Iterator>
  let submit: ([Base.Element]) throws -> Future<[Element]>

  @usableFromInline
  init(
    window: Int, chunks: @escaping () throws -> Chunks<Base.Iterator>,
    submit: @escaping ([Base.Element]) throws -> Future<[Element]>
  ) {
    self.window = window
    self.chunks = chunks
    self.submit = submit
  }

  public func makeIterator() -> Iterator { Iterator(state: State(self)) }

  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(state: State(self)) }

  /// Blocks in ``next()`` until the next output is there.
  public struct Iterator: IteratorProtocol {
    let state: State

    public mutating func next() -> Element? {
      while true {
        if let element = state.nextReady() { return element }
        guard let chunk = state.nextChunk() else { return nil }
        do {
          if !chunk.runHere() { _ = try chunk.block(until: .never) }
          state.unpack(chunk)
        } catch {
          state.giveUp(chunk, error)
        }
      }
    }
  }

  /// Suspends in ``next()`` until the next output is there; ends when the task is cancelled.
  public struct AsyncIterator: AsyncIteratorProtocol {
    let state: State

    public mutating func next() async -> Element? {
      while true {
        if let element = state.nextReady() { return element }
        guard let chunk = state.nextChunk() else { return nil }
        if let reason = chunk.reasonNotToWait {
          state.giveUp(chunk, reason)
        } else if await chunk.waitUntilDone() {
          state.unpack(chunk)
        } else {
          return nil
        }
      }
    }
  }

  /// One iteration: chunks in flight, in order, and the rest of the one that is being read.
  final class State {
    private var chunks: Chunks<Base.Iterator>?
    private let submit: ([Base.Element]) throws -> Future<[Element]>
    private let window: Int
    private var inFlight: [Future<[Element]>] = []
    private var oldest = 0
    private var ready: [Element] = []
    private var read = 0

    init(_ results: LazyMapResults) {
      window = results.window
      submit = results.submit
      chunks = try? results.chunks()  // checked when the results were made
    }

    deinit {
      for future in inFlight[oldest...] { future.cancel() }
    }

    func nextReady() -> Element? {
      guard read < ready.count else { return nil }
      defer { read += 1 }
      return ready[read]
    }

    /// The chunk to read next, after the window was filled up behind it; nil at the end.
    func nextChunk() -> Future<[Element]>? {
      while inFlight.count - oldest < window, let chunk = chunks?.next() {
        do {
          inFlight.append(try submit(chunk))
        } catch {
          inFlight.append(.failed(error))
          chunks = nil
        }
      }
      guard oldest < inFlight.count else { return nil }
      return inFlight[oldest]
    }

    /// Makes a done chunk the one that is read.
    func unpack(_ chunk: Future<[Element]>) {
      switch chunk.outcome {
      case .success(let elements): read(elements)
      case .failure(let error): read([.failure(error)])
      case nil: read([])
      }
    }

    /// Reads a failure in place of a chunk that cannot be waited for.
    func giveUp(_ chunk: Future<[Element]>, _ error: any Error) {
      chunk.cancel()
      read([.failure(error)])
    }

    private func read(_ elements: [Element]) {
      oldest += 1
      if oldest == inFlight.count || oldest >= window {
        inFlight.removeFirst(oldest)
        oldest = 0
      }
      read = 0
      ready = elements
    }
  }
}

extension Future {
  /// A future that has failed already.
  static func failed(_ error: any Error) -> Future {
    let future = make()
    _ = future.complete(with: .failure(error))
    return future
  }
}
