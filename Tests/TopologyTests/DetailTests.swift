import CWorkerPool
import Foundation
import Testing

/// Cores, sockets, caches and kinds, as far as files tell them.
@Suite struct DetailTests {
  static let cpu = "sys/devices/system/cpu"

  @Test func readsSocketsOfSeveralNodes() throws {
    let machine = try Machine(fixture: "epyc-nps4", affinity: "0-15")
    #expect(machine.cores == Array(0...15))
    #expect(machine.sockets == (0...15).map { $0 / 8 })
    #expect(machine.caches == (0...15).map { $0 / 2 })
  }

  @Test func readsACacheOfSeveralNodes() throws {
    let machine = try Machine(fixture: "xeon-snc2", affinity: "0-15")
    #expect(machine.cores == (0...15).map { $0 % 8 })
    #expect(machine.threads == (0...15).map { $0 / 8 })
    #expect(machine.sockets == (0...15).map { $0 % 8 / 4 })
    #expect(machine.caches == machine.sockets)
  }

  /// Numbers count what is allowed; CPU 12 is the second thread of a core whose first is not.
  @Test func numbersWhatIsAllowed() throws {
    let machine = try Machine(fixture: "xeon-snc2", affinity: "6-8,12,14")
    #expect(machine.cores == [0, 1, 2, 3, 0])
    #expect(machine.threads == [0, 0, 0, 0, 1])
    #expect(machine.sockets == [1, 1, 0, 1, 1])
    #expect(machine.caches == [0, 0, 1, 0, 0])
    #expect(machine.nodeCPUCounts == [1, 0, 1, 3])
    #expect(machine.nodeOnlineCounts == [4, 4, 4, 4])
    #expect(machine.onlineCount == 16)
  }

  @Test func tellsKindsByTheirLists() throws {
    let machine = try Machine(fixture: "hybrid", affinity: "0-9")
    #expect(machine.cores == [0, 0, 1, 1, 2, 3, 4, 5, 6, 7])
    // The low-power cores share an L2, which is their last.
    #expect(machine.caches == [0, 0, 0, 0, 0, 0, 0, 0, 1, 1])
    let (fast, slow) = (WP_CPU_KIND_PERFORMANCE, WP_CPU_KIND_EFFICIENCY)
    #expect(machine.kinds == Array(repeating: fast, count: 4) + Array(repeating: slow, count: 6))
    #expect(machine.capacities == Array(repeating: 0, count: 10))
  }

  @Test func tellsKindsByCapacity() throws {
    let machine = try Machine(fixture: "big-little", affinity: "0-7")
    #expect(machine.capacities == [446, 446, 446, 446, 871, 871, 871, 1024])
    #expect(machine.kinds == Array(repeating: WP_CPU_KIND_EFFICIENCY, count: 7) + [WP_CPU_KIND_PERFORMANCE])
    // No files of sockets or caches: each core has a cache of its own.
    #expect(machine.sockets == Array(repeating: -1, count: 8))
    #expect(machine.caches == Array(0...7))
  }

  /// One speed for all is no difference, and what is no number tells nothing.
  @Test func findsNoKindsWhereCapacitiesAreAlike() throws {
    let made = try MadeMachine(copying: "big-little")
    for cpu in 0..<8 { try made.write(cpu == 3 ? "fast\n" : "1024\n", to: "\(Self.cpu)/cpu\(cpu)/cpu_capacity") }
    let machine = try Machine(root: made.root, affinity: "0-7")
    #expect(machine.kinds == Array(repeating: WP_CPU_KIND_UNIFORM, count: 8))
    #expect(machine.capacities == [1024, 1024, 1024, 0, 1024, 1024, 1024, 1024])
  }

  /// Lists come before capacities, and cores of the third kind are not in the second list.
  @Test func prefersListsOfKinds() throws {
    let made = try MadeMachine(copying: "big-little")
    try made.write("0-1\n", to: "sys/devices/cpu_core/cpus")
    try made.write("2\n", to: "sys/devices/cpu_lowpower/cpus")
    let kinds = try Machine(root: made.root, affinity: "0-3").kinds
    #expect(kinds == [1, 1, 2, 0].map(wp_cpu_kind.init(rawValue:)))
  }

  @Test func readsNewerNames() throws {
    let made = try MadeMachine(copying: "xeon-snc2")
    for cpu in 0..<16 {
      let folder = "\(Self.cpu)/cpu\(cpu)/topology"
      try made.remove("\(folder)/core_siblings_list")
      try made.write(cpu % 8 < 4 ? "0-3,8-11\n" : "4-7,12-15\n", to: "\(folder)/package_cpus_list")
    }
    #expect(try Machine(root: made.root, affinity: "0-15").sockets == (0...15).map { $0 % 8 / 4 })
  }

  @Test(arguments: ["-1\n", "", "x\n", "1 2\n", "99999999999\n"])
  func knowsNoSocket(text: String) throws {
    let made = try MadeMachine(copying: "epyc-nps4")
    try made.write(text, to: "\(Self.cpu)/cpu0/topology/physical_package_id")
    // CPU 1 is asked instead, and its list has CPU 0, which stays where it was put.
    #expect(try Machine(root: made.root, affinity: "0-2").sockets.suffix(2) == [0, 0])
    try made.remove("\(Self.cpu)/cpu1/topology")
    #expect(try Machine(root: made.root, affinity: "0-1").sockets == [-1, -1])
  }

  /// The highest level of those that hold data, whatever the order of the indexes; a gap ends the list.
  @Test(arguments: [
    (["1 Data 0", "3 Unified 0-3", "2 Unified 0-1"], [0, 0, 0, 0]),
    (["2 Unified 0-1", "3 Instruction 0-3"], [0, 0, 1, 2]),
    (["2 Data 0-1", "2 Unified 0-3"], [0, 0, 1, 2]),  // the first of a level
    (["x Unified 0-3", "1 Data 0-2"], [0, 0, 0, 1]),
    (["3 Unified 1-3"], [0, 1, 2, 3]),  // not in its own list
    (["", "3 Unified 0-3"], [0, 1, 2, 3]),
    ([], [0, 1, 2, 3]),
  ])
  func findsTheLastCache(of caches: [String], groups: [Int]) throws {
    let made = try MadeMachine()
    for (index, cache) in caches.enumerated() where !cache.isEmpty {
      let folder = "\(Self.cpu)/cpu0/cache/index\(index)"
      let words = cache.split(separator: " ")
      try made.write(words[0] + "\n", to: "\(folder)/level")
      try made.write(words[1] + "\n", to: "\(folder)/type")
      try made.write(words[2] + "\n", to: "\(folder)/shared_cpu_list")
    }
    #expect(try Machine(root: made.root, affinity: "0-3").caches == groups)
  }

  /// A core that has a cache more, or another order of them, than the one before.
  @Test func looksForTheLastCacheOfEachCore() throws {
    let made = try MadeMachine()
    let caches = [
      0: ["1 Data 0", "2 Unified 0-1"], 2: ["1 Data 2", "2 Unified 2", "3 Unified 2-3"],
      4: ["1 Data 4", "3 Unified 4-5", "2 Unified 4"], 6: ["1 Data 6-7"],
    ]
    for (cpu, list) in caches {
      for (index, words) in list.map({ $0.split(separator: " ") }).enumerated() {
        for (name, word) in zip(["level", "type", "shared_cpu_list"], words) {
          try made.write(word + "\n", to: "\(Self.cpu)/cpu\(cpu)/cache/index\(index)/\(name)")
        }
      }
    }
    #expect(try Machine(root: made.root, affinity: "0-8").caches == [0, 0, 1, 1, 2, 2, 3, 3, 4])
  }

  @Test(arguments: ["xeon-snc2", "hybrid", "big-little"])
  func readsThemOnlyWhenAsked(fixture: String) throws {
    let root = Machine.fixtures.appending(path: fixture)
    let machine = try Machine(root: root, affinity: "0-7", details: false)
    let full = try Machine(root: root, affinity: "0-7")
    #expect(machine.cores == full.cores)
    #expect(machine.threads == full.threads)
    #expect(machine.nodeOnlineCounts == full.nodeOnlineCounts)
    #expect(machine.sockets == Array(repeating: -1, count: 8))
    #expect(machine.caches == machine.cores)
    #expect(machine.kinds == Array(repeating: WP_CPU_KIND_UNIFORM, count: 8))
    #expect(machine.capacities == Array(repeating: 0, count: 8))
  }

  /// A mask that "online" contradicts is believed, so then nothing else is online.
  @Test(arguments: [
    ("two-sockets", "2,10-11,4", 16, [8, 8]), ("two-sockets", "40", 1, [1, 0]), ("power9", "0-15", 16, [8, 8, 0, 0]),
    ("offline", "0-63", 5, [3, 2]), ("offline", "0", 5, [3, 2]), ("cgroup-none", "3-4", 2, [2]),
  ])
  func countsWhatIsOnline(fixture: String, affinity: String, online: Int, byNode: [Int]) throws {
    let machine = try Machine(fixture: fixture, affinity: affinity)
    #expect(machine.onlineCount == online)
    #expect(machine.nodeOnlineCounts == byNode)
  }

  /// Of a CPU that two nodes claim, the first has it; one that none does is the first node's.
  @Test func givesEveryCPUToOneNode() throws {
    let made = try MadeMachine(copying: "two-sockets")
    try made.write("1-5\n", to: "sys/devices/system/node/node0/cpulist")
    try made.write("4-8\n", to: "sys/devices/system/node/node1/cpulist")
    let machine = try Machine(root: made.root, affinity: "0,4-9")
    #expect(machine.cpuNodes == [0, 0, 0, 1, 1, 1, 0])
    #expect(machine.nodeCPUCounts == [4, 3])
    #expect(machine.nodeOnlineCounts == [13, 3])
  }
}
