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
      list.append(node)
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

  /// Blocks until the future is done or the deadline has passed; returns whether it is done.
  ///
  /// On a worker of the task's own pool, runs the task here if nobody has begun it. Otherwise, on any worker, has a spare
  /// take its place in its pool meanwhile.
  ///
  /// - Throws: ``WorkerPoolError/Code/wouldDeadlock`` when there is no spare and nobody else of the pool runs, and in
  ///   a callback that keeps the future's process pool from completing it.
  @usableFromInline
  func block(until deadline: MonotonicInstant) throws -> Bool {
    if isDone { return true }
    if let home, home == wp_thread_pool_current(), wp_thread_remaining_stack() > minimumInlineStack {
      runBody()
      if isDone { return true }
    }
    if let source {
      if source.waitDeadlocks { throw WorkerPoolError.waitInCallback }
      word.withAddress { source.spin(on: $0, until: Phase.done) }
      if isDone { return true }
    } else if word.spin(until: Phase.done) & Phase.done != 0 {
      return true
    }
    let status = wp_thread_pool_block_begin()
    guard status == WP_OK else {
      throw WorkerPoolError(
        code: .wouldDeadlock,
        message: """
          every worker of the pool is blocked and no spare can take the caller's place \
          (\(String(cString: wp_status_name(status)))): waiting would be a deadlock
          """)
    }
    defer { wp_thread_pool_block_end() }
    return sleep(until: deadline)
  }

  /// Like ``block(until:)``, for callers that cannot throw: without a spare they wait all the same.
  func blockAnyway(until deadline: MonotonicInstant) -> Bool {
    (try? block(until: deadline)) ?? sleep(until: deadline)
  }

  private func sleep(until deadline: MonotonicInstant) -> Bool {
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
}

/// A worker runs an awaited task on its own stack only while so many bytes are left; the task itself needs some.
private let minimumInlineStack = 256 << 10
