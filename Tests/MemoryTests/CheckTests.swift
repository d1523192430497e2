import TestSupport
import Testing

/// The engine's placed memory and notices, each scenario in a process of its own.
struct CheckTests {
  @Test(
    .timeLimit(.minutes(2)),
    arguments: [
      ["placed"], ["bad-input"], ["bad-input", "EPERM"], ["bad-input", "ENOSYS"], ["denied", "EPERM"],
      ["denied", "ENOSYS"], ["denied", "EACCES"],
    ])
  func holds(_ scenario: [String]) async throws {
    let result = try await runProduct("memory-check", scenario)
    #expect(result.status == 0, "\(result)")
    #expect(result.output == "" && result.errors == "")
  }

  /// Of those that are said before the handler is set, and after it is set back.
  @Test(
    .timeLimit(.minutes(2)),
    arguments: [
      ("notices", "swift-worker-pool: no nodes: Function not implemented\n"),
      ("no-handler", "swift-worker-pool: worker 1 floats: unknown error\n"),
    ])
  func noticesArePrinted(_ scenario: String, _ line: String) async throws {
    let result = try await runProduct("memory-check", [scenario])
    #expect(result.status == 0, "\(result)")
    #expect(result.output == "" && result.errors == line)
  }

  @Test func everyScenarioIsRun() async throws {
    let list = try await runProduct("memory-check")
    #expect(list.outputLines == ["placed", "bad-input", "denied", "notices", "no-handler"])
    #expect(try await runProduct("memory-check", ["no-such-scenario"]).status == 64)
  }
}

/// The same through Swift, in a process that a filter denies placement from its first instruction.
struct DeniedTests {
  static func run(_ scenario: String, denied: String? = nil) async throws -> ProgramResult {
    guard let denied else { return try await runProduct("MemoryScenarios", [scenario]) }
    return try await runProduct("memory-check", ["exec", denied, productPath("MemoryScenarios"), scenario])
  }

  @Test(.timeLimit(.minutes(2))) func nothingIsSaidWherePlacementWorks() async throws {
    let result = try await Self.run("placed")
    #expect(result.status == 0 && result.output == "" && result.errors == "", "\(result)")
  }

  @Test(.timeLimit(.minutes(2)), arguments: [("EPERM", "memoryNotPlaced 1: "), ("ENOSYS", "noNUMA 38: ")])
  func oneNoticeIsSaid(_ denied: String, _ start: String) async throws {
    let result = try await Self.run("denied", denied: denied)
    #expect(result.status == 0 && result.errors == "", "\(result)")
    #expect(result.outputLines.count == 1)
    #expect(result.output.hasPrefix(start + "memory that was to be placed on nodes lies where it is first used"))
  }

  @Test(.timeLimit(.minutes(2))) func nobodyIsToldWithoutAHandler() async throws {
    let result = try await Self.run("silenced", denied: "EPERM")
    #expect(result.status == 0 && result.output == "" && result.errors == "", "\(result)")
  }

  @Test(.timeLimit(.minutes(2))) func theDefaultIsALineOnStandardError() async throws {
    let result = try await Self.run("printed", denied: "EPERM")
    #expect(result.status == 0 && result.output == "", "\(result)")
    #expect(result.errorLines.count == 1 && result.errors.hasPrefix("swift-worker-pool: memory that was to be placed"))
  }
}
