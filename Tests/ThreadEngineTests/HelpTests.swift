import CWorkerPool
import Testing
import ThreadTestSupport

private let noSpares = UInt32.max  // WP_NO_SPARES

/// What a thread runs that waits for fork-join work: parts of that, wherever they stand, and nothing else. In pools without
/// spares, where nobody else would come by.
@Suite(.timeLimit(.minutes(5))) struct HelpTests {
  /// The thief of a join's half spawns a call of a group that is waited for only after the join, and that waits for the join's
  /// end.
  @Test func aJoinDoesNotRunTheCallOfAGroup() throws {
    let pool = try EnginePool(workers: 2, spares: noSpares)
    let ended = Semaphore()
    pool.submit {
      let owner = currentThreadID()
      let joined = Semaphore()
      let called = Counter()
      let stolen = Counter()
      let group = Group(pool) { _ in
        called.add()
        blockedForOthers { joined.wait() }
      }
      let status = pool.join {
        // Not asleep: the other half takes a sleeping owner for one that waits in the join.
        #expect(eventually { stolen.value > 0 })
      } _: {
        stolen.add()
        group.spawn()
        // The owner has nothing to do meanwhile.
        #expect(eventually { called.value > 0 || ThreadStatus(id: owner)?.state == "S" })
        #expect(called.value == 0)
      }
      #expect(status == WP_OK)
      joined.signal()
      group.wait()
      #expect(called.value == 1)
      ended.signal()
    }
    ended.wait()
    pool.end()
  }

  // MARK: Groups

  @Test func aCallBelowAJobIsMade() throws {
    let pool = try EnginePool(workers: 1, spares: noSpares)
    let order = Log<String>()
    let ended = Semaphore()
    pool.submit {
      let group = Group(pool) { _ in order.append("call") }
      group.spawn()
      pool.submit {
        order.append("job")
        ended.signal()
      }
      group.wait()
      order.append("waited")
      ended.signal()
    }
    ended.wait(2)
    #expect(order.entries == ["call", "waited", "job"])
    pool.end()
  }

  /// A join sets aside what stands above its other half.
  @Test func aCallThatWasSetAsideIsMade() throws {
    let pool = try EnginePool(workers: 1, spares: noSpares)
    let calls = Counter()
    let ended = Semaphore()
    pool.submit {
      let group = Group(pool) { _ in calls.add() }
      #expect(pool.join({ for _ in 0..<3 { group.spawn() } }, {}) == WP_OK)
      group.wait()
      #expect(calls.value == 3)
      ended.signal()
    }
    ended.wait()
    pool.end()
  }

  /// Two threads: one runs a call of the group, and needs another one made; the other waits for the group.
  @Test(arguments: [false, true]) func anOwnerThatSleepsMakesTheCallThatIsSpawned(counted: Bool) throws {
    let pool = try EnginePool(workers: 2, spares: noSpares)
    let ended = Semaphore()
    for _ in 0..<20 {
      pool.submit {
        let owner = currentThreadID()
        let begun = Semaphore()
        let second = Semaphore()
        let calls = Counter()
        let group = Group(pool) { group in
          if calls.add() > 1 {
            #expect(currentThreadID() == owner)
            second.signal()
            return
          }
          begun.signal()
          #expect(currentThreadID() != owner)
          #expect(eventually { ThreadStatus(id: owner)?.state == "S" })
          group.spawn()
          if counted { blockedForOthers { second.wait() } } else { second.wait() }
        }
        group.spawn()
        begun.wait()
        group.wait()
        #expect(calls.value == 2)
        ended.signal()
      }
      ended.wait()
    }
    pool.end()
  }

  /// Each call spawns the next, while the deque has no room: the stack must not grow with them.
  @Test func aLongChainOfCallsNeedsNoStack() throws {
    let pool = try EnginePool(workers: 1, spares: noSpares)
    let length = 1_000_000
    let ended = Semaphore()
    let ran = Counter()
    pool.submit {
      for _ in 0..<9000 { pool.submit { ran.add() } }
      let calls = Counter()
      let depth = Counter()
      let start = wp_thread_remaining_stack()
      let group = Group(pool) { group in
        let deep = start - wp_thread_remaining_stack()
        if deep > depth.value { depth.add(deep - depth.value) }
        if calls.add() < length, deep < 256 << 10 { group.spawn() }
      }
      group.spawn()
      group.wait()
      #expect(calls.value == length)
      #expect(depth.value < 16 << 10)
      ended.signal()
    }
    ended.wait()
    pool.end()
    #expect(ran.value == 9000)
  }

  // MARK: Giving back

  /// Whoever takes the jobs of a closed pool away hands the halves and pieces of others back to who waits for them.
  @Test(arguments: [1, 2, 3] as [UInt32]) func whatIsTakenAwayIsGivenBack(workers: UInt32) throws {
    for round in 0..<40 {
      let pool = try EnginePool(workers: workers, spares: round % 2 == 0 ? noSpares : 0)
      let over = Counter()
      let begun = Semaphore()
      for _ in 0..<4 {
        pool.submit {
          begun.signal()
          #expect(pool.forkAndJoin() == WP_OK)
          over.add()
        }
      }
      begun.wait()
      // Outsiders whose turn does not come are told so.
      let outsiders = RunningThread {
        onThreads(2) { _ in
          var status = WP_OK
          while status == WP_OK { status = pool.forkAndJoin() }
          #expect(status == WP_SHUT_DOWN)
        }
      }
      wp_thread_pool_close(pool.pool)
      while pool.hooks.discarded.entries.count + over.value < 4 { wp_thread_pool_discard_pending(pool.pool) }
      #expect(wp_thread_pool_join(pool.pool) == WP_OK)
      outsiders.join()
      #expect(pool.hooks.discarded.entries.count + over.value == 4)
      pool.end()
    }
  }
}

extension EnginePool {
  /// Joins, ranges and groups in one another, each of which has to do all of its work, or nothing.
  fileprivate func forkAndJoin() -> wp_status {
    let marks = Marks(1000)
    let status = perform(marks.count, grain: 8) { range in
      for index in range { marks.bytes[index] &+= 1 }
      if range.lowerBound % 256 == 0 { #expect(sumByJoins(6) == 1 << 6) }
      if range.lowerBound % 256 == 128 { #expect(callsOfAGroup(50) == 50) }
    }
    #expect(marks.countOnce() == (status == WP_OK ? 1000 : 0))
    return status
  }

  /// On a worker: calls that spawn one another.
  private func callsOfAGroup(_ count: Int) -> Int {
    let (spawned, calls) = (Counter(), Counter())
    let group = Group(self) { group in
      calls.add()
      if spawned.add() <= count { group.spawn() }
    }
    for _ in 0..<3 where spawned.add() <= count { group.spawn() }
    group.wait()
    return calls.value
  }

  /// The number of leaves of a tree of joins.
  private func sumByJoins(_ depth: Int) -> Int {
    guard depth > 0 else { return 1 }
    let sum = Counter()
    #expect(join({ sum.add(sumByJoins(depth - 1)) }, { sum.add(sumByJoins(depth - 1)) }) == WP_OK)
    return sum.value
  }
}
