import CWorkerPool
import Testing
import WorkerPool

@Suite struct CPUTopologyTests {
  static func fixture(_ name: String, affinity: String, environmentCPUs: String = "1000") throws -> CPUTopology {
    let root = Machine.fixtures.appending(path: name).path
    return try CPUTopology(
      source: .init(
        sysRoot: root + "/sys", procRoot: root + "/proc", affinity: affinity, environmentCPUs: environmentCPUs))
  }

  @Test func namesNodesByTheirNumbers() throws {
    let topology = try Self.fixture("power9", affinity: "0-9")
    #expect(topology.nodes.map(\.id) == [0, 8, 252, 255])
    #expect(topology.nodes.map(\.cpus) == [Array(0...7), [8, 9], [], []])
    #expect(topology.nodes.map(\.onlineCPUCount) == [8, 8, 0, 0])
    #expect(topology.nodes.map(\.memory) == [267_386_880, 267_972_608, 16_515_072, 16_515_072].map { $0 * 1024 })
    #expect(topology.nodes[1].distances == [40, 10, 80, 80])
    #expect(topology.cpus.map(\.id) == Array(0...9))
    #expect(topology.cpus.map(\.node) == Array(repeating: 0, count: 8) + [8, 8])
    #expect(topology.cpus.map(\.core) == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2])
    #expect(topology.cpus.map(\.thread) == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1])
    #expect(topology.cpus.map(\.isSibling) == topology.cpus.map { $0.thread > 0 })
    #expect(topology.cpus.allSatisfy { $0.socket == nil && $0.capacity == nil && $0.kind == .uniform })
    #expect(topology.onlineCPUCount == 16)
    #expect(topology.grant == 10)
    #expect(topology.quota == nil)
  }

  @Test func tellsKinds() throws {
    let hybrid = try Self.fixture("hybrid", affinity: "2-5,9")
    #expect(hybrid.cpus.map(\.kind) == [.performance, .performance, .efficiency, .efficiency, .efficiency])
    #expect(hybrid.cpus.map(\.kind.description).last == "efficiency")
    #expect(hybrid.cpus.map(\.lastLevelCache) == [0, 0, 0, 0, 1])
    #expect(hybrid.cpus.map(\.socket) == Array(repeating: 0, count: 5))
    let arm = try Self.fixture("big-little", affinity: "0,4,7")
    #expect(arm.cpus.map(\.capacity) == [446, 871, 1024])
    #expect(arm.cpus.map(\.kind) == [.efficiency, .efficiency, .performance])
  }

  @Test(arguments: [("cgroup-v2-namespace", "2", 2), ("cgroup-v2-namespace", "9", 3), ("cgroup-none", "9", 4)])
  func grantsTheLeast(fixture: String, environment: String, grant: Int) throws {
    let topology = try Self.fixture(fixture, affinity: "0-3", environmentCPUs: environment)
    #expect(topology.grant == grant)
    #expect(topology.quota == (fixture == "cgroup-none" ? nil : 3))
    #expect(topology.environmentLimit == Int(environment))
  }

  @Test func isAValue() throws {
    let (first, second) = (
      try Self.fixture("two-sockets", affinity: "0-7"), try Self.fixture("two-sockets", affinity: "0-7")
    )
    #expect(first == second)
    #expect(first.hashValue == second.hashValue)
    #expect(try first != Self.fixture("two-sockets", affinity: "0-6"))
  }

  /// What files say is read anew by each call.
  @Test func followsChanges() throws {
    let made = try MadeMachine(copying: "cgroup-v2-namespace")
    let source = CPUTopology.Source(
      sysRoot: made.root.path + "/sys", procRoot: made.root.path + "/proc", affinity: "0-7", environmentCPUs: "6")
    #expect(try CPUTopology(source: source).grant == 3)
    try made.write("500000 100000\n", to: "sys/fs/cgroup/cpu.max")
    #expect(try CPUTopology(source: source).grant == 5)
    try made.write("max 100000\n", to: "sys/fs/cgroup/cpu.max")
    try made.write("0-3\n", to: "sys/devices/system/cpu/online")
    #expect(try CPUTopology(source: source).grant == 4)
  }

  @Test func refusesAMaskThatIsNoList() throws {
    let error = try #require(throws: WorkerPoolError.self) { try CPUTopology(source: .init(affinity: "x")) }
    #expect(error.code == .invalidArgument)
    #expect(error.message.hasPrefix("affinity "))
  }
}

/// The text for people, which C and Swift have in common.
@Suite struct DescriptionTests {
  @Test func saysWhatThereIs() throws {
    let topology = try CPUTopologyTests.fixture("xeon-snc2", affinity: "0-4,8,12")
    #expect(
      topology.description == """
        7 CPUs granted: 7 of 16 online allowed, no quota, WORKER_POOL_CPUS=1000
        node 0: 3 of 4 CPUs allowed, 46.9 GiB
          socket 0, cache 0, cores: 0+8 1
        node 1: 2 of 4 CPUs allowed, 46.9 GiB
          socket 0, cache 0, cores: 2 3
        node 2: 2 of 4 CPUs allowed, 46.9 GiB
          socket 1, cache 1, cores: 4+12
        node 3: 0 of 4 CPUs allowed, 46.9 GiB
        distances:
                0    1    2    3
           0   10   12   21   21
           1   12   10   21   21
           2   21   21   10   12
           3   21   21   12   10
        """)
  }

  @Test func tellsKindsApart() throws {
    #expect(
      try CPUTopologyTests.fixture("hybrid", affinity: "0-9", environmentCPUs: "1").description == """
        1 CPU granted: 10 of 10 online allowed, no quota, WORKER_POOL_CPUS=1
        node 0: 10 CPUs, 31.0 GiB
          socket 0, cache 0, performance cores: 0+1 2+3
          socket 0, cache 0, efficiency cores: 4 5 6 7
          socket 0, cache 1, efficiency cores: 8 9
        """)
    #expect(
      try CPUTopologyTests.fixture("big-little", affinity: "0-7").description == """
        8 CPUs granted: 8 of 8 online allowed, no quota, WORKER_POOL_CPUS=1000
        node 0: 8 CPUs, no memory
          performance (capacity 1024) cores: 7
          efficiency (capacity 446) cores: 0 1 2 3
          efficiency (capacity 871) cores: 4 5 6
        """)
  }

  @Test func namesTheQuotaAndNodesWithoutCPUs() throws {
    let quota = try CPUTopologyTests.fixture("cgroup-v2-namespace", affinity: "0")
    #expect(quota.description.hasPrefix("1 CPU granted: 1 of 1 online allowed, a quota of 3, WORKER_POOL_CPUS=1000\n"))
    #expect(try CPUTopologyTests.fixture("cxl", affinity: "0").description.contains("\nnode 2: no CPUs, 128.0 GiB\n"))
    #expect(
      try CPUTopologyTests.fixture("memoryless", affinity: "0").description.contains(
        "\nnode 1: 0 of 2 CPUs allowed, no"))
  }

  @Test func fitsIntoAnyBuffer() throws {
    let machine = try Machine(fixture: "four-nodes", affinity: "0-7")
    let whole = machine.describe(capacity: 1000)
    #expect(whole.text.utf8.count == whole.length)
    for capacity in 1...whole.length + 1 {
      let part = machine.describe(capacity: capacity)
      #expect(part.length == whole.length)
      #expect(part.text == whole.text.prefix(capacity - 1))
    }
    #expect(machine.describe(capacity: 0).text == "")
  }
}
