import CStress
import Glibc
import Synchronization
import WorkerPool

/// Few enough for the buffer to hold no huge page, which would lie on one node with parts of two nodes' shares.
private let mapPages = 480
private let elementsPerPage = pageSize / MemoryLayout<Int>.stride

/// The starts of chunks in one `map`, each of one page, in their order.
private final class Starts: Sendable {
  private let count = Atomic(0)
  /// By page: when it started, and on which CPU.
  private let turns: [Box]
  /// How far each node's share has come, which keeps the nodes in step: without that, emulated CPUs of which two run at
  /// a time leave some nodes without work long before the others.
  private let done: [Box]

  private final class Box: Sendable {
    let value = Atomic(0)
    let cpu = Atomic(-1)
  }

  init(nodes: Int) {
    turns = (0..<mapPages).map { _ in Box() }
    done = (0..<nodes).map { _ in Box() }
  }

  /// Whether a share has come so far ahead of another that is not done that it should wait.
  private func isAhead(_ share: Int) -> Bool {
    let progress = done.map { $0.value.load(ordering: .relaxed) }
    let total = mapPages / done.count
    let least = progress.filter { $0 < total - 8 }.min() ?? progress[share]
    return progress[share] > least + 8
  }

  func start(_ page: Int) {
    let share = min(page * done.count / mapPages, done.count - 1)
    turns[page].cpu.store(Int(cs_current_cpu()), ordering: .relaxed)
    turns[page].value.store(count.add(1, ordering: .relaxed).newValue, ordering: .relaxed)
    while isAhead(share) { sched_yield() }
    done[share].value.add(1, ordering: .relaxed)
  }

  /// In the order of their starts.
  var all: [(page: Int, cpu: Int)] {
    turns.indices.map { (turns[$0].value.load(ordering: .relaxed), $0) }.sorted { $0.0 < $1.0 }
      .map { ($0.1, turns[$0.1].cpu.load(ordering: .relaxed)) }
  }
}

/// The first `map` puts pages on the nodes; each that follows has to start its chunks where their pages are, as long as
/// every node has chunks left.
func checkLocalMap(_ machine: Machine) throws {
  try withPool(machine.cpus.count, .spread) { pool in
    let buffer = try PlacedBuffer<Int>(count: mapPages * elementsPerPage)
    for round in 0..<4 {
      let starts = Starts(nodes: machine.withCPUs.count)
      let outputs = try pool.map(0..<mapPages, chunkSize: 1) { page in
        starts.start(page)
        buffer[page * elementsPerPage] += page
        return page
      }
      try expect(outputs.elementsEqual(0..<mapPages), "outputs of round \(round)")
      if round > 0 { try expectLocal(starts.all, try buffer.nodeOfEachPage(), machine, round) }
    }
    for page in 0..<mapPages { try expectEqual(buffer[page * elementsPerPage], 4 * page, "page \(page)") }
  }
}

private func expectLocal(
  _ starts: [(page: Int, cpu: Int)], _ nodes: [Int?], _ machine: Machine, _ round: Int
) throws {
  // Chunks that have not started, by the node that holds their page.
  var left: [Int: Int] = [:]
  for node in nodes { left[node ?? -1, default: 0] += 1 }
  let holders = Set(machine.withCPUs.filter(\.hasMemory).map(\.id))
  try expect(holders.isSubset(of: left.keys), "nodes \(holders) hold pages: \(left)")
  try expect(left.values.min()! > mapPages / machine.withCPUs.count / 4 * 3, "the pages are spread: \(left)")
  var local = 0
  var counted = 0
  for start in starts {
    guard left.values.allSatisfy({ $0 > 0 }) else { break }
    let holder = nodes[start.page]!
    left[holder]! -= 1
    counted += 1
    if machine.firstTouch(from: try machine.node(ofCPU: start.cpu)).contains(holder) { local += 1 }
  }
  try expect(counted > mapPages / 2, "only \(counted) chunks started while all nodes had some")
  try expect(local * 100 >= counted * 99, "round \(round): \(local) of \(counted) chunks started where their pages are")
  print("round \(round): \(local) of \(counted) chunks started where their pages are")
}
