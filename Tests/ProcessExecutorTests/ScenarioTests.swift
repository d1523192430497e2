import ProcessScenarios
import TestSupport
import Testing
import WorkerPool

/// Every scenario in a program of its own, with workers forked from `main` and with workers re-executed.
@Suite(.serialized) struct ScenarioTests {
  @Test(.timeLimit(.minutes(2)), arguments: Scenario.allCases, ["fork", "reexec"])
  func inItsOwnProgram(_ scenario: Scenario, _ method: String) async throws {
    let result = try await runProduct("ProcessScenarios", [method, scenario.rawValue])
    #expect(result.status == 0, "\(result)")
    #expect(result.output == scenario.output(method))
  }

  /// In this process, which has threads and tasks of every kind.
  @Test(.timeLimit(.minutes(2)), arguments: Scenario.allCases.filter { !$0.needsOwnProcess })
  func besideOtherThreads(_ scenario: Scenario) throws {
    try scenario.run(.reexec)
  }

  @Test func aForkIsRefusedBesideOtherThreads() async throws {
    let error = #expect(throws: WorkerPoolError.self) { try ProcessPoolExecutor(maxWorkers: 1, startMethod: .fork) }
    #expect(error?.code == .unsupported)
    #expect(error?.message.contains("thread") == true, "\(error?.message ?? "")")
    try await withProcessPoolExecutor(maxWorkers: 1) { pool in #expect(pool.startMethod == .reexec) }
  }
}
