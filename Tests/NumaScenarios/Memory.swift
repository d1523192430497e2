import CStress
import WorkerPool

let pageSize = 4096
/// Pages of each buffer.
let pages = 96
let elementCount = pages * pageSize / MemoryLayout<Int>.stride

/// What is asked of both kinds of memory.
private protocol Placed: Sendable, RandomAccessCollection where Element == Int, Index == Int {
  init(placed placement: MemoryPlacement, fill: Bool) throws
  subscript(index: Int) -> Int { get nonmutating set }
  func nodeOfEachPage() throws -> [Int?]
}

extension PlacedBuffer<Int>: Placed {
  fileprivate init(placed placement: MemoryPlacement, fill: Bool) throws {
    if fill {
      try self.init(0..<elementCount, placement: placement)
    } else {
      try self.init(count: elementCount, placement: placement)
    }
  }
}

extension SharedArray<Int>: Placed {
  fileprivate init(placed placement: MemoryPlacement, fill: Bool) throws {
    if fill {
      try self.init(0..<elementCount, placement: placement)
    } else {
      try self.init(count: elementCount, placement: placement) { _ in }
    }
  }
}

private func checkPlacement<Memory: Placed>(of type: Memory.Type, _ machine: Machine) throws {
  for node in machine.withMemory {
    let memory = try Memory(placed: .nodes([node.id]), fill: true)
    try expectEqual(try memory.nodeOfEachPage(), Array(repeating: node.id, count: pages), "\(type) on node \(node.id)")
    try expect(memory.elementsEqual(0..<elementCount), "\(type) on node \(node.id) lost its elements")
  }
  let all = machine.withMemory.map(\.id)
  let memory = try Memory(placed: .interleaved(), fill: true)
  var shares: [Int?: Int] = [:]
  for node in try memory.nodeOfEachPage() { shares[node, default: 0] += 1 }
  for id in all {
    let share = shares[id] ?? 0
    try expect(abs(share - pages / all.count) <= 1, "\(type), interleaved: \(share) of \(pages) pages on node \(id)")
  }
  try expectEqual(shares.values.reduce(0, +), pages, "\(type): pages")
}

func checkPlacedBuffers(_ machine: Machine) throws { try checkPlacement(of: PlacedBuffer<Int>.self, machine) }
func checkSharedArrays(_ machine: Machine) throws { try checkPlacement(of: SharedArray<Int>.self, machine) }

/// Each node's workers write a share of the memory; each share has to be on that node then.
private func checkFirstTouch<Memory: Placed>(of type: Memory.Type, _ machine: Machine) throws {
  let memory = try Memory(placed: .firstTouch, fill: false)
  try expectEqual(try memory.nodeOfEachPage(), Array(repeating: nil, count: pages), "\(type): pages nobody has written")
  let share = pages / machine.withCPUs.count
  for (index, node) in machine.withCPUs.enumerated() {
    let own = index * share..<(index + 1) * share
    let cpus = try withPool(nil, .node(node.id)) { pool in
      try pool.map(own) { page in
        memory[page * pageSize / MemoryLayout<Int>.stride] = page
        return Int(cs_current_cpu())
      }
    }
    for cpu in cpus { try expectEqual(try machine.node(ofCPU: cpu).id, node.id, "the node of a writer") }
  }
  let found = try memory.nodeOfEachPage()
  for (index, node) in machine.withCPUs.enumerated() {
    let expected = machine.firstTouch(from: node)
    for page in index * share..<(index + 1) * share {
      try expect(
        found[page].map(expected.contains) == true,
        "\(type): page \(page), first written on node \(node.id), is elsewhere: \(found.map { $0 ?? -1 })")
    }
  }
}

func checkFirstTouch(_ machine: Machine) throws {
  try checkFirstTouch(of: PlacedBuffer<Int>.self, machine)
  try checkFirstTouch(of: SharedArray<Int>.self, machine)
}
