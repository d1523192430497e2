/// The futures in the order in which they become done, those that are done already first.
///
/// ```swift
/// for future in asCompleted(futures) { print(try future.result()) }          // blocks
/// for await future in asCompleted(futures) { print(try await future.value) } // suspends
/// ```
///
/// A future that was passed twice comes out twice. O(1) and one allocation a future; leaving the loop early leaves
/// nothing behind. Cancelling the task that iterates asynchronously ends the sequence; the futures go on.
public func asCompleted<Success>(_ futures: some Sequence<Future<Success>>) -> CompletedFutures<Success> {
  CompletedFutures(futures: Array(futures))
}

/// The sequence that ``asCompleted(_:)`` makes. Each iteration starts anew.
public struct CompletedFutures<Success: Sendable>: Sequence, AsyncSequence, Sendable {
  public typealias Element = Future<Success>

  let futures: [Future<Success>]

  public func makeIterator() -> Iterator { Iterator(futures) }

  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(futures) }

  /// Blocks in ``next()`` until another future is done.
  public struct Iterator: IteratorProtocol {
    private let futures: [Future<Success>]
    private let queue: CompletionQueue<Success>

    init(_ futures: [Future<Success>]) {
      self.futures = futures
      queue = CompletionQueue(futures)
    }

    public mutating func next() -> Future<Success>? {
      let position: Int? = queue.next()
      return position.map { futures[$0] }
    }
  }

  /// Suspends in ``next()`` until another future is done; ends when the task is cancelled.
  public struct AsyncIterator: AsyncIteratorProtocol {
    private let futures: [Future<Success>]
    private let queue: CompletionQueue<Success>

    init(_ futures: [Future<Success>]) {
      self.futures = futures
      queue = CompletionQueue(futures)
    }

    public mutating func next() async -> Future<Success>? {
      let position: Int? = await queue.next()
      return position.map { futures[$0] }
    }
  }
}
