import CWorkerPool
import Foundation
import Testing

/// Files that no kernel writes. Whatever they hold, there is a CPU and a node, and the answers fit together.
@Suite struct MalformedTests {
  static let cpu = "sys/devices/system/cpu"
  static let node = "sys/devices/system/node"

  static func checkConsistency(_ machine: Machine, sourceLocation: SourceLocation = #_sourceLocation) throws {
    #expect(!machine.cpus.isEmpty, sourceLocation: sourceLocation)
    #expect(machine.cpus == machine.cpus.sorted(), sourceLocation: sourceLocation)
    #expect((1...machine.cpus.count).contains(machine.granted), sourceLocation: sourceLocation)
    #expect(machine.nodeCPUCounts.reduce(0, +) == machine.cpus.count, sourceLocation: sourceLocation)
    #expect(machine.nodeOnlineCounts.reduce(0, +) == machine.onlineCount, sourceLocation: sourceLocation)
    #expect(machine.onlineCount >= machine.cpus.count, sourceLocation: sourceLocation)
    for numbers in [machine.cores, machine.caches] {
      // Numbered in the order in which they appear, without gaps.
      let first = numbers.indices.filter { numbers.firstIndex(of: numbers[$0]) == $0 }.map { numbers[$0] }
      #expect(first == Array(first.indices), sourceLocation: sourceLocation)
    }
    #expect(machine.siblings == machine.cpus.indices.filter { machine.threads[$0] > 0 }.map { machine.cpus[$0] })
    for node in machine.nodes.indices {
      #expect(machine.nearestNodes(from: node).sorted() == Array(machine.nodes.indices), sourceLocation: sourceLocation)
    }
    for policy in [WP_AFFINITY_NONE, WP_AFFINITY_COMPACT, WP_AFFINITY_SPREAD] {
      let placements = try machine.place(policy, workers: machine.cpus.count).get()
      #expect(placements.allSatisfy { machine.nodes.indices.contains($0.node) }, sourceLocation: sourceLocation)
      let cpus = policy == WP_AFFINITY_NONE ? machine.cpus : placements.map(\.cpu).sorted()
      #expect(cpus == machine.cpus, sourceLocation: sourceLocation)
    }
  }

  static let garbage: [(name: String, bytes: [UInt8])] = [
    ("empty", []), ("a blank line", Array("\n".utf8)), ("words", Array("no such device".utf8)),
    ("truncated", Array("0-".utf8)), ("a huge number", Array("0-4294967295\n".utf8)),
    ("backwards", Array("7-0\n".utf8)), ("NUL bytes", Array(repeating: 0, count: 100)),
    ("high bytes", Array(repeating: 255, count: 100)), ("5 MiB", Array(repeating: UInt8(ascii: "9"), count: 5 << 20)),
  ]

  @Test(arguments: [
    "\(cpu)/online", "\(node)/online", "\(node)/node1/cpulist", "\(node)/node1/distance", "\(node)/node1/meminfo",
    "\(cpu)/cpu0/topology/thread_siblings_list",
  ])
  func survivesGarbage(in file: String) throws {
    for (name, bytes) in Self.garbage {
      let made = try MadeMachine(copying: "two-sockets")
      try made.write(bytes, to: file)
      let machine = try Machine(root: made.root, affinity: "0-15")
      try Self.checkConsistency(machine)
      #expect(machine.cpus == Array(0...15), "\(name)")
    }
  }

  @Test(arguments: [
    "\(cpu)/cpu0/topology/physical_package_id", "\(cpu)/cpu0/topology/core_siblings_list",
    "\(cpu)/cpu0/cache/index3/level", "\(cpu)/cpu0/cache/index3/type", "\(cpu)/cpu0/cache/index3/shared_cpu_list",
    "\(cpu)/cpu0/cpu_capacity", "sys/devices/cpu_core/cpus", "sys/devices/cpu_atom/cpus",
  ])
  func survivesGarbage(inDetail file: String) throws {
    for (name, bytes) in Self.garbage {
      let made = try MadeMachine(copying: "hybrid")
      try made.write(bytes, to: file)
      let machine = try Machine(root: made.root, affinity: "0-9")
      try Self.checkConsistency(machine)
      #expect(machine.cpus == Array(0...9), "\(name)")
      #expect(machine.siblings == [1, 3], "\(name)")
    }
  }

  @Test func survivesMissingFiles() throws {
    let made = try MadeMachine(copying: "two-sockets")
    for path in [
      "\(Self.cpu)/cpu3", "\(Self.node)/node0/meminfo", "\(Self.node)/node1/distance", "\(Self.node)/node1",
      Self.node, Self.cpu, "sys",
    ] {
      try made.remove(path)
      let machine = try Machine(root: made.root, affinity: "0-15")
      try Self.checkConsistency(machine)
      #expect(machine.cpus == Array(0...15), "without \(path)")
    }
    #expect(try Machine(root: made.root, affinity: "0-15").nodes == [0])
  }

  /// An unreadable list of nodes, or of one node's CPUs, makes the machine one node; nothing is half believed.
  @Test(arguments: ["\(node)/online", "\(node)/node8/cpulist"], ["", "0-", "1024", "99999"])
  func fallsBackToOneNode(file: String, text: String) throws {
    // An empty cpulist is a node without CPUs, and 1024 is a CPU, so for that file these are no garbage.
    let valid = file.hasSuffix("cpulist") && (text == "" || text == "1024")
    let made = try MadeMachine(copying: "power9")
    try made.write(text, to: file)
    let machine = try Machine(root: made.root, affinity: "0-15")
    #expect(machine.nodes == (valid ? [0, 8, 252, 255] : [0]))
    #expect(machine.nodeCPUCounts == (valid ? [16, 0, 0, 0] : [16]))
    #expect(machine.distances.count == machine.nodes.count)
  }

  /// One bad row of distances costs that row.
  @Test(arguments: ["", "10", "10 20 30", "10 x", "10 0", "10 70000", "-10 20", "21 10 \u{0}"])
  func fallsBackToDefaultDistances(row: String) throws {
    let made = try MadeMachine(copying: "two-sockets")
    try made.write(row, to: "\(Self.node)/node1/distance")
    #expect(try Machine(root: made.root, affinity: "0").distances == [[10, 21], [20, 10]])
  }

  @Test(arguments: [
    ("Node 1 MemFree: 3 kB\nNode 1 MemTotal:\t2048 kB\n", 2048 * 1024), ("Node 1 MemTotal: 2048 MB\n", 0),
    ("Node 1 MemTotal: 99999999999999999999 kB\n", 0), ("Node 1 MemTotal:", 0), ("Node 1 MemTotal: -5 kB", 0),
  ])
  func readsMemory(text: String, bytes: UInt64) throws {
    let made = try MadeMachine(copying: "two-sockets")
    try made.write(text, to: "\(Self.node)/node1/meminfo")
    #expect(try Machine(root: made.root, affinity: "0").memory[1] == bytes)
  }

  @Test func readsTheNewerNameOfSiblings() throws {
    let made = try MadeMachine(copying: "laptop")
    try made.remove("\(Self.cpu)/cpu1/topology/thread_siblings_list")
    try made.remove("\(Self.cpu)/cpu5/topology/thread_siblings_list")
    #expect(try Machine(root: made.root, affinity: "0-7").siblings == [4, 6, 7])
    try made.write("1,5\n", to: "\(Self.cpu)/cpu1/topology/core_cpus_list")
    #expect(try Machine(root: made.root, affinity: "0-7").siblings == [4, 5, 6, 7])
  }

  @Test func doesNotHangOnAFIFO() throws {
    let made = try MadeMachine(copying: "cgroup-v2-namespace")
    try made.remove("sys/fs/cgroup/cpu.max")
    #expect(mkfifo(made.root.appending(path: "sys/fs/cgroup/cpu.max").path, 0o600) == 0)
    #expect(try Machine(root: made.root, affinity: "0-3").quota == 0)
  }

  /// A few hundred damaged copies of real files, the same ones in every run.
  @Test(arguments: ["two-sockets", "hybrid", "cgroup-v1-nested", "cgroup-v2-k8s"])
  func survivesDamage(to fixture: String) throws {
    let files = try FileManager.default.subpathsOfDirectory(
      atPath: Machine.fixtures.appending(path: fixture).path
    ).sorted()
    var state: UInt64 = 1
    func random(below limit: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % limit
    }
    let made = try MadeMachine(copying: fixture)
    for file in files {
      guard let original = FileManager.default.contents(atPath: made.root.appending(path: file).path) else { continue }
      for _ in 0..<max(3, 500 / files.count) {
        var bytes = Array(original)
        for _ in 0...random(below: 4) where !bytes.isEmpty {
          switch random(below: 3) {
          case 0: bytes[random(below: bytes.count)] = UInt8(random(below: 256))
          case 1: bytes[random(below: bytes.count)] = Array("0-,: /\n".utf8)[random(below: 7)]
          default: bytes.removeLast(random(below: bytes.count))
          }
        }
        try made.write(bytes, to: file)
        try Self.checkConsistency(try Machine(root: made.root, affinity: "0-15"))
      }
      try made.write(Array(original), to: file)
    }
  }
}
