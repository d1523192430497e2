/// The writing end of a ``Future`` that is completed by hand.
///
/// The first completion wins. A promise whose last reference goes away uncompleted fails its future with
/// ``WorkerPoolError/Code/promiseDropped``, so that nobody waits for ever.
///
/// ```swift
/// let promise = Promise<Reply>()
/// connection.onReply { promise.succeed($0) }
/// let reply = try await promise.future.value
/// ```
///
/// All members may be used from any thread.
public final class Promise<Success: Sendable>: Sendable {
  /// The future that this promise completes.
  public let future: Future<Success>

  public init() { future = Future.make() }

  deinit {
    guard !future.isDone else { return }
    _ = future.complete(
      with: .failure(
        WorkerPoolError(code: .promiseDropped, message: "a Promise<\(Success.self)> was dropped uncompleted")))
  }

  /// Completes the future, telling its waiters and callbacks on this thread.
  ///
  /// - Returns: false when it was completed or cancelled before; `result` is then dropped.
  @discardableResult
  public func complete(with result: Result<Success, any Error>) -> Bool { future.complete(with: result) }

  /// Completes the future with a value; see ``complete(with:)``.
  @discardableResult
  public func succeed(_ value: Success) -> Bool { complete(with: .success(value)) }

  /// Completes the future with an error; see ``complete(with:)``.
  @discardableResult
  public func fail(_ error: any Error) -> Bool { complete(with: .failure(error)) }
}
