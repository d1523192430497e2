import CWorkerPool
import Glibc
import Synchronization
import Testing
import ThreadTestSupport

/// A pool's threads block what the thread blocked that made the pool, and what was asked for: nothing else, whichever
/// thread starts them.
@Suite struct SignalTests {
  @Test(arguments: [[], [SIGPIPE, SIGPROF]]) func workersHaveTheMaskOfTheMaker(added: [Int32]) throws {
    let maker: Set<Int32> = [SIGUSR2, SIGTERM]
    let pool = try pool(madeBlocking: maker, blockedSignals: added)
    pool.hooks.startedOne.wait(2)
    // Other threads than the maker, which block something else, start more of them.
    onThreads(1) { _ in
      blockOnly([SIGHUP])
      #expect(wp_thread_pool_resize(pool.pool, 4, nil) == WP_OK)
      #expect(blockedSignals() == [SIGHUP])
    }
    pool.hooks.startedOne.wait(2)
    #expect(pool.hooks.started.entries.count == 4)
    for event in pool.hooks.started.entries {
      #expect(try #require(ThreadStatus(id: event.thread)).blockedSignals == maker.union(added))
    }
    pool.end()
  }

  /// The worker that calls it up has changed its own mask.
  @Test func sparesHaveTheMaskOfTheMaker() throws {
    let pool = try pool(madeBlocking: [SIGUSR2], workers: 1, blockedSignals: [SIGPIPE])
    let gate = Semaphore()
    let blocked = Semaphore()
    pool.submit {
      let before = blockedSignals()
      blockOnly([SIGWINCH])
      #expect(wp_thread_pool_block_begin() == WP_OK)
      blocked.signal()
      gate.wait()
      wp_thread_pool_block_end()
      blockOnly(before)
    }
    blocked.wait()
    let seen = Log<Set<Int32>>()
    let ran = Semaphore()
    pool.submit {
      #expect(wp_thread_pool_current_worker(pool.pool) >= Int32(WP_THREAD_POOL_FIRST_SPARE))
      seen.append(blockedSignals())
      ran.signal()
    }
    ran.wait()
    gate.signal()
    #expect(seen.entries == [[SIGUSR2, SIGPIPE]])
    pool.end()
  }

  @Test func theMakersMaskStays() throws {
    onThreads(1) { _ in
      blockOnly([SIGUSR1])
      #expect(throws: Never.self) {
        let pool = try EnginePool(workers: 2, blockedSignals: [SIGUSR2])
        #expect(blockedSignals() == [SIGUSR1])
        pool.end()
      }
    }
  }

  @Test(arguments: [
    (0, "from 1 to 64"), (-1, "from 1 to 64"), (65, "from 1 to 64"), (Int32.max, "from 1 to 64"),
    (SIGKILL, "cannot be blocked"), (SIGSTOP, "cannot be blocked"), (32, "the C library"), (33, "the C library"),
    (SIGSEGV, "its own instructions"), (SIGBUS, "its own instructions"), (SIGFPE, "its own instructions"),
    (SIGILL, "its own instructions"), (SIGTRAP, "its own instructions"), (SIGSYS, "its own instructions"),
    (SIGABRT, "its own instructions"),
  ]) func whatIsNotToBeBlockedIsRefused(signal: Int32, rule: String) {
    let refusal = #expect(throws: EnginePool.Refusal.self) {
      try EnginePool(workers: 1, name: "nosignal", blockedSignals: [SIGUSR1, signal])
    }
    #expect(refusal?.status == WP_INVALID_ARGUMENT)
    #expect(refusal?.call == "blocked_signals")
    #expect(refusal?.rule?.contains(rule) == true, "\(refusal?.rule ?? "")")
    #expect(refusal?.refused == signal)
    #expect(threads(named: "nosignal-").isEmpty)
  }

  @Test func everyOtherSignalCanBeBlocked() throws {
    let refused: Set = [SIGKILL, SIGSTOP, 32, 33, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT]
    let all = Set(1...64).subtracting(refused)
    let pool = try pool(madeBlocking: [], workers: 1, blockedSignals: Array(all))
    pool.hooks.startedOne.wait()
    let worker = try #require(pool.hooks.started.entries.first)
    #expect(try #require(ThreadStatus(id: worker.thread)).blockedSignals == all)
    pool.end()
  }

  /// A pool that is made by a thread with this mask, which has ended since.
  private func pool(
    madeBlocking mask: Set<Int32>, workers: UInt32 = 2, blockedSignals: [Int32]
  ) throws -> EnginePool {
    let pool = Log<EnginePool>()
    onThreads(1) { _ in
      blockOnly(mask)
      #expect(throws: Never.self) { pool.append(try EnginePool(workers: workers, blockedSignals: blockedSignals)) }
    }
    return try #require(pool.entries.first)
  }
}
