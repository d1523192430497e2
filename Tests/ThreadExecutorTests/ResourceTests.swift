import TestSupport
import Testing
import ThreadSoak
import ThreadTestSupport
import WorkerPool

@Suite struct ResourceTests {
  // MARK: Memory

  /// In a program of its own, where no other test takes memory: that of surges comes back, a pending task costs no more
  /// than it may, pools leave nothing behind. `make soak` is the long form.
  @Test(
    .serialized, .disabled(if: runsUnderSanitizer, "memory is the sanitizer's"), .timeLimit(.minutes(4)),
    arguments: Scenario.allCases.filter { $0 != .churn })
  func memoryComesBack(_ scenario: Scenario) async throws { try await soak(scenario) }

  @Test(.timeLimit(.minutes(4))) func poolsLeaveNothingBehind() async throws { try await soak(.churn) }

  private func soak(_ scenario: Scenario) async throws {
    let result = try await runProduct("ThreadSoak", [scenario.rawValue, "0.3"])
    #expect(result.status == 0, "\(result)")
  }

  @Test(arguments: [
    (["noise", "1"], "noise: not a scenario"), (["churn", "0"], "0: seconds have to be a number above 0"),
    (["churn", "long"], "long: seconds have to be"), (["churn"], "usage: "),
  ])
  func theProgramSaysWhatItCannotDo(_ arguments: [String], _ message: String) async throws {
    let result = try await runProduct("ThreadSoak", arguments)
    #expect(result.status == 64)
    #expect(result.output.hasPrefix(message), "\(result)")
  }

  /// Contexts of several sizes, some of them held by more than one task, whose memory wanders between threads.
  @Test func closuresKeepWhatTheyCaptured() async throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 3, name: "context")
    let wrong = Counter()
    await onThreads(3) { thread in
      for round in 0..<10_000 {
        let (a, b, c, d) = (round, round &* 3, round &* 5, thread)
        let values = [a, b, c, d]
        let shared: @Sendable () -> Bool = { values == [a, b, c, d] }
        #expect(throws: Never.self) {
          let small = try pool.submit { a }
          let large = try pool.submit { a + b + c + d + values.count }
          try pool.execute { if a + values[0] != 2 * a { wrong.add() } }
          let twice = [try pool.submit(shared), try pool.submit(shared)]
          if try small.result() != a { wrong.add() }
          if try large.result() != a + b + c + d + 4 { wrong.add() }
          for future in twice where try !future.result() { wrong.add() }
        }
      }
    }
    await pool.shutdown()
    #expect(wrong.value == 0)
  }

  // MARK: Idling

  @Test func idlesAfterHardWork() async throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 4, name: "hard")
    let count = Counter()
    // From many sides at once, then one at a time, so that workers have just spun for more.
    await onThreads(4) { _ in
      for _ in 0..<20_000 { #expect(throws: Never.self) { try pool.execute { count.add() } } }
    }
    for number in 0..<500 {
      let future = try pool.submit { try pool.map(0..<100) { $0 + number }.count }
      #expect(try await future.value == 100)
    }
    try await expectRest("hard", workers: 4)
    #expect(count.value == 80_000)
    await pool.shutdown()
  }

  /// Spares that have just stood in for blocked workers, first on their benches, then gone.
  @Test func idlesWithSparesAsleepAndRetired() async throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 2, name: "bench")
    let gate = Promise<Void>()
    let waiting = try (0..<8).map { _ in try pool.submit { try gate.future.result() } }
    #expect(eventually { threads(named: "bench-").count == 10 })
    gate.succeed(())
    for future in waiting { try await future.value }
    try await expectRest("bench", workers: 2)
    while threads(named: "bench-").count > 2 { try await Task.sleep(for: .milliseconds(100)) }
    try await expectRest("bench", workers: 2)
    await pool.shutdown()
  }

  @Test func idlesAfterTasks() async throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 3, name: "tasks")
    let sum = await withTaskExecutorPreference(pool) {
      await withTaskGroup(of: Int.self) { group in
        for number in 0..<10_000 {
          group.addTask {
            await Task.yield()
            return number
          }
        }
        return await group.reduce(0, +)
      }
    }
    #expect(sum == 49_995_000)
    try await expectRest("tasks", workers: 3)
    await pool.shutdown()
  }

  /// Zero context switches in two seconds, of every worker, and of every spare that stays.
  private func expectRest(_ name: String, workers: Int, _ location: SourceLocation = #_sourceLocation) async throws {
    let rest = try #require(try await watchAtRest(named: "\(name)-"), "no rest in 20 s", sourceLocation: location)
    #expect(rest.threads.count >= workers, sourceLocation: location)
    #expect(rest.switches == [:], sourceLocation: location)
  }
}
