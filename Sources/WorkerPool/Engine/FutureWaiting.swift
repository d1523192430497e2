import CWorkerPool

// Who waits for a future: nodes in its list, and threads that sleep on its state word.

extension Future {
  // MARK: The list of waiters

  /// Sleeps until the lock bit is clear; returns a fresh value of the word.
  @usableFromInline
  func waitForUnlock(_ value: UInt32) -> UInt32 {
    if value & Flag.contended == 0 {
      let (exchanged, found) = word.weakCompareExchange(
        expected: value, desired: value | Flag.contended, ordering: .relaxed)
      guard exchanged else { return found }
    }
    _ = word.wait(while: value | Flag.contended, deadline: .never)
    return word.load(ordering: .relaxed)
  }

  /// Runs `body` with the list locked. False, without running it, when the future is done.
  private func withWaiters(_ body: (inout WaiterList) -> Void) -> Bool {
    var current = word.load(ordering: .acquiring)
    while true {
      if current & Phase.done != 0 { return false }
      if current & Flag.locked != 0 {
        current = waitForUnlock(current)
        continue
      }
      let (exchanged, found) = word.weakCompareExchange(
        expected: current, desired: current | Flag.locked, successOrdering: .acquiring, failureOrdering: .acquiring)
      if exchanged { break }
      current = found
    }
    body(&waiters)
    let listed = waiters.isEmpty ? 0 : Flag.listed
    current = word.load(ordering: .relaxed)
    while true {
      let next = (current & ~(Flag.locked | Flag.contended | Flag.listed)) | listed
      let (exchanged, found) = word.weakCompareExchange(expected: current, desired: next, ordering: .releasing)
      if exchanged { break }
      current = found
    }
    if current & Flag.contended != 0 { word.wakeAll() }
    return true
  }

  /// Adds a waiter. False when the future is done, or the node was abandoned: the waiter will not be told.
  func add(_ node: WaiterNode) -> Bool {
    var added = false
    let open = withWaiters { list in
      guard !node.isAbandoned else { return }
      if node.isThread { list.prepend(node) } else { list.append(node) }
      added = true
    }
    return open && added
  }

  /// Takes a waiter out. Returns it if it was waiting and will not be told any more. A node that was not added yet
  /// never will be.
  func remove(_ node: WaiterNode) -> Waiter? {
    var removed: Waiter?
    _ = withWaiters { list in
      node.isAbandoned = true
      guard node.isListed else { return }
      list.remove(node)
      removed = node.waiter.take()
    }
    return removed
  }

  // MARK: Blocking

  /// Whether the task waits in the pool that the calling thread is a worker of.
  var isOfOwnPool: Bool { origin != 0 && origin == poolOfThread }

  /// Whether the future is the parent's of this process, in which alone there is somebody to complete it.
  var isFromBeforeFork: Bool { forks != forkGeneration }

  /// Why waiting for the future would never end, where that is known.
  @usableFromInline
  var reasonNotToWait: WorkerPoolError? { !isDone && isFromBeforeFork ? .futureOfParent : nil }

  /// Likewise for a wait that blocks the calling thread.
  var reasonNotToBlock: WorkerPoolError? {
    if let reasonNotToWait { return reasonNotToWait }
    return source?.waitDeadlocks == true ? .waitInCallback : nil
  }

  /// Blocks until the future is done or the deadline has passed; returns whether it is done. For a task that the caller has
  /// tried to run itself (``runHere(alsoInSwiftTask:)``).
  ///
  /// On any worker, has a spare take its place in its pool meanwhile. A deadline that has passed: looks once.
  ///
  /// - Throws: ``WorkerPoolError/Code/wouldDeadlock`` on a worker of the task's own pool, without a deadline, when every thread
  ///   of the pool waits for work of the pool; and in a callback that keeps the future's process pool from completing it.
  ///   ``WorkerPoolError/Code/forked`` for a future of the parent's.
  @usableFromInline
  func block(until deadline: MonotonicInstant) throws -> Bool {
    if isDone { return true }
    if let reason = reasonNotToBlock { throw reason }
    if deadline.hasPassed { return isDone }
    do {
      return try sleep(until: deadline, for: isOfOwnPool && deadline.isNever ? .ownPool : .others)
    } catch {
      // No other thread is left: better in the middle of a Swift task than not at all.
      guard runHere(alsoInSwiftTask: true) else { throw error }
      return true
    }
  }

  /// The same, and nothing else.
  func sleep(until deadline: MonotonicInstant, for what: BlockedFor) throws -> Bool {
    Delivery.ofThread.deliverAll()
    if spin(until: deadline) { return true }
    do {
      return try whileBlocked(for: what) { thread in
        switch what {
        case .ownPool: try sleepAsWaiter(thread)
        case .others: sleepOnWord(until: deadline)
        }
      }
    } catch {
      if isDone { return true }
      throw error
    }
  }

  private func spin(until deadline: MonotonicInstant) -> Bool {
    guard let source else { return word.spin(until: Phase.done, deadline: deadline) & Phase.done != 0 }
    if !isDone, deadline.leavesTimeToSpin { word.withAddress { source.spin(on: $0, until: Phase.done) } }
    return isDone
  }

  /// Sleeps until the future is done, in its list of waiters: so that the engine can refuse the wait. True.
  private func sleepAsWaiter(_ thread: BlockedThread) throws -> Bool {
    let node = WaiterNode(.thread(thread))
    guard add(node), !thread.sleepUnlessRefused() else { return true }
    if remove(node) != nil { throw WorkerPoolError.endlessWait }
    // The future is done, and somebody is about to wake this thread, whose frame the wake uses.
    thread.sleep()
    return true
  }

  /// Sleeps on the state word until the future is done or the deadline has passed; returns whether it is done.
  private func sleepOnWord(until deadline: MonotonicInstant) -> Bool {
    if let source { word.withAddress { source.sleep(on: $0, until: Phase.done, deadline: deadline) } }
    var current = word.load(ordering: .acquiring)
    while current & Phase.done == 0 {
      if current & Flag.blocked == 0 {
        let (exchanged, found) = word.weakCompareExchange(
          expected: current, desired: current | Flag.blocked, successOrdering: .relaxed, failureOrdering: .acquiring)
        guard exchanged else {
          current = found
          continue
        }
        current |= Flag.blocked
      }
      let inTime = word.wait(while: current, deadline: deadline)
      current = word.load(ordering: .acquiring)
      if !inTime { break }
    }
    return current & Phase.done != 0
  }

  // MARK: Helping

  /// On a worker of the task's own pool, runs the task on top of a wait for it, unless somebody else has begun it, it was
  /// cancelled, too little of the stack is left, or the wait is that of a Swift task, whose task-local values and cancellation
  /// are not this task's. Returns whether it ran here.
  ///
  /// - Parameter alsoInSwiftTask: Where no other thread could run it.
  @inlinable
  final func runHere(alsoInSwiftTask: Bool = false) -> Bool {
    guard mayRunHere(alsoInSwiftTask: alsoInSwiftTask), begin() else { return false }
    givePlaceBack()
    let (code, context) = payload.words
    let result: Result<Success, any Error>
    let visit: Visit
    do {
      let body = payload.move(as: TaskBody<Success>.self)
      visit = beginVisit()
      result = Result { try body.run() }
    }
    visit.endBody()
    sayFreed(code: code, context: context)
    finish(with: result)
    visit.end()
    return true
  }

  @usableFromInline
  final func mayRunHere(alsoInSwiftTask: Bool) -> Bool {
    isOfOwnPool && wp_thread_remaining_stack() > minimumInlineStack && (alsoInSwiftTask || !isInSwiftTask)
  }

  /// Has the queue forget the task, which was begun here. What stands in the queue captures the future and nothing else, and
  /// so is a cell with this address (``ThreadPool/submitTask(_:)``).
  @usableFromInline
  final func givePlaceBack() { wp_thread_pool_note_begun(Unmanaged.passUnretained(self).toOpaque()) }

  /// Until the result takes its place the payload is free.
  @usableFromInline
  final func beginVisit() -> Visit {
    let (visit, kept) = Visit.begin(self)
    payload.words = kept
    return visit
  }
}

extension Future: HelpedTask {
  func failAbandoned() -> Delivery.Mark {
    let outer = payload.words
    finish(throwing: WorkerPoolError.threadEnded)
    return outer
  }
}

private var isInSwiftTask: Bool { withUnsafeCurrentTask { $0 != nil } }

/// A worker runs an awaited task on its own stack only while so many bytes are left; the task itself needs some.
private let minimumInlineStack = 256 << 10
