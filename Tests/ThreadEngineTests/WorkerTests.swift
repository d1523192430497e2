import CStress
import CWorkerPool
import Glibc
import Testing
import ThreadTestSupport

@Suite struct WorkerTests {
  // MARK: Names

  @Test(
    arguments: [
      ("plain", 3, ["plain-0", "plain-1", "plain-2"]),
      ("", 1, ["-0"]),
      ("exactlythirtee", 1, ["exactlythirte-0"]),
      ("longerthanlinuxallows", 1, ["longerthanlin-0"]),
      // A character that does not fit is left out whole.
      ("twelvebytes-é", 1, ["twelvebytes--0"]),
      ("eleven-byteé", 1, ["eleven-byteé-0"]),
      ("ten-bytes-🏊🏊", 1, ["ten-bytes--0"]),
      ("größenordnungen", 1, ["größenordnu-0"]),
    ] as [(String, UInt32, [String])])
  func threadsAreNamed(prefix: String, workers: UInt32, expected: [String]) throws {
    let pool = try EnginePool(workers: workers, name: prefix)
    pool.hooks.startedOne.wait(Int(workers))
    let byWorker = pool.hooks.started.entries.sorted { $0.worker < $1.worker }
    let names = byWorker.compactMap { ThreadStatus(id: $0.thread)?.name }
    #expect(names == expected)
    #expect(names.allSatisfy { $0.utf8.count <= 15 })
    pool.end()
  }

  @Test func theNumberSurvivesTheCut() throws {
    let pool = try EnginePool(workers: 101, name: "abcdefghijklmno")
    pool.hooks.startedOne.wait(101)
    let names = pool.hooks.started.entries.compactMap { ThreadStatus(id: $0.thread)?.name }
    let expected = (0..<101).map { index -> String in
      let suffix = "-\(index)"
      return "abcdefghijklmno".prefix(15 - suffix.count) + suffix
    }
    #expect(names.sorted() == expected.sorted())
    pool.end()
  }

  @Test func withoutANameTheyAreWorkers() throws {
    let pool = try EnginePool(workers: 1)
    pool.hooks.startedOne.wait()
    #expect(ThreadStatus(id: pool.hooks.started.entries[0].thread)?.name == "worker-0")
    pool.end()
  }

  // MARK: Stacks

  @Test func stackSizesAreHonoured() throws {
    // The C library reuses a stack of an ended thread that is up to four times as large.
    for size in [1 << 20, 64 << 20, (64 << 20) + 1] {
      let pool = try EnginePool(workers: 1, stackSize: size)
      let seen = Log<Int>()
      pool.submit {
        seen.append(cs_stack_size())
        seen.append(wp_thread_remaining_stack())
      }
      pool.end()
      let rounded = (size + 4095) / 4096 * 4096
      let (whole, rest) = (seen.entries[0], seen.entries[1])
      #expect(whole <= 4 * rounded && whole >= rounded - 65_536, "\(size): \(whole)")
      #expect(rest < whole && rest >= rounded - 131_072, "\(size): \(rest)")
    }
  }

  @Test func theRestOfTheStackShrinksWithDepth() {
    onThreads(1) { _ in
      #expect(remaining(0) > 0)
      // 4 KiB a call, unless AddressSanitizer keeps the locals elsewhere.
      let used = remaining(0) - remaining(10)
      #expect(used >= (runsUnderSanitizer ? 1000 : 40_960) && used < 1 << 20)
    }
  }

  @Test(.disabled(if: runsUnderSanitizer, "its own frames need more")) func aTinyStackIsRaisedToTheLeastPossible()
    throws
  {
    let pool = try EnginePool(workers: 1, stackSize: 1)
    let ran = Semaphore()
    pool.submit { ran.signal() }
    ran.wait()
    pool.end()
  }

  // MARK: Affinity

  @Test func workersRunWhereTheyAreToldTo() throws {
    let allowed = allowedCPUs()
    for cpu in [allowed.first!, allowed.last!] {
      let pool = try EnginePool(workers: 2, affinity: WP_AFFINITY_CPUS, cpus: [Int32(cpu)])
      #expect(masks(of: pool, workers: 2) == [[cpu], [cpu]])
      pool.end()
    }
  }

  @Test func cpusAreGivenInTurn() throws {
    let allowed = allowedCPUs()
    let pool = try EnginePool(workers: 4, affinity: WP_AFFINITY_CPUS, cpus: allowed.prefix(2).map { Int32($0) })
    let expected = (0..<4).map { [allowed[$0 % min(2, allowed.count)]] }
    #expect(masks(of: pool, workers: 4).sorted { $0[0] < $1[0] } == expected.sorted { $0[0] < $1[0] })
    pool.end()
  }

  @Test(arguments: [WP_AFFINITY_COMPACT.rawValue, WP_AFFINITY_SPREAD.rawValue])
  func policiesPinToOneCPUEach(policy: UInt32) throws {
    let workers = min(4, allowedCPUs().count)
    let pool = try EnginePool(workers: UInt32(workers), affinity: wp_affinity(policy))
    let seen = masks(of: pool, workers: workers)
    #expect(seen.allSatisfy { $0.count == 1 })
    #expect(Set(seen).count == workers)
    pool.end()
  }

  @Test func withoutAPolicyTheyFloat() throws {
    let pool = try EnginePool(workers: 2)
    #expect(masks(of: pool, workers: 2) == [allowedCPUs(), allowedCPUs()])
    pool.end()
  }

  @Test func aCPUThatIsNotAllowedIsRefused() throws {
    let allowed = allowedCPUs()
    let forbidden = Int32((0...allowed.count).first { !allowed.contains($0) }!)
    for cpus in [[forbidden], [Int32(allowed[0]), forbidden], [-1]] {
      let refusal = #expect(throws: EnginePool.Refusal.self) {
        try EnginePool(workers: 2, name: "refused", affinity: WP_AFFINITY_CPUS, cpus: cpus)
      }
      #expect(refusal?.status == WP_INVALID_ARGUMENT)
      #expect(refusal?.call == "cpus")
      #expect(refusal?.rule != nil)
    }
    #expect(threads(named: "refused-").isEmpty)
  }

  /// The CPUs that each of the pool's workers may use.
  private func masks(of pool: EnginePool, workers: Int) -> [[Int]] {
    let seen = Log<[Int]>()
    let gate = Semaphore()
    let asked = Semaphore()
    for _ in 0..<workers {
      pool.submit {
        seen.append(allowedCPUs())
        asked.signal()
        gate.wait()
      }
    }
    asked.wait(workers)
    gate.signal(workers)
    return seen.entries
  }

  // MARK: Refusals

  @Test func tooManyWorkersAreRefused() {
    let refusal = #expect(throws: EnginePool.Refusal.self) { try EnginePool(workers: 4095) }
    #expect(refusal?.status == WP_INVALID_ARGUMENT)
    #expect(refusal?.call == "worker_count")
    #expect(refusal?.rule?.contains("4094") == true)
  }

  @Test func aListOfSignalsThatIsNotThereIsRefused() {
    var config = wp_thread_pool_config()
    config.worker_count = 1
    config.blocked_signal_count = 1
    var created: OpaquePointer?
    var error = wp_error()
    #expect(wp_thread_pool_create(&config, &created, &error) == WP_INVALID_ARGUMENT)
    #expect(created == nil && error.status == WP_INVALID_ARGUMENT && error.rule != nil)
    #expect(error.call.map { String(cString: $0) } == "blocked_signals")
  }

  @Test func aFailedStartNamesTheCallAndLeavesNothing() {
    let hooks = Hooks()
    let refusal = #expect(throws: EnginePool.Refusal.self) {
      try EnginePool(workers: 8, name: "nostart", stackSize: 1 << 50, hooks: hooks)
    }
    #expect(refusal?.status == WP_SYSTEM_CALL_FAILED)
    #expect(refusal?.call == "pthread_create")
    #expect([EAGAIN, ENOMEM].contains(refusal?.errno))
    #expect(hooks.destroyed.value == 0)
    #expect(eventually { threads(named: "nostart-").isEmpty })
  }

  /// In a child of its own, whose address space ends after a few of the threads have begun.
  @Test(.disabled(if: runsUnderSanitizer, "the address space is the sanitizer's"))
  func aStartThatFailsHalfwayEndsWhatHadBegun() {
    let answers = cs_fork_and_fail_to_start()
    #expect(answers.answered)
    #expect(answers.status == Int32(WP_SYSTEM_CALL_FAILED.rawValue))
    #expect(answers.names_pthread_create)
    #expect(answers.started > 0 && answers.started < 64)
    #expect(answers.stopped == answers.started)
    #expect(answers.threads_left == 1)
  }

  // MARK: Idling

  @Test func anIdlePoolDoesNothing() async throws {
    let pool = try EnginePool(workers: 4, name: "idle")
    let ran = Semaphore()
    for _ in 0..<100 { pool.submit { ran.signal() } }
    ran.wait(100)
    let rest = try #require(try await watchAtRest(named: "idle-"), "no rest in 20 s")
    #expect(rest.threads.count == 4)
    #expect(rest.switches == [:])
    pool.end()
  }
}

/// Stack left `depth` calls further down.
@inline(never) private func remaining(_ depth: Int) -> Int {
  guard depth > 0 else { return wp_thread_remaining_stack() }
  return withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 16) { room in
    room.initializeMemory(as: UInt8.self, repeating: 1)
    return remaining(depth - 1) + Int(room[0]) - 1
  }
}
