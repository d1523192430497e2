import CWorkerPool
import Testing

@Suite struct PlacementTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var fixture: String
    var affinity: wp_affinity
    var cpus: [Int32] = []
    var node: Int32 = 0
    var expectedCPUs: [Int]
    var expectedNodes: [Int]
    var testDescription: String { "\(fixture), policy \(affinity.rawValue), \(expectedCPUs.count) workers" }

    static let all = [
      Case(
        fixture: "two-sockets", affinity: WP_AFFINITY_COMPACT, expectedCPUs: [0, 1, 2, 3, 8, 9, 10, 11, 4, 5],
        expectedNodes: [0, 0, 0, 0, 0, 0, 0, 0, 1, 1]),
      Case(
        fixture: "two-sockets", affinity: WP_AFFINITY_SPREAD,
        expectedCPUs: [0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15, 0, 4],
        expectedNodes: (0..<18).map { $0 % 2 }),
      Case(
        fixture: "power9", affinity: WP_AFFINITY_COMPACT, expectedCPUs: [0, 4, 1, 5, 2, 6, 3, 7, 8, 12],
        expectedNodes: [0, 0, 0, 0, 0, 0, 0, 0, 1, 1]),
      Case(
        fixture: "power9", affinity: WP_AFFINITY_SPREAD, expectedCPUs: [0, 8, 4, 12, 1, 9],
        expectedNodes: [0, 1, 0, 1, 0, 1]),
      // Uneven nodes: cores of the larger one before anyone's second thread.
      Case(
        fixture: "offline", affinity: WP_AFFINITY_SPREAD, expectedCPUs: [0, 2, 1, 7, 5, 0],
        expectedNodes: [0, 1, 0, 1, 0, 0]),
      Case(fixture: "offline", affinity: WP_AFFINITY_NONE, expectedCPUs: [-1], expectedNodes: [0]),
      Case(fixture: "cxl", affinity: WP_AFFINITY_NONE, expectedCPUs: [-1], expectedNodes: [0]),
      Case(
        fixture: "offline", affinity: WP_AFFINITY_NONE, expectedCPUs: Array(repeating: -1, count: 10),
        expectedNodes: [0, 0, 0, 0, 0, 0, 1, 1, 1, 1]),
      Case(
        fixture: "cxl", affinity: WP_AFFINITY_NONE, expectedCPUs: [-1, -1, -1, -1], expectedNodes: [0, 0, 1, 1]),
      Case(
        fixture: "cxl", affinity: WP_AFFINITY_COMPACT, expectedCPUs: [0, 1, 2, 3, 0], expectedNodes: [0, 0, 1, 1, 0]),
      Case(
        fixture: "cxl", affinity: WP_AFFINITY_CPUS, cpus: [3, 0, 3], expectedCPUs: [3, 0, 3, 3, 0],
        expectedNodes: [1, 0, 1, 1, 0]),
      Case(fixture: "cxl", affinity: WP_AFFINITY_CPUS, cpus: [2, 1], expectedCPUs: [2], expectedNodes: [1]),
      Case(fixture: "cxl", affinity: WP_AFFINITY_COMPACT, expectedCPUs: [], expectedNodes: []),
      Case(
        fixture: "power9", affinity: WP_AFFINITY_NODE, node: 8,
        expectedCPUs: [8, 12, 9, 13, 10, 14, 11, 15, 8, 12], expectedNodes: Array(repeating: 1, count: 10)),
      Case(
        fixture: "offline", affinity: WP_AFFINITY_NODE, node: 1, expectedCPUs: [2, 7, 2], expectedNodes: [1, 1, 1]),
    ]
  }

  @Test(arguments: Case.all)
  func places(_ test: Case) throws {
    let machine = try Machine(fixture: test.fixture, affinity: "0-63")
    let placements = try machine.place(test.affinity, on: test.cpus, node: test.node, workers: test.expectedCPUs.count)
      .get()
    #expect(placements.map(\.cpu) == test.expectedCPUs)
    #expect(placements.map(\.node) == test.expectedNodes)
  }

  @Test(
    arguments: [
      ([0, 3], 3),  // offline
      ([0, 1, -1], -1),
      ([0, 7], 7),  // online, outside of the mask
      ([Int32.max], Int(Int32.max)),
      ([], nil),
    ] as [([Int32], Int?)])
  func namesTheRefusedCPU(cpus: [Int32], refused: Int?) throws {
    let machine = try Machine(fixture: "offline", affinity: "0-5")
    let refusal = Machine.Refusal(status: WP_INVALID_ARGUMENT, number: refused)
    #expect(machine.place(WP_AFFINITY_CPUS, on: cpus, workers: 1) == .failure(refusal))
  }

  /// Absent, negative, or without a CPU that is online and allowed.
  @Test(arguments: [("power9", 1), ("power9", 252), ("power9", -1), ("offline", 7)] as [(String, Int32)])
  func namesTheRefusedNode(fixture: String, node: Int32) throws {
    let machine = try Machine(fixture: fixture, affinity: "0-63")
    let refusal = Machine.Refusal(status: WP_INVALID_ARGUMENT, number: Int(node))
    #expect(machine.place(WP_AFFINITY_NODE, node: node, workers: 3) == .failure(refusal))
  }

  @Test func refusesANodeOutsideOfTheMask() throws {
    let machine = try Machine(fixture: "cxl", affinity: "0-1")
    let refusal = Machine.Refusal(status: WP_INVALID_ARGUMENT, number: 1)
    #expect(machine.place(WP_AFFINITY_NODE, node: 1, workers: 1) == .failure(refusal))
  }

  @Test func refusesAnUnknownPolicy() throws {
    let machine = try Machine(fixture: "laptop", affinity: "0")
    let refusal = Machine.Refusal(status: WP_INVALID_ARGUMENT, number: nil)
    #expect(machine.place(wp_affinity(rawValue: 99), workers: 1) == .failure(refusal))
  }

  /// No node is a whole worker away from its proportion, for any number of workers.
  @Test func floatingWorkersFollowTheCPUs() throws {
    let machine = try Machine(fixture: "two-sockets", affinity: "0-2,4-15")
    for workers in 1...40 {
      let nodes = try machine.place(WP_AFFINITY_NONE, workers: workers).get().map(\.node)
      for (node, cpus) in machine.nodeCPUCounts.enumerated() {
        let share = Double(workers * cpus) / Double(machine.cpus.count)
        #expect(abs(Double(nodes.count { $0 == node }) - share) < 1, "\(workers) workers")
      }
    }
  }
}
