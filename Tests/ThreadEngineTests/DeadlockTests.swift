import CWorkerPool
import Glibc
import Testing
import ThreadTestSupport

private let noSpares = UInt32.max  // WP_NO_SPARES

/// Waits that would never end, since every thread waits for work of its pool; and waits that end in the same moment in
/// several ways.
@Suite(.timeLimit(.minutes(5))) struct DeadlockTests {
  enum Work: CaseIterable { case join, group, range }

  /// Nobody can refuse fork-join work. So the wait that was there before it is.
  @Test(arguments: Work.allCases) func aStructuredWaitMakesAnEarlierOneRefused(work: Work) throws {
    let pool = try EnginePool(workers: 2, spares: noSpares)
    for _ in 0..<50 {
      let outcome = Log<wp_blocking_outcome>()
      let asleep = Semaphore()
      structuredWait(pool, for: work, after: asleep) {
        let wait = Wait()
        #expect(wait.mayBegin(WP_BLOCKED_FOR_POOL))
        asleep.signal()
        outcome.append(wait.sleep())
        wait.end()
      }
      #expect(outcome.entries == [WP_BLOCKING_REFUSED])
    }
    pool.end()
  }

  /// A wait that begins after the fork-join work's is refused at once.
  @Test(arguments: Work.allCases) func aStructuredWaitIsCounted(work: Work) throws {
    let pool = try EnginePool(workers: 2, spares: noSpares)
    for _ in 0..<50 {
      structuredWait(pool, for: work) {
        let wait = Wait()
        // Until the other thread has come to wait.
        #expect(
          eventually {
            guard wait.mayBegin(WP_BLOCKED_FOR_POOL) else { return true }
            wait.end()
            return false
          })
      }
    }
    pool.end()
  }

  /// A thread that was woken is about to go on, and may well bring about what the one that woke it waits for.
  @Test func whoWasWokenIsNotBlocked() throws {
    let pool = try EnginePool(workers: 2, spares: noSpares)
    let refused = Counter()
    for _ in 0..<500 {
      let (first, second) = (Wait(), Wait())
      let begun = Semaphore()
      let ended = Semaphore()
      pool.submit {
        #expect(first.mayBegin(WP_BLOCKED_FOR_POOL))
        begun.signal()
        #expect(first.sleep() == WP_BLOCKING_WOKEN)
        first.end()
        begun.wait()
        second.wake()
        ended.signal()
      }
      begun.wait()
      pool.submit {
        first.wake()
        let begins = second.mayBegin(WP_BLOCKED_FOR_POOL)
        begun.signal()
        if begins {
          #expect(second.sleep() == WP_BLOCKING_WOKEN)
          second.end()
        } else {
          refused.add()
        }
        ended.signal()
      }
      ended.wait(2)
    }
    #expect(refused.value == 0)
    pool.end()
  }

  /// The same for a thread whose fork-join work has just ended elsewhere: there the next job may wait.
  @Test(arguments: Work.allCases) func whoseWorkHasEndedIsNotBlocked(work: Work) throws {
    let pool = try EnginePool(workers: 2, spares: noSpares)
    let refused = Counter()
    for _ in 0..<300 {
      let wait = Wait()
      let ended = Semaphore()
      structuredWait(pool, for: work) {
        // Until the other thread has come to wait.
        #expect(
          eventually {
            guard wait.mayBegin(WP_BLOCKED_FOR_POOL) else { return true }
            wait.end()
            return false
          })
        // The next job of this thread.
        pool.submit {
          if wait.mayBegin(WP_BLOCKED_FOR_POOL) { wait.end() } else { refused.add() }
          ended.signal()
        }
      }
      ended.wait()
    }
    #expect(refused.value == 0)
    pool.end()
  }

  /// When a closed pool has nothing left to do, and the others have ended, whoever still waits for it waits for nothing.
  @Test(arguments: [0, noSpares], [1, 2, 3]) func theLastThatWaitsInAClosedPoolIsRefused(spares: UInt32, workers: Int)
    throws
  {
    for _ in 0..<20 {
      let pool = try EnginePool(workers: UInt32(workers), spares: spares)
      let outcomes = Log<wp_blocking_outcome>()
      let begun = Semaphore()
      for _ in 0..<workers {
        pool.submit {
          let wait = Wait()
          let begins = wait.mayBegin(WP_BLOCKED_FOR_POOL)
          begun.signal()
          outcomes.append(begins ? wait.sleep() : WP_BLOCKING_REFUSED)
          if begins { wait.end() }
        }
      }
      begun.wait(workers)
      wp_thread_pool_close(pool.pool)
      #expect(wp_thread_pool_join(pool.pool) == WP_OK)
      #expect(outcomes.entries == Array(repeating: WP_BLOCKING_REFUSED, count: workers))
      pool.end()
    }
  }

  /// Has one thread of two wait for a piece of work that runs on the other. The wait begins after `signal`.
  private func structuredWait(
    _ pool: EnginePool, for work: Work, after signal: ThreadTestSupport.Semaphore? = nil,
    _ piece: @escaping @Sendable () -> Void
  ) {
    let ended = Semaphore()
    pool.submit {
      let owner = currentThreadID()
      let begun = Semaphore()
      let elsewhere: @Sendable () -> Void = {
        #expect(currentThreadID() != owner)
        begun.signal()
        piece()
      }
      let here: @Sendable () -> Void = {
        begun.wait()
        signal?.wait()
      }
      switch work {
      case .join: #expect(pool.join(here, elsewhere) == WP_OK)
      case .range: #expect(pool.perform(2) { $0.lowerBound == 0 ? here() : elsewhere() } == WP_OK)
      case .group:
        let group = Group(pool) { _ in elsewhere() }
        group.spawn()
        here()
        group.wait()
      }
      ended.signal()
    }
    ended.wait()
  }

  // MARK: Races

  @Test func aWakeBeforeTheWaitIsNotLost() throws {
    let pool = try EnginePool(workers: 1)
    let ended = Semaphore()
    let body: @Sendable () -> Void = {
      for what in [WP_BLOCKED_FOR_OTHERS, WP_BLOCKED_FOR_POOL] {
        let wait = Wait()
        #expect(wait.mayBegin(what))
        wait.wake()
        #expect(wait.sleep() == WP_BLOCKING_WOKEN)
        #expect(wait.sleep(until: 0) == WP_BLOCKING_WOKEN)
        wait.end()
      }
      ended.signal()
    }
    body()
    pool.submit(body)
    ended.wait(2)
    pool.end()
  }

  /// Deadlines that pass in the moment of the wake. The wait's memory is the thread's own again as soon as it was woken.
  @Test func aWakeBesideATimeOut() throws {
    let pool = try EnginePool(workers: 2)
    let ended = Semaphore()
    let timedOut = Counter()
    for worker in 0..<2 {
      pool.submit {
        let waker = Waker()
        for round in 0..<5000 {
          let wait = Wait()
          #expect(wait.mayBegin(round % 2 == worker ? WP_BLOCKED_FOR_OTHERS : WP_BLOCKED_FOR_POOL))
          let now = wp_monotonic_now()
          let deadline = now + UInt64(round * 7 % 60) * 500
          waker.wake(wait, at: now + UInt64(round * 11 % 60) * 500)
          switch wait.sleep(until: deadline) {
          case WP_BLOCKING_TIMED_OUT:
            #expect(wp_monotonic_now() >= deadline)
            timedOut.add()
            #expect(wait.sleep() == WP_BLOCKING_WOKEN)
          case let outcome: #expect(outcome == WP_BLOCKING_WOKEN)
          }
          wait.end()
        }
        waker.end()
        ended.signal()
      }
    }
    ended.wait(2)
    #expect(timedOut.value > 0)
    pool.end()
  }

  /// A thread that was refused in the moment of the wake is woken all the same.
  @Test func aWakeBesideARefusal() throws {
    let pool = try EnginePool(workers: 2, spares: noSpares)
    let waker = Waker()
    let refused = Counter()
    let woken = Counter()
    let delay = Counter()
    for _ in 0..<500 {
      let asleep = Semaphore()
      structuredWait(pool, for: .join, after: asleep) {
        let wait = Wait()
        #expect(wait.mayBegin(WP_BLOCKED_FOR_POOL))
        asleep.signal()
        waker.wake(wait, at: wp_monotonic_now() + UInt64(max(0, delay.value)))
        // Sooner after a refusal, later after a wake: so both are about to happen at once.
        switch wait.sleep() {
        case WP_BLOCKING_REFUSED:
          refused.add()
          delay.add(-11_000)
          #expect(wait.sleep() == WP_BLOCKING_WOKEN)
        case let outcome:
          #expect(outcome == WP_BLOCKING_WOKEN)
          woken.add()
          delay.add(7_000)
        }
        wait.end()
      }
    }
    #expect(refused.value > 0 && woken.value > 0)
    waker.end()
    pool.end()
  }
}

/// A thread that wakes another, time after time.
private final class Waker: Sendable {
  // SAFETY: written before `given` is signalled, read after it; who writes again was woken in between.
  nonisolated(unsafe) private var next: (wait: Wait, time: UInt64)?
  private let given = Semaphore()
  private let thread = Log<RunningThread>()

  init() {
    let body = RunningThread { [self] in
      while true {
        given.wait()
        guard let (wait, time) = next else { break }
        while wp_monotonic_now() < time {}
        wait.wake()
      }
    }
    thread.append(body)
  }

  func wake(_ wait: Wait, at time: UInt64 = 0) {
    next = (wait, time)
    given.signal()
  }

  func end() {
    next = nil
    given.signal()
    for thread in thread.entries { thread.join() }
  }
}
