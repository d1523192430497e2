import CStress
import Synchronization
import ThreadTestSupport
import WorkerPool

/// Few enough for the buffer to hold no huge page, which would lie on one node with parts of two nodes' shares.
private let mapPages = 480
private let elementsPerPage = pageSize / MemoryLayout<Int>.stride

/// The starts of chunks in one `map`, each of one page, in their order; and what keeps the nodes in step. Without that,
/// emulated CPUs, of which a few run at a time, leave some nodes without work long before the others.
private final class Starts: Sendable {
  private struct State {
    var starts: [(page: Int, cpu: Int)] = []
    /// How many pages of each node's share have started, and how many it has.
    var started: [Int]
    var sizes: [Int]
    var waiting: [(share: Int, until: Semaphore)] = []

    /// Whether a share has come so far ahead of another that it should wait.
    func isAhead(_ share: Int) -> Bool {
      let least = started.indices.filter { started[$0] < sizes[$0] }.map { started[$0] }.min()
      return least.map { started[share] > $0 + 12 } ?? false
    }
  }

  private let state: Mutex<State>
  /// Where shares end.
  private let boundaries: [Int]

  /// A node's share is in proportion to its CPUs.
  init(cpus: [Int]) {
    let all = cpus.reduce(0, +)
    var ends: [Int] = []
    for count in cpus { ends.append((ends.last ?? 0) + count) }
    boundaries = ends.map { mapPages * $0 / all }
    let sizes = zip(boundaries, [0] + boundaries).map { $0 - $1 }
    state = Mutex(State(started: Array(repeating: 0, count: cpus.count), sizes: sizes))
  }

  func start(_ page: Int) {
    let cpu = Int(cs_current_cpu())
    let share = boundaries.firstIndex { page < $0 }!
    let wait: Semaphore? = state.withLock { state in
      state.starts.append((page, cpu))
      state.started[share] += 1
      let waiting = state.waiting
      for waiter in waiting where !state.isAhead(waiter.share) { waiter.until.signal() }
      state.waiting = waiting.filter { state.isAhead($0.share) }
      guard state.isAhead(share) else { return nil }
      let until = Semaphore()
      state.waiting.append((share, until))
      return until
    }
    wait?.wait()
  }

  var all: [(page: Int, cpu: Int)] { state.withLock { $0.starts } }
}

/// The first `map` puts pages on the nodes; each that follows has to start its chunks where their pages are, as long as
/// every node has chunks left.
func checkLocalMap(_ machine: Machine) throws {
  try withPool(machine.cpus.count, .spread) { pool in
    let buffer = try PlacedBuffer<Int>(count: mapPages * elementsPerPage)
    for round in 0..<4 {
      let starts = Starts(cpus: machine.withCPUs.map(\.cpus.count))
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
  for node in machine.withCPUs where node.hasMemory {
    let share = mapPages * node.cpus.count / machine.cpus.count
    try expect(left[node.id] ?? 0 >= share / 4 * 3, "too few pages are on node \(node.id): \(left)")
  }
  var local = 0
  var counted = 0
  var strays: [String] = []
  for start in starts {
    guard left.values.allSatisfy({ $0 > 0 }) else { break }
    let holder = nodes[start.page]!
    left[holder]! -= 1
    counted += 1
    let runner = try machine.node(ofCPU: start.cpu)
    if machine.firstTouch(from: runner).contains(holder) {
      local += 1
    } else {
      strays.append("\(counted): page \(start.page) of node \(holder) on node \(runner.id)")
    }
  }
  try expect(counted > mapPages / 2, "only \(counted) chunks started while all nodes had some")
  try expect(
    local * 100 >= counted * 99,
    "round \(round): \(local) of \(counted) chunks started where their pages are, but not these: \(strays)")
  print("round \(round): \(local) of \(counted) chunks started where their pages are")
}
