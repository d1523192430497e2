import CStress
import CWorkerPool
import Testing
import ThreadTestSupport

@Suite struct LifeCycleTests {
  @Test func hooksRunOnceOnEachWorkersOwnThread() throws {
    let pool = try EnginePool(workers: 5)
    let hooks = pool.hooks
    hooks.startedOne.wait(5)
    pool.end()
    let started = hooks.started.entries
    #expect(started.map(\.worker).sorted() == [0, 1, 2, 3, 4])
    #expect(Set(started.map(\.thread)).count == 5)
    #expect(!started.map(\.thread).contains(currentThreadID()))
    #expect(hooks.stopped.entries.count == 5)
    #expect(Set(hooks.stopped.entries) == Set(started))
    #expect(hooks.destroyed.value == 1)
  }

  // MARK: Closing

  @Test func aClosedPoolRefusesAndFinishes() throws {
    let pool = try EnginePool(workers: 1)
    let ran = Counter()
    let gate = Semaphore()
    let began = Semaphore()
    pool.submit {
      began.signal()
      gate.wait()
      // Work of a worker's own is refused as well.
      #expect(pool.submit { ran.add(1000) } == WP_SHUT_DOWN)
    }
    began.wait()
    for _ in 0..<100 { #expect(pool.submit { ran.add() } == WP_OK) }
    #expect(wp_thread_pool_join(pool.pool) == WP_INVALID_ARGUMENT)  // not closed
    wp_thread_pool_close(pool.pool)
    wp_thread_pool_close(pool.pool)
    #expect(pool.submit { ran.add(1000) } == WP_SHUT_DOWN)
    var accepted = 7
    let marks = Marks(1)
    #expect(wp_thread_pool_submit_batch(pool.pool, [marks.job(0)], 1, &accepted) == WP_SHUT_DOWN)
    #expect(accepted == 0)
    gate.signal()
    #expect(wp_thread_pool_join(pool.pool) == WP_OK)
    #expect(ran.value == 100)
    pool.end()
    #expect(marks.countOnce() == 0)
  }

  /// Submitters run into the close: what was accepted runs, what was refused does not.
  @Test func closingUnderFireLosesNothing() throws {
    for round in 0..<200 {
      let pool = try EnginePool(workers: 2)
      let ran = Counter()
      let accepted = Counter()
      let closing = Semaphore()
      let submitters = RunningThread {
        onThreads(2) { _ in
          while pool.submit({ ran.add() }) == WP_OK {
            if accepted.add() == 1 + round * 5 { closing.signal() }
          }
        }
      }
      closing.wait()
      wp_thread_pool_close(pool.pool)
      submitters.join()
      #expect(wp_thread_pool_join(pool.pool) == WP_OK)
      #expect(ran.value == accepted.value)
      pool.end()
    }
  }

  @Test func severalThreadsMayJoin() throws {
    let pool = try EnginePool(workers: 2)
    let gate = pool.block(2)
    wp_thread_pool_close(pool.pool)
    let joined = Counter()
    let joiners = RunningThread {
      onThreads(4) { _ in if wp_thread_pool_join(pool.pool) == WP_OK { joined.add() } }
    }
    #expect(joined.value == 0)
    gate.signal(2)
    joiners.join()
    #expect(joined.value == 4)
    pool.end()
  }

  // MARK: Giving back

  @Test func exactlyWhatDidNotRunIsGivenBack() throws {
    let pool = try EnginePool(workers: 2, spin: .max)
    let marks = Marks(2000)
    let gate = Semaphore()
    let full = Semaphore()
    let began = Semaphore()
    let both = Semaphore()
    for worker in 0..<2 {
      pool.submit {
        began.signal()
        both.wait()  // until both workers are taken: one would steal what the other submits
        // Half into this worker's own deque.
        for index in 0..<500 { wp_thread_pool_submit(pool.pool, marks.job(worker * 500 + index)) }
        full.signal()
        gate.wait()
      }
    }
    began.wait(2)
    both.signal(2)
    full.wait(2)
    for index in 1000..<2000 { wp_thread_pool_submit(pool.pool, marks.job(index)) }
    #expect(wp_thread_pool_discard_pending(pool.pool) == 0)  // not closed
    wp_thread_pool_close(pool.pool)
    let discarded = wp_thread_pool_discard_pending(pool.pool)
    gate.signal(2)
    let hooks = pool.hooks
    pool.end()
    #expect(discarded == 2000)
    let given = hooks.discarded.entries.sorted()
    let areAll = given == (0..<2000).map { UInt(bitPattern: marks.bytes + $0) }
    #expect(areAll)
    #expect(marks.countOnce() == 0)
  }

  /// While workers run what they can, one thread takes back what it can, and they what they come to afterwards: each job
  /// goes one way.
  @Test func takingBackBesideRunningWorkers() throws {
    for _ in 0..<100 {
      let pool = try EnginePool(workers: 2)
      let marks = Marks(5000)
      for index in 0..<marks.count { wp_thread_pool_submit(pool.pool, marks.job(index)) }
      wp_thread_pool_close(pool.pool)
      let discarded = wp_thread_pool_discard_pending(pool.pool)
      wp_thread_pool_join(pool.pool)
      for argument in pool.hooks.discarded.entries {
        UnsafeMutablePointer<UInt8>(bitPattern: argument)!.pointee += 1
      }
      #expect(pool.hooks.discarded.entries.count >= discarded)
      pool.end()
      #expect(marks.countOnce() == 5000)
    }
  }

  // MARK: Joining and releasing

  @Test func aWorkerDoesNotJoinItself() throws {
    let pool = try EnginePool(workers: 2)
    let other = try EnginePool(workers: 1)
    let status = Log<wp_status>()
    let ended = Semaphore()
    pool.submit {
      wp_thread_pool_close(pool.pool)
      status.append(wp_thread_pool_join(pool.pool))
      // Another pool's end can be waited for.
      wp_thread_pool_close(other.pool)
      status.append(wp_thread_pool_join(other.pool))
      ended.signal()
    }
    ended.wait()
    #expect(status.entries == [WP_WOULD_DEADLOCK, WP_OK])
    pool.end()
    other.end()
  }

  @Test func aPoolReleasedByItsOwnWorkerGoesLater() throws {
    let pool = try EnginePool(workers: 2, name: "relself")
    let hooks = pool.hooks
    let ran = Counter()
    let gate = Semaphore()
    pool.submit {
      pool.submit { ran.add() }
      wp_thread_pool_release(pool.pool)
      gate.wait()
      ran.add()
    }
    #expect(!hooks.wasDestroyed.tryWait())  // the job that released it still runs
    gate.signal()
    hooks.wasDestroyed.wait()
    #expect(ran.value == 2)
    #expect(hooks.stopped.entries.count == 2)
    #expect(eventually { threads(named: "relself-").isEmpty })
    #expect(hooks.destroyed.value == 1)
    hooks.end()
  }

  @Test func releasingClosesAndLetsAcceptedWorkRun() throws {
    let pool = try EnginePool(workers: 1)
    let hooks = pool.hooks
    let ran = Counter()
    let gate = pool.block()
    for _ in 0..<50 { pool.submit { ran.add() } }
    wp_thread_pool_release(pool.pool)
    #expect(!hooks.wasDestroyed.tryWait())
    gate.signal()
    hooks.wasDestroyed.wait()
    #expect(ran.value == 50)
    #expect(hooks.destroyed.value == 1)
    #expect(hooks.stopped.entries.count == 1)
    hooks.end()
  }

  @Test func releasingNothingIsAllowed() { wp_thread_pool_release(nil) }

  @Test func aThousandPoolsLeaveNothingBehind() throws {
    let before = openDescriptors()
    for round in 0..<1000 {
      let pool = try EnginePool(workers: 2, name: "leak")
      let ran = Counter()
      pool.submit { ran.add() }
      if round % 2 == 0 {
        pool.end()
      } else {
        wp_thread_pool_release(pool.pool)
        pool.hooks.wasDestroyed.wait()
        pool.hooks.end()
      }
      #expect(ran.value == 1)
    }
    #expect(eventually { threads(named: "leak-").isEmpty })
    // Other tests open descriptors meanwhile, but not a thousand.
    #expect(openDescriptors() - before < 500)
  }

  // MARK: Forks

  @Test func aForkedChildIsTold() throws {
    let pool = try EnginePool(workers: 2)
    let answers = cs_fork_and_use(UnsafeMutableRawPointer(pool.pool))
    #expect(answers.answered)
    #expect(answers.submit == Int32(WP_FORKED.rawValue))
    #expect(answers.join == Int32(WP_FORKED.rawValue))
    // What the child did is no matter to the parent.
    let ran = Semaphore()
    #expect(pool.submit { ran.signal() } == WP_OK)
    ran.wait()
    pool.end()
  }
}
