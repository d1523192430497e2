/// The futures in the order in which they become done, those that are done already first.
///
/// ```swift
/// for future in asCompleted(futures) { print(try future.result()) }          // blocks
/// for await future in asCompleted(futures) { print(try await future.value) } // suspends
/// ```
///
/// A future that was passed twice comes out twice. O(1) and one allocation a future; leaving the loop early leaves
/// nothing behind. Cancelling the task that iterates asynchronously ends the sequence; the futures go on.
///
/// On a worker, a loop that would block runs tasks of the worker's pool among the futures that nobody has begun, one at a
/// time, as ``Future/result()`` does; otherwise a spare takes the worker's place meanwhile.
///
/// The sequence does not throw. Where it would wait for ever it yields a future that is not done, and goes on: then
/// ``Future/result()`` of that future throws the reason. That is when all that is left are tasks of the worker's pool,
/// every thread of which waits for such (``WorkerPoolError/Code/wouldDeadlock``); futures of a process pool in a done
/// callback of that pool (likewise); or futures from before the process was forked by somebody else
/// (``WorkerPoolError/Code/forked``).
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
      while true {
        switch queue.next() {
        case .done(let position): return futures[position]
        case .end, .givenUp: return nil
        case .hopeless: if let position = queue.giveUpOne() { return futures[position] }
        }
      }
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
      while true {
        switch await queue.next() {
        case .done(let position): return futures[position]
        case .end, .givenUp: return nil
        case .hopeless: if let position = queue.giveUpOne() { return futures[position] }
        }
      }
    }
  }
}
