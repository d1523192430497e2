/// Futures of one group in the order in which they become done: what `asCompleted` and `wait` stand on.
///
/// Each future that is not done yet gets one waiter, which puts the future's position in the queue; a reader blocks or
/// suspends until the queue has something for it. A reader that is a worker first runs what it would wait for. Nothing is
/// left behind in futures that outlive the reader: ``cancel()`` takes the waiters out again.
final class CompletionQueue<Success: Sendable>: Sendable {
  private struct State {
    /// Positions of done futures that were not taken yet, oldest first.
    var ready: [Int] = []
    var taken = 0
    /// Futures that are not done, as far as the queue knows, and those of ``pool`` among them.
    var outstanding = 0
    var outstandingOfPool = 0
    /// The first position whose future a reader has not tried to run, and the first that was not given up.
    var untried = 0
    var kept = 0
    /// Completed when `ready` gets something; nil while nobody waits.
    var signal: Promise<Void>?
  }

  /// What a reader gets.
  enum Next {
    case done(Int)
    /// All were taken or given up.
    case end
    /// The deadline has passed, or the task was cancelled.
    case givenUp
    /// What the reader would wait for cannot come about, as long as it waits.
    case hopeless
  }

  private let futures: [Future<Success>]
  private let nodes: [WaiterNode]
  private let state = Locked(State())
  /// The pool that the thread which made the queue is a worker of; 0 for none.
  private let pool = poolOfThread
  private let forks = forkGeneration
  /// Whether futures of the parent's are among them. Those that are not done have no waiter.
  private let hasOlder: Bool

  init(_ futures: [Future<Success>]) {
    self.futures = futures
    nodes = futures.map { _ in WaiterNode() }
    hasOlder = futures.contains { $0.isFromBeforeFork }
    state.withLock { state in
      state.outstanding = futures.count
      state.outstandingOfPool = futures.count { isOfPool($0) }
    }
    for (position, (future, node)) in zip(futures, nodes).enumerated() {
      if future.isFromBeforeFork, !future.isDone { continue }
      node.waiter = .callback { [weak self] in self?.append(position) }
      if !future.add(node) { append(position) }
    }
  }

  deinit { cancel() }

  /// Takes the waiters out of the futures that are not done.
  func cancel() {
    for (future, node) in zip(futures, nodes) where future.forks == forks { _ = future.remove(node) }
  }

  private func append(_ position: Int) {
    let signal = state.withLock { state in
      state.ready.append(position)
      forget(position, in: &state)
      return state.signal.take()
    }
    signal?.succeed(())
  }

  private func forget(_ position: Int, in state: inout State) {
    state.outstanding -= 1
    if isOfPool(futures[position]) { state.outstandingOfPool -= 1 }
  }

  private func isOfPool(_ future: Future<Success>) -> Bool { pool != 0 && future.origin == pool }

  // MARK: Reading

  /// What has come about. Nil when nothing has.
  private func poll() -> Next? {
    state.withLock { state in
      if state.taken < state.ready.count {
        defer { state.taken += 1 }
        return .done(state.ready[state.taken])
      }
      return state.outstanding == 0 ? .end : nil
    }
  }

  /// What is done when ``poll()`` has something. Nil when it has something now.
  private func signal() -> Future<Void>? {
    state.withLock { state in
      guard state.taken == state.ready.count else { return nil }
      let signal = state.signal ?? Promise<Void>()
      state.signal = signal
      return signal.future
    }
  }

  /// The next done future.
  ///
  /// - Parameter needsAll: Whether the reader goes on until all are done.
  func next(deadline: MonotonicInstant = .never, needsAll: Bool = false) -> Next {
    while true {
      if let next = poll() { return next }
      if deadline.hasPassed { return .givenUp }
      if runOne() { continue }
      if isHopelessToBlock(needsAll) { return .hopeless }
      let kind = deadline.isNever && waitsForOwnPool(needsAll) ? BlockedFor.ownPool : .others
      do {
        if let signal = signal(), try !signal.sleep(until: deadline, for: kind) { return .givenUp }
      } catch {
        // As in `Future.block`.
        tryAgain()
        if !runOne(alsoInSwiftTask: true) { return .hopeless }
      }
    }
  }

  /// The next done future.
  func next(needsAll: Bool = false) async -> Next {
    while true {
      if let next = poll() { return next }
      if isHopeless(needsAll) { return .hopeless }
      if let signal = signal(), await !signal.waitUntilDone() { return .givenUp }
    }
  }

  /// On a worker, runs the first task of its pool that nobody has begun. False when there is none.
  private func runOne(alsoInSwiftTask: Bool = false) -> Bool {
    guard pool != 0, pool == poolOfThread else { return false }
    while let position = firstUntried() {
      if futures[position].runHere(alsoInSwiftTask: alsoInSwiftTask) { return true }
    }
    return false
  }

  private func tryAgain() { state.withLock { $0.untried = 0 } }

  private func firstUntried() -> Int? {
    state.withLock { state in
      guard state.untried < futures.count else { return nil }
      defer { state.untried += 1 }
      return state.untried
    }
  }

  /// Whether only the pool of the calling thread can end the wait.
  private func waitsForOwnPool(_ needsAll: Bool) -> Bool {
    let thread = poolOfThread
    guard thread != 0 else { return false }
    let (outstanding, ofPool) = state.withLock { ($0.outstanding, $0.outstandingOfPool) }
    guard thread == pool else { return isDecided(needsAll) { $0.isOfOwnPool } }
    return needsAll ? ofPool > 0 : ofPool == outstanding
  }

  /// Whether the wait cannot end. Looks at the futures only where that can be.
  private func isHopeless(_ needsAll: Bool) -> Bool {
    guard hasOlder || forks != forkGeneration else { return false }
    return isDecided(needsAll) { $0.reasonNotToWait != nil }
  }

  /// Likewise for a wait that blocks the calling thread.
  private func isHopelessToBlock(_ needsAll: Bool) -> Bool {
    guard hasOlder || forks != forkGeneration || Delivery.ofThread.isInCallback else { return false }
    return isDecided(needsAll) { $0.reasonNotToBlock != nil }
  }

  /// Whether one future that is not done has the property, if the reader needs all; else whether all of them have it.
  private func isDecided(_ needsAll: Bool, by has: (Future<Success>) -> Bool) -> Bool {
    let rest = futures.lazy.filter { !$0.isDone }
    return needsAll ? rest.contains(where: has) : rest.allSatisfy(has)
  }

  /// Takes the first future that is not done out of the queue. Nil when there is none, so that ``poll()`` has something.
  func giveUpOne() -> Int? {
    while let position = firstKept() {
      let future = futures[position]
      guard !future.isDone, future.forks != forks || future.remove(nodes[position]) != nil else { continue }
      state.withLock { forget(position, in: &$0) }
      return position
    }
    return nil
  }

  private func firstKept() -> Int? {
    state.withLock { state in
      guard state.kept < futures.count else { return nil }
      defer { state.kept += 1 }
      return state.kept
    }
  }
}
