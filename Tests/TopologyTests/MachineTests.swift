import CWorkerPool
import Foundation
import Testing

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
    #expect(wp_topology_cpu_node(topology, .max) == 0)
    #expect(!wp_topology_cpu_is_sibling(topology, .max))
    #expect(wp_topology_node_id(topology, .max) == -1)
    #expect(wp_topology_node_cpu_count(topology, .max) == 0)
    #expect(wp_topology_node_memory(topology, .max) == 0)
    #expect(wp_topology_distance(topology, 0, .max) == 20)
    wp_topology_destroy(nil)
  }
}

/// 8 nodes of 32 cores with two threads each: CPU n and n + 256 share a core.
@Suite struct LargeMachineTests {
  static func make() throws -> MadeMachine {
    let made = try MadeMachine()
    try made.write("0-511\n", to: "sys/devices/system/cpu/online")
    try made.write("0-7\n", to: "sys/devices/system/node/online")
    for node in 0..<8 {
      let folder = "sys/devices/system/node/node\(node)"
      let first = node * 32
      try made.write("\(first)-\(first + 31),\(first + 256)-\(first + 287)\n", to: "\(folder)/cpulist")
      let row = (0..<8).map { $0 == node ? "10" : $0 / 4 == node / 4 ? "12" : "32" }
      try made.write(row.joined(separator: " ") + "\n", to: "\(folder)/distance")
      try made.write("Node \(node) MemTotal:  131072000 kB\n", to: "\(folder)/meminfo")
    }
    for cpu in 0..<512 {
      let list = "\(cpu % 256),\(cpu % 256 + 256)\n"
      try made.write(list, to: "sys/devices/system/cpu/cpu\(cpu)/topology/thread_siblings_list")
    }
    return made
  }

  @Test func readsItWithin20Milliseconds() throws {
    let made = try Self.make()
    let machine = try Machine(root: made.root, affinity: "0-511")
    #expect(machine.cpus == Array(0..<512))
    #expect(machine.cpuNodes == (0..<512).map { $0 % 256 / 32 })
    #expect(machine.siblings == Array(256..<512))
    #expect(machine.nodeCPUCounts == Array(repeating: 64, count: 8))
    #expect(machine.nearestNodes(from: 5) == [5, 4, 6, 7, 0, 1, 2, 3])
    let spread = try machine.place(WP_AFFINITY_SPREAD, workers: 512).get()
    #expect(Set(spread.map(\.cpu)).count == 512)
    #expect(spread.map(\.node) == (0..<512).map { $0 % 8 })
    #expect(spread.prefix(256).allSatisfy { $0.cpu < 256 })
    #expect(try fastest { _ = try Machine(root: made.root, affinity: "0-511") } < .milliseconds(20))
  }
}

/// The shortest of ten runs: what the work takes when nothing else gets in its way.
func fastest(_ work: () throws -> Void) rethrows -> Duration {
  var best = Duration.seconds(1000)
  for _ in 0..<10 { best = min(best, try ContinuousClock().measure(work)) }
  return best
}
