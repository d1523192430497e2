/// When ``wait(for:returnWhen:timeout:)`` returns.
public enum WaitCondition: Hashable, Sendable {
  /// When every future is done.
  case allCompleted
  /// When one is.
  case firstCompleted
  /// When one has failed or was cancelled, or all are done.
  case firstError
}

/// Blocks until the futures are done as `condition` says, or the timeout has passed.
///
/// - Parameters:
///   - futures: What to wait for. None: returns at once.
///   - condition: All, the first, or the first that failed or was cancelled.
///   - timeout: How long to wait at most; nil for as long as it takes.
/// - Returns: The futures that are done and those that are not, each in the order they were passed in.
///
/// A timeout is no error: look at `notDone`. Nothing is cancelled. O(futures).
@available(*, noasync, message: "blocks a thread of the cooperative pool; use the async form")
public func wait<Success>(
  for futures: some Sequence<Future<Success>>, returnWhen condition: WaitCondition = .allCompleted,
  timeout: Duration? = nil
) -> (done: [Future<Success>], notDone: [Future<Success>]) {
  let futures = Array(futures)
  let queue = CompletionQueue(futures)
  let deadline = timeout.map { MonotonicInstant.after($0) } ?? .never
  while let position: Int = queue.next(deadline: deadline), !condition.isMet(by: futures[position]) {}
  return partition(futures)
}

/// Suspends until the futures are done as `condition` says; the async form of the function of the same name.
///
/// Cancelling the task ends the wait with what is done by then. For a timeout, race it against a sleep in a task group.
public func wait<Success>(
  for futures: some Sequence<Future<Success>>, returnWhen condition: WaitCondition = .allCompleted
) async -> (done: [Future<Success>], notDone: [Future<Success>]) {
  let futures = Array(futures)
  let queue = CompletionQueue(futures)
  while let position: Int = await queue.next(), !condition.isMet(by: futures[position]) {}
  return partition(futures)
}

extension WaitCondition {
  /// Whether a future that just became done ends the wait.
  fileprivate func isMet<Success>(by future: Future<Success>) -> Bool {
    switch self {
    case .allCompleted: return false
    case .firstCompleted: return true
    case .firstError:
      if case .failure? = future.outcome { return true }
      return false
    }
  }
}

private func partition<Success>(
  _ futures: [Future<Success>]
) -> (done: [Future<Success>], notDone: [Future<Success>]) {
  var done: [Future<Success>] = []
  var notDone: [Future<Success>] = []
  for future in futures {
    if future.isDone { done.append(future) } else { notDone.append(future) }
  }
  return (done, notDone)
}
