import CWorkerPool
import Testing
import WorkerPool

/// `WORKER_POOL_CPUS` bounds what mask and quota grant, and is refused by name when it is no number.
@Suite struct GrantTests {
  static let nonsense = [
    "", " ", "0", "00", "abc", "-1", "+1", "4.5", "1e3", "0x4", "4 ", " 4", "4\n", "4,5", "٤", "2147483648",
    "18446744073709551617", "99999999999999999999",
  ]

  @Test(arguments: [("1", 1), ("2", 2), ("3", 3), ("4", 3), ("007", 3), ("2147483647", 3)])
  func isTheLeastOfAll(value: String, granted: Int) throws {
    // 8 CPUs and a quota of 3.
    let machine = try Machine(fixture: "cgroup-v2-namespace", affinity: "0-7", environmentCPUs: value)
    #expect(machine.grant() == .success(granted))
    #expect(machine.granted == granted)
    #expect(machine.override == Int(value))
    let one = try Machine(fixture: "cgroup-v2-namespace", affinity: "5", environmentCPUs: value)
    #expect(one.grant() == .success(1))
  }

  @Test(arguments: nonsense)
  func refusesNonsense(value: String) throws {
    let machine = try Machine(fixture: "cgroup-v2-namespace", affinity: "0-7", environmentCPUs: value)
    let isHuge = value.count >= 10
    let rule = isHuge ? "must be at most 2147483647" : "must be a whole number of at least 1"
    #expect(machine.grant() == .failure(.init(status: WP_INVALID_ARGUMENT, call: "WORKER_POOL_CPUS", rule: rule)))
    // Whoever needs a number all the same gets one that it does not limit.
    #expect(machine.granted == 3)
    #expect(machine.override == 0)
    #expect(machine.describe(capacity: 400).text.contains("WORKER_POOL_CPUS \(rule)"))
  }

  @Test(arguments: nonsense)
  func namesTheValueInSwift(value: String) throws {
    let root = Machine.fixtures.appending(path: "laptop").path
    let source = CPUTopology.Source(sysRoot: root + "/sys", procRoot: root + "/proc", environmentCPUs: value)
    let error = try #require(throws: WorkerPoolError.self) { try CPUTopology(source: source) }
    #expect(error.code == .invalidArgument)
    let shown = value == "4\n" ? "4\\n" : value
    let rule = value.count >= 10 ? "at most 2147483647" : "a whole number of at least 1"
    #expect(error.message == "WORKER_POOL_CPUS is '\(shown)'; it must be \(rule)")
  }

  @Test func cutsAValueThatIsLong() throws {
    let source = CPUTopology.Source(environmentCPUs: String(repeating: "é", count: 10_000))
    let error = try #require(throws: WorkerPoolError.self) { try CPUTopology(source: source) }
    #expect(error.message.contains("is '\(String(repeating: "é", count: 60))'; it must"))
  }
}
