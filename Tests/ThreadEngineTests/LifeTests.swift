import CStress
import CWorkerPool
import Glibc
import Testing
import ThreadTestSupport

/// How pools and their threads come to an end: whatever else goes on then, each thread ends, and is joined by exactly one.
@Suite(.timeLimit(.minutes(5))) struct LifeTests {
  // MARK: Blocking in a closed pool

  /// Spares begin and end all the time, on few slots: one that stays in a stack of sleepers when it has ended is woken, or
  /// stands there twice, when its slot is used again.
  @Test(arguments: [1, 2, 3]) func jobsMayBlockWhileTheirPoolDrains(workers: Int) throws {
    for round in 0..<10 {
      let pool = try EnginePool(workers: UInt32(workers), spares: round % 2 == 0 ? 0 : 2)
      let ran = Counter()
      let gate = pool.block(workers)
      for seed in 0..<40 {
        pool.submit {
          for wait in 0..<20 { blockBriefly(seed + wait) }
          ran.add()
        }
      }
      wp_thread_pool_close(pool.pool)
      gate.signal(workers)
      #expect(wp_thread_pool_join(pool.pool) == WP_OK)
      #expect(ran.value == 40)
      pool.end()
    }
  }

  /// The same for work that the pool has seen the last of, so that each spare ends before the next one begins.
  @Test func theLastJobMayBlockAgainAndAgain() throws {
    let pool = try EnginePool(workers: 1, name: "lastjob")
    pool.submit {
      wp_thread_pool_close(pool.pool)
      for _ in 0..<30 {
        blockedForOthers { #expect(eventually { threads(named: "lastjob-").count == 1 }) }
      }
    }
    pool.end()
  }

  @Test func aGuestMayBlockInAClosedPool() throws {
    let pool = try EnginePool(workers: 2, name: "closedguest", guests: true)
    let guest = BlockingGuest(pool)
    // A worker takes the body as long as none sleeps.
    #expect(eventually { guest.enter() })
    pool.end()
    #expect(eventually { threads(named: "closedguest-").isEmpty })
  }

  // MARK: Resizing and closing

  /// Threads that a resize starts beside a close are waited for, and their stacks are given back.
  @Test func whenJoinReturnsNoThreadIsLeft() throws {
    let stack = (5 << 20) + (48 << 10)
    for round in 0..<200 {
      let ends = ThreadEnds()
      let pool = try EnginePool(
        workers: 2, name: "noneleft", stackSize: stack, hooks: Hooks(starting: { ends.watch() }))
      let closing = Semaphore()
      let resizers = RunningThread {
        onThreads(3) { thread in
          var count = 0
          while wp_thread_pool_resize(pool.pool, UInt32(1 + (count * 5 + thread) % 7), nil) == WP_OK {
            count += 1
            if count == 1 + round % 4 { closing.signal() }
          }
        }
      }
      closing.wait()
      wp_thread_pool_close(pool.pool)
      #expect(wp_thread_pool_join(pool.pool) == WP_OK)
      #expect(pool.hooks.stopped.entries.count == pool.hooks.started.entries.count)
      let watched = ends.watched
      resizers.join()
      #expect(ends.watched == watched, "a thread began after the join")
      // Nobody waits for the very end of those that a resize has ended.
      #expect(eventually { ends.ended == watched })
      pool.end()
    }
    #expect(eventually { threads(named: "noneleft-").isEmpty })
    // The C library keeps some stacks of threads that were joined, 40 MiB of them.
    #expect(mappings(of: stack) <= 9)
  }

  /// A thread has ended when what it left in thread-local variables is destroyed.
  @Test func joinWaitsForThreadLocalDestructors() throws {
    for _ in 0..<100 {
      let ends = ThreadEnds()
      let pool = try EnginePool(workers: 3, hooks: Hooks(starting: { ends.watch() }))
      let gate = pool.block(2)
      // Spares, too.
      for _ in 0..<4 { pool.submit { blockBriefly(20) } }
      wp_thread_pool_close(pool.pool)
      gate.signal(2)
      #expect(wp_thread_pool_join(pool.pool) == WP_OK)
      #expect(ends.watched >= 3)
      #expect(ends.ended == ends.watched)
      pool.end()
    }
  }

  // MARK: Releasing

  @Test(arguments: [false, true]) func aReleasedPoolEndsItsThreads(byWorker: Bool) throws {
    let stack = (6 << 20) + ((byWorker ? 80 : 112) << 10)
    let name = byWorker ? "relinside" : "reloutside"
    for round in 0..<150 {
      let ends = ThreadEnds()
      let hooks = Hooks(starting: { ends.watch() })
      let pool = try EnginePool(workers: 2, name: name, stackSize: stack, hooks: hooks)
      let ran = Counter()
      for _ in 0..<4 {
        pool.submit {
          blockBriefly(round)
          ran.add()
        }
      }
      if byWorker {
        pool.submit { wp_thread_pool_release(pool.pool) }
      } else {
        wp_thread_pool_release(pool.pool)
      }
      hooks.wasDestroyed.wait()
      #expect(ran.value == 4)
      #expect(eventually { ends.ended == ends.watched })
      hooks.end()
    }
    #expect(eventually { threads(named: name + "-").isEmpty })
    #expect(mappings(of: stack) <= 9)
  }

  // MARK: Leaving

  /// A spare that fell asleep first, so that a worker stands above it, finds out in its time that it is not needed.
  @Test func aSpareBelowSleepingWorkersEnds() async throws {
    let pool = try EnginePool(workers: 2, name: "below", spin: .max)
    let blocked = Semaphore()
    let gate = Semaphore()
    pool.submit {
      blockedForOthers {
        blocked.signal()
        gate.wait()
      }
    }
    blocked.wait()
    // Both threads that are not blocked are at work; the spare goes to sleep first.
    let gates = [Semaphore(), Semaphore()]
    let busy = Semaphore()
    let atWork = Log<Int>()
    for _ in gates {
      pool.submit {
        let isSpare = wp_thread_pool_current_worker(pool.pool) >= Int32(WP_THREAD_POOL_FIRST_SPARE)
        if !isSpare { atWork.append(currentThreadID()) }
        busy.signal()
        gates[isSpare ? 1 : 0].wait()
      }
    }
    busy.wait(2)
    let spare = try #require(threads(named: "below-4096").first)
    let worker = try #require(threads(named: "below-").first { $0.id == atWork.entries.last })
    #expect(letSleep(spare, gates[1]))
    #expect(letSleep(worker, gates[0]))
    gate.signal()
    var left = 3
    for _ in 0..<300 where left > 2 {
      try await Task.sleep(for: .milliseconds(100))
      left = threads(named: "below-").count
    }
    #expect(left == 2, "a spare is still there 30 s later")
    pool.end()
  }

  /// Signals a gate at which a thread sleeps, and waits until it sleeps again.
  private func letSleep(_ thread: ThreadStatus, _ gate: ThreadTestSupport.Semaphore) -> Bool {
    let stands = eventually { ThreadStatus(id: thread.id)?.state == "S" }
    let sleeps = ThreadStatus(id: thread.id)?.sleeps ?? 0
    gate.signal()
    return stands && eventually { ThreadStatus(id: thread.id).map { $0.state == "S" && $0.sleeps > sleeps } ?? false }
  }

  /// A worker that a resize made one too many stays as long as the others are blocked: nobody else is there.
  @Test(arguments: [UInt32.max, 1]) func aShrunkPoolGoesOnWhileWorkersAreBlocked(spares: UInt32) throws {
    for _ in 0..<50 {
      let pool = try EnginePool(workers: 4, spares: spares)
      let gate = Semaphore()
      let blocked = Semaphore()
      let ended = Semaphore()
      for _ in 0..<3 {
        pool.submit {
          #expect(wp_thread_pool_block_begin() == WP_OK)
          blocked.signal()
          gate.wait()
          wp_thread_pool_block_end()
          ended.signal()
        }
      }
      blocked.wait(3)
      #expect(wp_thread_pool_resize(pool.pool, 1, nil) == WP_OK)
      pool.submit { gate.signal(3) }
      ended.wait(3)
      pool.end()
    }
  }

  /// With spares, too, as many threads are left in the end as are wanted.
  @Test func aShrunkPoolHasNoThreadTooMany() async throws {
    let pool = try EnginePool(workers: 4, name: "shrunkblocked")
    let gate = Semaphore()
    let blocked = Semaphore()
    let ended = Semaphore()
    for _ in 0..<6 {
      pool.submit {
        #expect(wp_thread_pool_block_begin() == WP_OK)
        blocked.signal()
        gate.wait()
        wp_thread_pool_block_end()
        ended.signal()
      }
    }
    blocked.wait(6)
    #expect(wp_thread_pool_resize(pool.pool, 1, nil) == WP_OK)
    pool.submit { gate.signal(6) }
    ended.wait(6)
    var left = 0
    for _ in 0..<300 where left != 1 {
      try await Task.sleep(for: .milliseconds(100))
      left = threads(named: "shrunkblo").count
    }
    #expect(left == 1)
    pool.end()
  }
}

/// A thread from outside that closes a pool and then blocks in it, over and over, each time until its spare is gone.
private final class BlockingGuest: Sendable {
  private let pool: EnginePool
  private let caller = Counter()
  private let wasGuest = Counter()

  init(_ pool: EnginePool) { self.pool = pool }

  /// False if a worker took the place, and nothing was done.
  func enter() -> Bool {
    caller.add(currentThreadID() - caller.value)
    let body = wp_borrowed(first: Unmanaged.passUnretained(self).toOpaque(), second: nil)
    let status = wp_concurrent_perform(
      pool.pool, { guest, _, _, _ in Unmanaged<BlockingGuest>.fromOpaque(guest!).takeUnretainedValue().body() }, body,
      1, 1)
    #expect(status == WP_OK)
    return wasGuest.value == 1
  }

  private func body() {
    guard currentThreadID() == caller.value else { return }
    wasGuest.add()
    wp_thread_pool_close(pool.pool)
    for _ in 0..<30 {
      // The other worker ends; so does the spare, if there is one, as soon as it sees that nothing is left.
      blockedForOthers { #expect(eventually { threads(named: "closedguest-").count <= 1 }) }
    }
  }
}

/// Counts threads, and those that have come to their end, thread-local destructors and all.
private final class ThreadEnds: Sendable {
  private let began = Counter()
  private let over = Counter()
  private let key: pthread_key_t

  init() {
    var key = pthread_key_t()
    let failure = pthread_key_create(&key) { counter in
      // Slow enough to be missed.
      for _ in 0..<50 { sched_yield() }
      Unmanaged<Counter>.fromOpaque(counter!).takeRetainedValue().add()
    }
    precondition(failure == 0)
    self.key = key
  }

  deinit { pthread_key_delete(key) }

  var watched: Int { began.value }
  var ended: Int { over.value }

  /// On the thread to be watched.
  func watch() {
    began.add()
    pthread_setspecific(key, Unmanaged.passRetained(over).toOpaque())
  }
}
