import CStress
import CWorkerPool
import Testing
import ThreadTestSupport

private let firstSpare = Int32(WP_THREAD_POOL_FIRST_SPARE)
private let noSpares = UInt32.max  // WP_NO_SPARES

/// What a wait costs, who takes the place of a worker that waits, and which waits are refused.
@Suite(.timeLimit(.minutes(5))) struct BlockingTests {
  // MARK: Cost

  /// Whoever waits goes to sleep, and so does the spare, twice; nobody else does.
  @Test(arguments: [2, 128]) func aWaitWakesNobodyButASpare(workers: Int) throws {
    let name = "cost\(workers)"
    let pool = try EnginePool(workers: UInt32(workers), name: name)
    let waits = 1000
    let ended = Semaphore()
    pool.hooks.startedOne.wait(workers)
    #expect(eventually { threads(named: name + "-").allSatisfy { $0.state == "S" } })
    let before = sleeps(name)
    pool.submit {
      for _ in 0..<waits {
        let wait = Wait()
        precondition(wait.mayBegin(WP_BLOCKED_FOR_OTHERS))
        #expect(wait.sleep(until: wp_monotonic_now() + 50_000) == WP_BLOCKING_TIMED_OUT)
        wait.end()
      }
      ended.signal()
    }
    ended.wait()
    let perWait = Double(sleeps(name) - before) / Double(waits)
    #expect(perWait <= 4, "\(perWait) context switches for each wait")
    pool.end()
  }

  private func sleeps(_ name: String) -> Int { threads(named: name + "-").reduce(0) { $0 + $1.sleeps } }

  // MARK: Who may wait

  /// A wait that something outside the pool ends is never refused, and needs no spare.
  @Test func aWaitForOthersIsNeverRefused() throws {
    let pool = try EnginePool(workers: 1, spares: 2)
    let waits = (0..<3).map { _ in Wait() }
    let asleep = Semaphore()
    let ended = Semaphore()
    for wait in waits {
      pool.submit {
        #expect(wait.mayBegin(WP_BLOCKED_FOR_OTHERS))
        asleep.signal()
        #expect(wait.sleep() == WP_BLOCKING_WOKEN)
        wait.end()
        ended.signal()
      }
    }
    asleep.wait(3)
    // All three threads wait: this one has to.
    pool.submit { ended.signal() }
    #expect(!ended.tryWait())
    for wait in waits { wait.wake() }
    ended.wait(4)
    pool.end()
  }

  /// A wait for the pool's work is refused to the last thread that does not wait for that, and to nobody else.
  @Test func onlyTheLastWaitForThePoolIsRefused() throws {
    let pool = try EnginePool(workers: 1, spares: 2)
    let waits = (0..<3).map { _ in Wait() }
    let begun = Semaphore()
    let ended = Semaphore()
    let turn = Semaphore()
    let refused = Log<Wait.Refusal?>()
    // The first waits for others, and then, when it is told to, for the pool.
    pool.submit {
      #expect(waits[0].mayBegin(WP_BLOCKED_FOR_OTHERS))
      begun.signal()
      #expect(waits[0].sleep() == WP_BLOCKING_WOKEN)
      waits[0].end()
      // As soon as the others have fallen asleep.
      let error = eventualRefusal()
      refused.append(error)
      turn.signal()
      ended.signal()
    }
    for wait in waits.dropFirst() {
      begun.wait()
      pool.submit {
        if !wait.mayBegin(WP_BLOCKED_FOR_POOL) { Issue.record("refused beside one that waits for others") }
        begun.signal()
        #expect(wait.sleep() == WP_BLOCKING_WOKEN)
        wait.end()
        ended.signal()
      }
    }
    begun.wait()
    waits[0].wake()
    turn.wait()
    waits[1].wake()
    waits[2].wake()
    ended.wait(3)
    #expect(refused.entries == [Wait.Refusal(status: WP_WOULD_DEADLOCK, call: nil, errno: 0)])
    pool.end()
  }

  /// However deep waits are nested, one thread is blocked; and the innermost says what it waits for.
  @Test func nestedWaitsCountOnce() throws {
    let pool = try EnginePool(workers: 1, name: "nestedwaits", spares: 1)
    let ended = Semaphore()
    pool.submit {
      let waits = (0..<4).map { _ in Wait() }
      for wait in waits { #expect(wait.mayBegin(WP_BLOCKED_FOR_OTHERS)) }
      // Its place is taken, once.
      let ran = Semaphore()
      pool.submit {
        #expect(wp_thread_pool_current_worker(pool.pool) == firstSpare)
        let own = Wait()
        // Beside one that waits for others.
        if own.mayBegin(WP_BLOCKED_FOR_POOL) { own.end() } else { Issue.record("refused") }
        ran.signal()
      }
      ran.wait()
      let innermost = Wait()
      #expect(innermost.mayBegin(WP_BLOCKED_FOR_POOL))
      pool.submit {
        // Now both would wait for the pool.
        #expect(eventualRefusal()?.status == WP_WOULD_DEADLOCK)
        innermost.wake()
      }
      #expect(innermost.sleep() == WP_BLOCKING_WOKEN)
      innermost.end()
      for wait in waits.reversed() { wait.end() }
      ended.signal()
    }
    ended.wait()
    // None is counted any more: a wait that begins now finds a spare.
    pool.submit {
      let wait = Wait()
      #expect(wait.mayBegin(WP_BLOCKED_FOR_POOL))
      let ran = Semaphore()
      pool.submit { ran.signal() }
      ran.wait()
      wait.end()
      ended.signal()
    }
    ended.wait()
    #expect(threads(named: "nestedwaits-").count <= 2)
    pool.end()
  }

  /// The calls of a C program nest as well.
  @Test func plainCallsNest() throws {
    let pool = try EnginePool(workers: 1, spares: 1)
    let ended = Semaphore()
    pool.submit {
      for _ in 0..<3 { #expect(wp_thread_pool_block_begin() == WP_OK) }
      let ran = Semaphore()
      pool.submit {
        #expect(wp_thread_pool_block_begin() == WP_WOULD_DEADLOCK)
        ran.signal()
      }
      ran.wait()
      for _ in 0..<3 { wp_thread_pool_block_end() }
      ended.signal()
    }
    ended.wait()
    pool.end()
  }

  @Test func onOtherThreadsNothingIsCounted() {
    for what in [WP_BLOCKED_FOR_POOL, WP_BLOCKED_FOR_OTHERS] {
      let wait = Wait()
      #expect(wait.mayBegin(what))
      #expect(wait.sleep(until: 0) == WP_BLOCKING_TIMED_OUT)
      let waker = RunningThread { wait.wake() }
      #expect(wait.sleep() == WP_BLOCKING_WOKEN)
      #expect(wait.sleep() == WP_BLOCKING_WOKEN)
      wait.end()
      waker.join()
    }
    #expect(wp_thread_pool_block_begin() == WP_OK)
    wp_thread_pool_block_end()
  }

  @Test(.disabled(if: runsUnderSanitizer, "the address space is the sanitizer's"))
  func aSpareThatCannotBeStartedIsNamed() {
    let answers = cs_fork_and_block_without_spare()
    #expect(answers.answered)
    #expect(answers.for_others == Int32(WP_OK.rawValue))
    #expect(answers.for_pool == Int32(WP_SYSTEM_CALL_FAILED.rawValue))
    #expect(answers.names_pthread_create)
    #expect(answers.errno_is_set)
    #expect(answers.after_raise == Int32(WP_OK.rawValue))
  }

  // MARK: Other pools

  /// A worker that waits for another pool's end, or works there, leaves its place to a spare.
  @Test(arguments: 0..<3) func aWaitInAnotherPoolIsCounted(kind: Int) throws {
    let own = try EnginePool(workers: 1)
    let other = try EnginePool(workers: 1)
    let ended = Semaphore()
    // What the other pool runs needs the own one.
    let errand: @Sendable () -> Void = {
      let ran = Semaphore()
      own.submit { ran.signal() }
      ran.wait()
    }
    own.submit {
      switch kind {
      case 0:
        other.submit(errand)
        wp_thread_pool_close(other.pool)
        #expect(wp_thread_pool_join(other.pool) == WP_OK)
      case 1: #expect(other.join(errand, errand) == WP_OK)
      default: #expect(other.perform(4) { _ in errand() } == WP_OK)
      }
      ended.signal()
    }
    ended.wait()
    own.end()
    other.end()
  }
}

/// Waits for the pool, over and over, until that is refused; nil if it is not within 20 s.
private func eventualRefusal() -> Wait.Refusal? {
  let wait = Wait()
  var refusal: Wait.Refusal?
  _ = eventually {
    do {
      try wait.begin(WP_BLOCKED_FOR_POOL)
      wait.end()
    } catch { refusal = error as? Wait.Refusal }
    return refusal != nil
  }
  return refusal
}
