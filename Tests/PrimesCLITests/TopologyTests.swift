import TestSupport
import Testing
import WorkerPool

@Suite struct TopologyTests {
  @Test func printsTheTopology() async throws {
    let result = try await runProduct("primes", ["--topology", "--limits", "4294967295"])
    #expect(result.status == 0)
    #expect(result.errors == "")
    // Memory may change from one reading to the next.
    let expected = try CPUTopology.current().description.split(separator: "\n").map(String.init)
    #expect(result.outputLines.count == expected.count)
    for (line, expected) in zip(result.outputLines, expected) where !line.hasPrefix("node") {
      #expect(line == expected)
    }
    #expect(result.outputLines[1].hasPrefix("node \(try CPUTopology.current().nodes[0].id): "))
  }

  @Test func heedsTheEnvironment() async throws {
    let topology = try await runProduct("primes", ["--topology"], environment: ["WORKER_POOL_CPUS=1"])
    #expect(topology.status == 0)
    #expect(topology.output.hasPrefix("1 CPU granted: "))
    #expect(topology.outputLines[0].hasSuffix(", WORKER_POOL_CPUS=1"))
    let run = try await runProduct("primes", ["--limits", "100"], environment: ["WORKER_POOL_CPUS=1"])
    #expect(run.status == 0)
    #expect(run.outputLines.count == 3)
    #expect(run.outputLines.allSatisfy { $0.hasSuffix("  1 worker, scalar") })
  }

  /// Whoever needs the grant is refused, with the name and the value.
  @Test(
    arguments: [["--topology"], ["--executor", "threads"], ["--executor", "processes"]],
    ["", "0", "abc", "-1", "4.5", "1e3", "99999999999999999999", " 4", "4 "])
  func refusesNonsense(arguments: [String], value: String) async throws {
    let result = try await runProduct("primes", arguments, environment: ["WORKER_POOL_CPUS=\(value)"])
    #expect(result.status == 64)
    #expect(result.output == "")
    #expect(result.errorLines.count == 1)
    #expect(result.errors.hasPrefix("primes: WORKER_POOL_CPUS is '\(value)'; it must be "))
  }

  @Test func needsNoGrantForExplicitWorkers() async throws {
    let result = try await runProduct(
      "primes", ["--workers", "2", "--limits", "100"], environment: ["WORKER_POOL_CPUS=abc"])
    #expect(result.status == 0)
    #expect(result.outputLines.last?.hasSuffix("  2 workers, scalar") == true)
  }
}
