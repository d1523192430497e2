import CWorkerPool
import Synchronization
import Testing
import ThreadTestSupport
import WorkerPool

/// What a worker may run on top of a frame that waits: what it waits for, and nothing that could wait for the frame.
@Suite struct HelpingTests {
  /// Two scopes; a task of the second waits for the future of the first. A worker that waited for the first scope and
  /// helped with the second's task would wait for itself.
  @Test(.timeLimit(.minutes(5))) func aScopeDoesNotRunAnothersTask() async throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 3)
    for _ in 0..<200 {
      let (firstStolen, secondSpawned, finish) = (Semaphore(), Semaphore(), Semaphore())
      let first = try pool.submit {
        try pool.withScope { scope in
          scope.spawn {
            firstStolen.signal()
            finish.wait()
          }
          firstStolen.wait()
          secondSpawned.wait()
        }
        return 1
      }
      let second = try pool.submit {
        try pool.withScope { scope in
          scope.spawn {
            finish.signal()
            _ = try first.result()
          }
          secondSpawned.signal()
        }
        return 2
      }
      #expect(try await first.value == 1)
      #expect(try await second.value == 2)
    }
    await pool.shutdown()
  }

  /// A Swift task that waits for the future of the job which forked it must not run on that job's stack.
  @Test(.timeLimit(.minutes(5))) func aJoinRunsNoSwiftTask() async throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 2)
    for _ in 0..<200 {
      let promise = Promise<Future<Int>>()
      let (stolen, ended) = (Semaphore(), Promise<Int>())
      let outer = try pool.submit {
        let (_, b) = try pool.join(
          { stolen.wait() },
          {
            Task(executorPreference: pool) {
              ended.complete(with: Result { try waitFor(promise.future.result().result()) })
            }
            stolen.signal()
            return 7
          })
        return b
      }
      promise.succeed(outer)
      #expect(try await outer.value == 7)
      #expect(try await ended.future.value == 7)
    }
    await pool.shutdown()
  }

  /// More spawns than a deque holds, on one worker that has no spare: nobody else could run what went elsewhere.
  @Test(.timeLimit(.minutes(5))) func spawnsBeyondTheDequeRun() throws {
    var config = wp_thread_pool_config()
    config.worker_count = 1
    config.spare_limit = UInt32.max  // WP_NO_SPARES
    var pool: OpaquePointer?
    #expect(wp_thread_pool_create(&config, &pool, nil) == WP_OK)
    let ran = Counter()
    let count = 20_000
    withUnsafeBytes(of: Spawning(pool: pool!, ran: ran, count: count)) { context in
      let work = wp_borrowed(first: UnsafeMutableRawPointer(mutating: context.baseAddress!), second: nil)
      let status = wp_concurrent_perform(
        pool!,
        { first, _, _, _ in
          let spawning = first!.assumingMemoryBound(to: Spawning.self).pointee
          var group = wp_group()
          withUnsafeMutablePointer(to: &group) { group in
            let begun = wp_group_begin(
              group, spawning.pool, { Unmanaged<Counter>.fromOpaque($0!).takeUnretainedValue().add() },
              Unmanaged.passUnretained(spawning.ran).toOpaque())
            #expect(begun)
            for _ in 0..<spawning.count { wp_group_spawn(group) }
            wp_group_wait(group)
          }
          #expect(spawning.ran.value == spawning.count)
        }, work, 1, 1)
      #expect(status == WP_OK)
    }
    #expect(ran.value == count)
    wp_thread_pool_release(pool)
  }

  private struct Spawning {
    var pool: OpaquePointer
    var ran: Counter
    var count: Int
  }

  @Test func aGroupBeginsOnItsPoolsWorkersAlone() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    var group = wp_group()
    var config = wp_thread_pool_config()
    config.worker_count = 1
    var other: OpaquePointer?
    #expect(wp_thread_pool_create(&config, &other, nil) == WP_OK)
    #expect(!wp_group_begin(&group, other!, { _ in }, nil))
    wp_thread_pool_release(other)
    pool.shutdown()
  }

  /// Each task spawns the next in a closed pool: that must not become a recursion.
  @Test(.timeLimit(.minutes(5))) func aChainOfSpawnsNeedsNoStack() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 2)
    let ran = Counter()
    @Sendable func next(_ scope: ThreadPoolExecutor.Scope) {
      if ran.add() < 200_000 { scope.spawn { next(scope) } }
    }
    try pool.withScope { scope in
      pool.shutdown(wait: false)
      scope.spawn { next(scope) }
    }
    pool.shutdown()
    #expect(ran.value == 200_000)
  }

  @Test(.timeLimit(.minutes(5))) func aCancellingShutdownLetsAScopeEnd() throws {
    for _ in 0..<50 {
      let pool = try ThreadPoolExecutor(maxWorkers: 2)
      let ran = Counter()
      try pool.withScope { scope in
        for _ in 0..<10 { scope.spawn { ran.add() } }
        pool.shutdown(wait: false, cancelPending: true)
        for _ in 0..<10 { scope.spawn { ran.add() } }
      }
      pool.shutdown()
      #expect(ran.value == 20)
    }
  }

  /// Tasks that stand behind forked work are cancelled by the worker that comes to them.
  @Test(.timeLimit(.minutes(5))) func tasksBehindForkedWorkAreCancelledToo() async throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    let ran = Counter()
    let tasks = Log<Future<Void>>()
    try await pool.run {
      _ = try pool.join(
        {
          for _ in 0..<5 { tasks.append(try pool.submit { _ = ran.add() }) }
          pool.shutdown(wait: false, cancelPending: true)
        }, {})
    }
    await pool.shutdown()
    #expect(ran.value == 0)
    #expect(tasks.entries.count == 5)
    #expect(tasks.entries.allSatisfy { $0.state == .cancelled })
  }
}

/// Blocks in async code on purpose: what a careless user does.
private func waitFor<Value>(_ body: @autoclosure () throws -> Value) rethrows -> Value { try body() }
