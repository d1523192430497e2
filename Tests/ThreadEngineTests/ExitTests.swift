import CStress
import CWorkerPool
import Testing
import ThreadTestSupport

/// Jobs that end their thread (`pthread_exit`) in place of returning.
@Suite(.timeLimit(.minutes(5))) struct ExitTests {
  @Test(arguments: [1, 2, 4]) func aJobThatEndsItsThreadIsToldOnce(workers: Int) throws {
    let name = "exits\(workers)"
    let pool = try EnginePool(workers: UInt32(workers), name: name)
    let marks = Marks(600)
    for index in 0..<marks.count {
      let ends = job(cs_exit_thread, marks.bytes + index)
      #expect(wp_thread_pool_submit(pool.pool, index % 3 == 0 ? ends : marks.job(index)) == WP_OK)
    }
    // As many run at once as before.
    let gate = pool.block(workers)
    #expect(eventually { threads(named: name + "-").count == workers })
    gate.signal(workers)
    let hooks = pool.hooks
    pool.end()
    for argument in hooks.abandoned.entries { UnsafeMutablePointer<UInt8>(bitPattern: argument)!.pointee += 1 }
    #expect(hooks.abandoned.entries.count == 200)
    #expect(marks.countOnce() == 600)
    #expect(hooks.started.entries.count == workers + 200)
    #expect(hooks.stopped.entries.count == workers + 200)
    #expect(hooks.discarded.entries.isEmpty)
    #expect(eventually { threads(named: name + "-").isEmpty })
  }

  /// What else stands in the deque of such a thread's worker is run.
  @Test(arguments: [1, 3]) func nothingIsLostWithTheThread(workers: Int) throws {
    let pool = try EnginePool(workers: UInt32(workers))
    let marks = Marks(100 * 50)
    let ends = Marks(1)
    for part in 0..<100 {
      pool.submit {
        // The newest runs first.
        for index in 0..<50 { wp_thread_pool_submit(pool.pool, marks.job(part * 50 + index)) }
        wp_thread_pool_submit(pool.pool, job(cs_exit_thread, ends.bytes))
      }
    }
    let gate = pool.block(workers)
    gate.signal(workers)
    #expect(eventually { pool.hooks.abandoned.entries.count == 100 })
    pool.end()
    #expect(marks.countOnce() == 5000)
    #expect(ends.countOnce() == 0)
  }

  /// A spare's thread may be ended as well, also again and again while it is needed.
  @Test func aSpareGoesOn() throws {
    let pool = try EnginePool(workers: 1, name: "exitspare", spares: 1)
    let told = Marks(200)
    let blocked = Semaphore()
    let gate = Semaphore()
    pool.submit {
      blockedForOthers {
        blocked.signal()
        gate.wait()
      }
    }
    blocked.wait()
    let ran = Semaphore()
    for index in 0..<told.count {
      #expect(wp_thread_pool_submit(pool.pool, job(cs_exit_thread, told.bytes + index)) == WP_OK)
      pool.submit {
        #expect(wp_thread_pool_current_worker(pool.pool) == Int32(WP_THREAD_POOL_FIRST_SPARE))
        ran.signal()
      }
      ran.wait()
    }
    gate.signal()
    let hooks = pool.hooks
    pool.end()
    #expect(hooks.abandoned.entries == (0..<told.count).map { UInt(bitPattern: told.bytes + $0) })
    #expect(told.countOnce() == 0)
    #expect(eventually { threads(named: "exitspare-").isEmpty })
  }

  /// A thread that ends does not stay counted among the blocked ones.
  @Test func aThreadThatEndsWhileItIsBlocked() throws {
    let pool = try EnginePool(workers: 2, spares: .max)
    for _ in 0..<200 { wp_thread_pool_submit(pool.pool, job(cs_exit_thread_blocked, nil)) }
    #expect(eventually { pool.hooks.abandoned.entries.count == 200 })
    let gate = pool.block()  // the other one is not blocked
    let answered = Semaphore()
    pool.submit {
      let wait = Wait()
      if wait.mayBegin(WP_BLOCKED_FOR_POOL) { wait.end() } else { Issue.record("refused beside a worker at work") }
      answered.signal()
    }
    answered.wait()
    gate.signal()
    pool.end()
  }

  /// Also in a pool that is closed, whose threads end one after another.
  @Test(arguments: [1, 2]) func aDrainingPoolComesToItsEnd(workers: Int) throws {
    for _ in 0..<20 {
      let pool = try EnginePool(workers: UInt32(workers))
      let marks = Marks(60)
      let gate = pool.block(workers)
      for index in 0..<marks.count {
        let ends = job(cs_exit_thread, marks.bytes + index)
        wp_thread_pool_submit(pool.pool, index % 2 == 0 ? ends : marks.job(index))
      }
      wp_thread_pool_close(pool.pool)
      gate.signal(workers)
      #expect(wp_thread_pool_join(pool.pool) == WP_OK)
      #expect(pool.hooks.abandoned.entries.count == 30)
      pool.end()
      #expect(marks.countOnce() == 30)
    }
  }

  /// Fork-join work that is over, or that the thread has taken back, concerns nobody else.
  @Test(arguments: [1, 2] as [UInt32]) func afterForkJoinWorkAJobMayEndItsThread(workers: UInt32) throws {
    let pool = try EnginePool(workers: workers, spares: .max)
    let alone = [CS_EXIT_AFTER_JOIN, CS_EXIT_AFTER_RANGE, CS_EXIT_AFTER_GROUP]
    let stories =
      alone + (workers == 1 ? [CS_EXIT_IN_TAKEN_BACK] : [CS_EXIT_AFTER_STOLEN, CS_EXIT_AFTER_NESTED_STOLEN])
    for round in 0..<100 {
      var story = cs_exit_story(pool: UnsafeMutableRawPointer(pool.pool), kind: stories[round % stories.count])
      withUnsafeMutablePointer(to: &story) { story in
        #expect(wp_thread_pool_submit(pool.pool, job(cs_exit_thread_after, story)) == WP_OK)
        #expect(eventually { pool.hooks.abandoned.entries.count == round + 1 })
      }
    }
    pool.end()
  }

  /// Others use the frames of fork-join work: nothing can go on without them.
  @Test(
    .disabled(if: runsUnderSanitizer, "the sanitizer has its own way to abort"),
    arguments: [
      CS_EXIT_JOIN_OWN, CS_EXIT_JOIN_BESIDE_THIEF, CS_EXIT_JOIN_AFTER_OTHERS, CS_EXIT_JOIN_STOLEN,
      CS_EXIT_RANGE, CS_EXIT_GROUP_OWNER, CS_EXIT_GROUP_CALL, CS_EXIT_GROUP_ELSEWHERE,
    ].map(\.rawValue)) func inForkJoinWorkItEndsTheProcess(place: UInt32)
  {
    var answers = cs_fork_and_exit_thread(cs_exit_place(place))
    #expect(answers.aborted)
    let message = withUnsafeBytes(of: &answers.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    #expect(
      message
        == "swift-worker-pool: a task ended its thread (pthread_exit) in the middle of fork-join work, whose frames others use\n"
    )
  }
}
