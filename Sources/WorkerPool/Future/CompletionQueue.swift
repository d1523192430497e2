/// Futures of one group in the order in which they become done: what `asCompleted` and `wait` stand on.
///
/// Each future that is not done yet gets one waiter, which puts the future's position in the queue; a reader blocks or
/// suspends until the queue has something for it. Nothing is left behind in futures that outlive the reader: ``cancel()``
/// takes the waiters out again.
final class CompletionQueue<Success: Sendable>: Sendable {
  private struct State {
    /// Positions of done futures that were not taken yet, oldest first.
    var ready: [Int] = []
    var taken = 0
    /// Completed when `ready` gets something; nil while nobody waits.
    var signal: Promise<Void>?
  }

  private let futures: [Future<Success>]
  private let nodes: [WaiterNode]
  private let state = Locked(State())

  init(_ futures: [Future<Success>]) {
    self.futures = futures
    nodes = futures.map { _ in WaiterNode() }
    for (position, (future, node)) in zip(futures, nodes).enumerated() {
      node.waiter = .callback { [weak self] in self?.append(position) }
      if !future.add(node) { append(position) }
    }
  }

  deinit { cancel() }

  /// Takes the waiters out of the futures that are not done.
  func cancel() {
    for (future, node) in zip(futures, nodes) { _ = future.remove(node) }
  }

  private func append(_ position: Int) {
    let signal = state.withLock { state in
      state.ready.append(position)
      return state.signal.take()
    }
    signal?.succeed(())
  }

  /// What a reader does next.
  private enum Step {
    case take(Int)
    case wait(Future<Void>)
    case end
  }

  private func step() -> Step {
    state.withLock { state in
      if state.taken < state.ready.count {
        defer { state.taken += 1 }
        return .take(state.ready[state.taken])
      }
      if state.taken == futures.count { return .end }
      let signal = state.signal ?? Promise<Void>()
      state.signal = signal
      return .wait(signal.future)
    }
  }

  /// The position of the next done future; nil when all were taken or the deadline has passed.
  func next(deadline: MonotonicInstant = .never) -> Int? {
    while true {
      switch step() {
      case .take(let position): return position
      case .end: return nil
      case .wait(let signal): if !signal.blockAnyway(until: deadline) { return nil }
      }
    }
  }

  /// The position of the next done future; nil when all were taken or the task was cancelled.
  func next() async -> Int? {
    while true {
      switch step() {
      case .take(let position): return position
      case .end: return nil
      case .wait(let signal): if await !signal.waitUntilDone() { return nil }
      }
    }
  }
}
