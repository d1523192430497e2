import CWorkerPool
import Foundation
import Testing
import ThreadTestSupport
import WorkerPool

/// What stands in a fixture's /sys, and what comes out.
struct Shape: Sendable, CustomTestStringConvertible {
  var fixture: String
  var affinity: String
  var cpus: [Int]
  var cpuNodes: [Int]
  var siblings: [Int] = []
  var nodes: [Int]
  var nodeCPUCounts: [Int]
  var kilobytes: [UInt64]
  var distances: [[Int]]
  var testDescription: String { "\(fixture), \(affinity)" }

  static let all = [
    Shape(
      fixture: "laptop", affinity: "0-7", cpus: Array(0...7), cpuNodes: Array(repeating: 0, count: 8),
      siblings: [4, 5, 6, 7], nodes: [0], nodeCPUCounts: [8], kilobytes: [16_252_928], distances: [[10]]),
    Shape(
      fixture: "two-sockets", affinity: "0-1023", cpus: Array(0...15),
      cpuNodes: [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1], siblings: Array(8...15), nodes: [0, 1],
      nodeCPUCounts: [8, 8], kilobytes: [65_843_224, 66_055_212], distances: [[10, 21], [21, 10]]),
    // CPU 11's twin (3) is not allowed, so 11 stands for its core; CPU 40 does not exist.
    Shape(
      fixture: "two-sockets", affinity: " 2,10-11,4,40\n", cpus: [2, 4, 10, 11], cpuNodes: [0, 1, 0, 0], siblings: [10],
      nodes: [0, 1], nodeCPUCounts: [3, 1], kilobytes: [65_843_224, 66_055_212], distances: [[10, 21], [21, 10]]),
    Shape(
      fixture: "four-nodes", affinity: "0-7", cpus: Array(0...7), cpuNodes: [0, 0, 1, 1, 2, 2, 3, 3],
      nodes: [0, 1, 2, 3],
      nodeCPUCounts: [2, 2, 2, 2], kilobytes: Array(repeating: 16_384_000, count: 4),
      distances: [[10, 16, 22, 16], [16, 10, 16, 22], [22, 16, 10, 16], [16, 22, 16, 10]]),
    // Sparse ids, four threads a core, nodes of GPU memory without CPUs.
    Shape(
      fixture: "power9", affinity: "0-15", cpus: Array(0...15), cpuNodes: (0...15).map { $0 / 8 },
      siblings: (0...15).filter { $0 % 4 != 0 }, nodes: [0, 8, 252, 255], nodeCPUCounts: [8, 8, 0, 0],
      kilobytes: [267_386_880, 267_972_608, 16_515_072, 16_515_072],
      distances: [[10, 40, 80, 80], [40, 10, 80, 80], [80, 80, 10, 80], [80, 80, 80, 10]]),
    Shape(
      fixture: "cxl", affinity: "0-3", cpus: [0, 1, 2, 3], cpuNodes: [0, 0, 1, 1], nodes: [0, 1, 2],
      nodeCPUCounts: [2, 2, 0],
      kilobytes: [32_768_000, 32_768_000, 134_217_728], distances: [[10, 21, 14], [21, 10, 24], [14, 24, 10]]),
    Shape(
      fixture: "memoryless", affinity: "0-3", cpus: [0, 1, 2, 3], cpuNodes: [0, 0, 1, 1], nodes: [0, 1],
      nodeCPUCounts: [2, 2], kilobytes: [8_146_000, 0], distances: [[10, 20], [20, 10]]),
    Shape(
      fixture: "offline", affinity: "0-7", cpus: [0, 1, 2, 5, 7], cpuNodes: [0, 0, 1, 0, 1], siblings: [5],
      nodes: [0, 1],
      nodeCPUCounts: [3, 2], kilobytes: [8_146_000, 8_146_000], distances: [[10, 21], [21, 10]]),
    // Two sockets of four nodes each.
    Shape(
      fixture: "epyc-nps4", affinity: "0-15", cpus: Array(0...15), cpuNodes: (0...15).map { $0 / 2 },
      nodes: Array(0...7), nodeCPUCounts: Array(repeating: 2, count: 8),

      kilobytes: (0...7).map { UInt64(32_831_000 + $0 * 1024) },
      distances: (0..<8).map { from in (0..<8).map { $0 == from ? 10 : $0 / 4 == from / 4 ? 12 : 32 } }),
    // Sub-NUMA clustering: two nodes in a socket share its cache.
    Shape(
      fixture: "xeon-snc2", affinity: "0-15", cpus: Array(0...15), cpuNodes: (0...15).map { $0 % 8 / 2 },
      siblings: Array(8...15), nodes: Array(0...3), nodeCPUCounts: Array(repeating: 4, count: 4),
      kilobytes: Array(repeating: 49_152_000, count: 4),
      distances: [[10, 12, 21, 21], [12, 10, 21, 21], [21, 21, 10, 12], [21, 21, 12, 10]]),
    // Two hops within a group of four sockets, three at most across.
    Shape(
      fixture: "eight-sockets", affinity: "0-15", cpus: Array(0...15), cpuNodes: (0...15).map { $0 / 2 },
      nodes: Array(0...7), nodeCPUCounts: Array(repeating: 2, count: 8),
      kilobytes: Array(repeating: 131_891_200, count: 8),
      distances: (0..<8).map { from in
        (0..<8).map { to in
          if from == to { return 10 }
          if from / 4 == to / 4 { return (from ^ to).nonzeroBitCount == 1 ? 21 : 31 }
          return from % 4 == to % 4 ? 31 : 41
        }
      }),
    Shape(
      fixture: "hybrid", affinity: "0-9", cpus: Array(0...9), cpuNodes: Array(repeating: 0, count: 10),
      siblings: [1, 3],
      nodes: [0], nodeCPUCounts: [10], kilobytes: [32_505_856], distances: [[10]]),
    // No nodes at all, as where the kernel is built without NUMA.
    Shape(
      fixture: "big-little", affinity: "0-7", cpus: Array(0...7), cpuNodes: Array(repeating: 0, count: 8), nodes: [0],
      nodeCPUCounts: [8], kilobytes: [0], distances: [[10]]),
    // Mask and "online" have nothing in common: the mask is what the kernel enforces.
    Shape(
      fixture: "laptop", affinity: "40,42", cpus: [40, 42], cpuNodes: [0, 0], nodes: [0], nodeCPUCounts: [2],
      kilobytes: [16_252_928], distances: [[10]]),
  ]
}

@Suite struct MachineTests {
  @Test(arguments: Shape.all)
  func readsTheShape(_ shape: Shape) throws {
    let machine = try Machine(fixture: shape.fixture, affinity: shape.affinity)
    #expect(machine.cpus == shape.cpus)
    #expect(machine.cpuNodes == shape.cpuNodes)
    #expect(machine.siblings == shape.siblings)
    #expect(machine.nodes == shape.nodes)
    #expect(machine.nodeCPUCounts == shape.nodeCPUCounts)
    #expect(machine.memory == shape.kilobytes.map { $0 * 1024 })
    #expect(machine.distances == shape.distances)
    #expect(machine.granted == shape.cpus.count)
  }

  @Test(arguments: [
    ("laptop", [[0]]),
    ("cxl", [[0, 2, 1], [1, 0, 2], [2, 0, 1]]),
    ("four-nodes", [[0, 1, 3, 2], [1, 0, 2, 3], [2, 1, 3, 0], [3, 0, 2, 1]]),
    ("power9", [[0, 1, 2, 3], [1, 0, 2, 3], [2, 0, 1, 3], [3, 0, 1, 2]]),
  ])
  func ordersNodesByDistance(fixture: String, orders: [[Int]]) throws {
    let machine = try Machine(fixture: fixture, affinity: "0")
    #expect(machine.nodes.indices.map(machine.nearestNodes) == orders)
  }

  @Test func aNodeIsNearestToItselfWhateverTheFirmwareSays() throws {
    let made = try MadeMachine(copying: "four-nodes")
    try made.write("5 9 90 3\n", to: "sys/devices/system/node/node2/distance")
    #expect(try Machine(root: made.root).nearestNodes(from: 2) == [2, 3, 0, 1])
    #expect(try Machine(root: made.root).nearestMemory(to: 2) == 2)
  }

  @Test(arguments: [("cxl", [0, 1, 2]), ("memoryless", [0, 0]), ("power9", [0, 1, 2, 3]), ("big-little", [0])])
  func findsTheNearestMemory(fixture: String, nodes: [Int]) throws {
    let machine = try Machine(fixture: fixture, affinity: "0")
    #expect(machine.nodes.indices.map(machine.nearestMemory) == nodes)
  }

  /// What a cpuset leaves of the memory; a list that leaves nothing, or is none, is not heeded.
  @Test(arguments: [
    ("0-3", "0-3", [0, 1, 2, 3]), ("1,3", "1,3", [1, 1, 1, 3]), ("2", "2", [2, 2, 2, 2]), ("7", "0-3", [0, 1, 2, 3]),
    ("", "0-3", [0, 1, 2, 3]), ("1-", "0-3", [0, 1, 2, 3]), ("1,9", "1", [1, 1, 1, 1]),
  ]) func heedsTheMemoryOfACpuset(list: String, allowed: String, nearest: [Int]) throws {
    let made = try MadeMachine(copying: "four-nodes")
    try made.write("Name:\tx\nMems_allowed:\t0f\nMems_allowed_list:\t\(list)\nseccomp:\t0\n", to: "proc/self/status")
    let machine = try Machine(root: made.root)
    let expected = (0...3).map { node in
      allowed == "0-3" || allowed.split(separator: ",").contains("\(node)")
    }
    #expect(machine.memoryIsAllowed == expected)
    #expect(machine.nodes.indices.map(machine.nearestMemory) == nearest)
    #expect(machine.describe(capacity: 4096).text.contains("not allowed\n") == expected.contains(false))
  }

  @Test(arguments: [
    "", "\n", ",", "0,", ",0", "3-1,2", "0-", "-3", "a", "0x3", "0 1", "0-3:1/2", "32768", "0-99999999999999999999",
  ])
  func refusesAffinityThatIsNoList(_ affinity: String) {
    let failure = #expect(throws: Machine.Failure.self) { try Machine(fixture: "laptop", affinity: affinity) }
    #expect(failure?.status == WP_INVALID_ARGUMENT)
    #expect(failure?.call == "affinity")
  }

  @Test func answersForIndexesOutOfRange() throws {
    var handle: OpaquePointer?
    #expect(wp_topology_create(nil, &handle, nil) == WP_OK)
    let topology = try #require(handle)
    defer { wp_topology_destroy(topology) }
    #expect(wp_topology_cpu_id(topology, .max) == -1)
    #expect(wp_topology_cpu_core(topology, .max) == 0)
    #expect(wp_topology_cpu_thread(topology, .max) == 0)
    #expect(wp_topology_cpu_socket(topology, .max) == -1)
    #expect(wp_topology_cpu_cache(topology, .max) == 0)
    #expect(wp_topology_cpu_kind(topology, .max) == WP_CPU_KIND_UNIFORM)
    #expect(wp_topology_cpu_capacity(topology, .max) == 0)
    #expect(wp_topology_node_online_count(topology, .max) == 0)
    #expect(wp_topology_cpu_node(topology, .max) == 0)
    #expect(!wp_topology_cpu_is_sibling(topology, .max))
    #expect(wp_topology_node_id(topology, .max) == -1)
    #expect(wp_topology_node_cpu_count(topology, .max) == 0)
    #expect(wp_topology_node_memory(topology, .max) == 0)
    #expect(wp_topology_distance(topology, 0, .max) == 20)
    wp_topology_destroy(nil)
  }
}

/// 2 sockets of 4 nodes of 32 cores with two threads each, 8 cores to a cache: CPU n and n + 256 share a core.
@Suite struct LargeMachineTests {
  /// - Parameter hasCaches: False for a virtual machine that hides them, for which no file serves two cores.
  static func make(hasCaches: Bool = true) throws -> MadeMachine {
    let made = try MadeMachine()
    try made.write("0-511\n", to: "sys/devices/system/cpu/online")
    try made.write("0-7\n", to: "sys/devices/system/node/online")
    for node in 0..<8 {
      let folder = "sys/devices/system/node/node\(node)"
      try made.write(Self.cpus(first: node * 32, count: 32), to: "\(folder)/cpulist")
      let row = (0..<8).map { $0 == node ? "10" : $0 / 4 == node / 4 ? "12" : "32" }
      try made.write(row.joined(separator: " ") + "\n", to: "\(folder)/distance")
      try made.write("Node \(node) MemTotal:  131072000 kB\n", to: "\(folder)/meminfo")
    }
    for cpu in 0..<512 {
      let folder = "sys/devices/system/cpu/cpu\(cpu)"
      let threads = "\(cpu % 256),\(cpu % 256 + 256)\n"
      try made.write(threads, to: "\(folder)/topology/thread_siblings_list")
      try made.write("\(cpu % 256 / 128)\n", to: "\(folder)/topology/physical_package_id")
      try made.write(Self.cpus(first: cpu % 256 / 128 * 128, count: 128), to: "\(folder)/topology/core_siblings_list")
      let shared = Self.cpus(first: cpu % 256 / 8 * 8, count: 8)
      let caches = [(1, "Data", threads), (1, "Instruction", threads), (2, "Unified", threads), (3, "Unified", shared)]
      for (index, cache) in caches.enumerated() where hasCaches || index < 3 {
        try made.write("\(cache.0)\n", to: "\(folder)/cache/index\(index)/level")
        try made.write("\(cache.1)\n", to: "\(folder)/cache/index\(index)/type")
        try made.write(cache.2, to: "\(folder)/cache/index\(index)/shared_cpu_list")
      }
    }
    return made
  }

  private static func cpus(first: Int, count: Int) -> String {
    "\(first)-\(first + count - 1),\(first + 256)-\(first + 255 + count)\n"
  }

  @Test func readsItWithin20Milliseconds() throws {
    let made = try Self.make()
    let machine = try Machine(root: made.root, affinity: "0-511", details: false)
    #expect(machine.cpus == Array(0..<512))
    #expect(machine.cpuNodes == (0..<512).map { $0 % 256 / 32 })
    #expect(machine.siblings == Array(256..<512))
    #expect(machine.nodeCPUCounts == Array(repeating: 64, count: 8))
    #expect(machine.nearestNodes(from: 5) == [5, 4, 6, 7, 0, 1, 2, 3])
    let spread = try machine.place(WP_AFFINITY_SPREAD, workers: 512).get()
    #expect(Set(spread.map(\.cpu)).count == 512)
    #expect(spread.map(\.node) == (0..<512).map { $0 % 8 })
    #expect(spread.prefix(256).allSatisfy { $0.cpu < 256 })
    #expect(try fastest { _ = try Machine(root: made.root, affinity: "0-511", details: false) } < limit(20))

    let topology = try CPUTopology(
      source: .init(
        sysRoot: made.root.path + "/sys", procRoot: made.root.path + "/proc", affinity: "0-511", environmentCPUs: "600")
    )
    #expect(topology.cpus.map(\.core) == (0..<512).map { $0 % 256 })
    #expect(topology.cpus.map(\.socket) == (0..<512).map { $0 % 256 / 128 })
    #expect(topology.cpus.map(\.lastLevelCache) == (0..<512).map { $0 % 256 / 8 })
    #expect(topology.grant == 512)
    #expect(try fastest { _ = try Machine(root: made.root, affinity: "0-511", details: true) } < limit(20))
  }

  /// With the reading of the machine, and a worker on each node. The workers float: they run on another machine.
  @Test func startsAPoolWithin20Milliseconds() throws {
    let made = try Self.make()
    let nodes = try withExtendedLifetime(made) {
      try made.root.appending(path: "sys").path.withCString { sys in
        try made.root.appending(path: "proc").path.withCString { proc in
          try "0-511".withCString { affinity in
            var source = wp_topology_source()
            source.sys_root = sys
            source.proc_root = proc
            source.affinity = affinity
            return try withUnsafePointer(to: &source) { source in
              var nodes: UInt32 = 0
              let time = try fastest { nodes = try Self.startPool(of: 8, on: source) }
              #expect(time < limit(20))
              return nodes
            }
          }
        }
      }
    }
    #expect(nodes == 8)
  }

  /// Starts and ends a pool. Returns how many nodes it knows.
  private static func startPool(of workers: UInt32, on machine: UnsafePointer<wp_topology_source>) throws -> UInt32 {
    var config = wp_thread_pool_config()
    config.worker_count = workers
    config.machine = machine
    var pool: OpaquePointer?
    let status = wp_thread_pool_create(&config, &pool, nil)
    guard status == WP_OK, let pool else { throw Machine.Failure(status: status, call: "wp_thread_pool_create") }
    defer {
      wp_thread_pool_close(pool)
      wp_thread_pool_join(pool)
      wp_thread_pool_release(pool)
    }
    return wp_thread_pool_node_count(pool)
  }

  @Test func groupsByTheLastCacheThatIsThere() throws {
    let made = try Self.make(hasCaches: false)
    let machine = try Machine(root: made.root, affinity: "0-511")
    #expect(machine.caches == (0..<512).map { $0 % 256 })
  }

  /// Nothing is quadratic in the CPUs, not even where every file is missing.
  @Test func readsTheLargestMask() throws {
    let machine = try Machine(root: try MadeMachine().root, affinity: "0-32767", details: true)
    #expect(machine.cpus == Array(0..<32_768))
    #expect(machine.cores == machine.cpus)
    #expect(machine.caches == machine.cpus)
    #expect(machine.describe(capacity: 0).length > 32_768)
  }
}

/// Milliseconds that something may take; a sanitizer's own time does not count.
func limit(_ milliseconds: Int) -> Duration { .milliseconds(runsUnderSanitizer ? 10 * milliseconds : milliseconds) }

/// The shortest of ten runs: what the work takes when nothing else gets in its way.
func fastest(_ work: () throws -> Void) rethrows -> Duration {
  var best = Duration.seconds(1000)
  for _ in 0..<10 { best = min(best, try ContinuousClock().measure(work)) }
  return best
}
