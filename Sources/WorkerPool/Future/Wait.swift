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
/// A timeout is no error: look at `notDone`. Nothing is cancelled. With a timeout of zero it looks once. O(futures).
///
/// On a worker it runs tasks of the worker's pool among the futures that nobody has begun, in their order and until
/// `condition` is met, as ``Future/result()`` does; one that runs does not stop at the timeout. When nothing is left to run, a
/// spare takes the worker's place while it waits.
///
/// It does not throw. Without a timeout it returns early, with what is done by then, where it would wait for ever: on a
/// worker, for tasks of its pool, when every thread of the pool waits for such; in a done callback of a process pool for
/// futures of that pool; and for futures from before the process was forked by somebody else. For
/// ``WaitCondition/allCompleted`` one such future is enough, for the others all that are not done have to be such.
/// ``Future/result()`` of a future in `notDone` throws the reason.
@available(*, noasync, message: "blocks a thread of the cooperative pool; use the async form")
public func wait<Success>(
  for futures: some Sequence<Future<Success>>, returnWhen condition: WaitCondition = .allCompleted,
  timeout: Duration? = nil
) -> (done: [Future<Success>], notDone: [Future<Success>]) {
  let futures = Array(futures)
  let queue = CompletionQueue(futures)
  let deadline = timeout.map { MonotonicInstant.after($0) } ?? .never
  let needsAll = condition == .allCompleted
  while case .done(let position) = queue.next(deadline: deadline, needsAll: needsAll),
    !condition.isMet(by: futures[position])
  {}
  return partition(futures)
}

/// Suspends until the futures are done as `condition` says; the async form of the function of the same name.
///
/// Cancelling the task ends the wait with what is done by then, and so do futures from before the process was forked by
/// somebody else. For a timeout, race it against a sleep in a task group.
public func wait<Success>(
  for futures: some Sequence<Future<Success>>, returnWhen condition: WaitCondition = .allCompleted
) async -> (done: [Future<Success>], notDone: [Future<Success>]) {
  let futures = Array(futures)
  let queue = CompletionQueue(futures)
  let needsAll = condition == .allCompleted
  while case .done(let position) = await queue.next(needsAll: needsAll), !condition.isMet(by: futures[position]) {}
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
