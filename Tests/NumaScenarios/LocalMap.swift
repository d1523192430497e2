import CStress
import Glibc
import Synchronization
import WorkerPool

/// Few enough for the buffer to hold no huge page, which would lie on one node with parts of two nodes' shares.
private let mapPages = 480
private let elementsPerPage = pageSize / MemoryLayout<Int>.stride
/// What stands for the work of a chunk. Asleep, so that nodes keep step however few of the emulated CPUs run at a time.
private let chunkDuration = timespec(tv_sec: 0, tv_nsec: 60_000_000)

/// The starts of chunks in one `map`, each of one page, in their order.
private final class Starts: Sendable {
  private let starts = Mutex<[(page: Int, cpu: Int)]>([])

  func start(_ page: Int) { starts.withLock { $0.append((page, Int(cs_current_cpu()))) } }

  var all: [(page: Int, cpu: Int)] { starts.withLock { $0 } }
}

/// The first `map` puts pages on the nodes; each that follows has to start its chunks where their pages are, as long as
/// every node has chunks left.
func checkLocalMap(_ machine: Machine) throws {
  try withPool(machine.cpus.count, .spread) { pool in
    let buffer = try PlacedBuffer<Int>(count: mapPages * elementsPerPage)
    for round in 0..<4 {
      let starts = Starts()
      let outputs = try pool.map(0..<mapPages, chunkSize: 1) { page in
        starts.start(page)
        buffer[page * elementsPerPage] += page
        _ = withUnsafePointer(to: chunkDuration) { nanosleep($0, nil) }
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
  try expect(counted > mapPages / 4, "only \(counted) chunks started while all nodes had some")
  try expect(
    local * 100 >= counted * 99,
    "round \(round): \(local) of \(counted) chunks started where their pages are, but not these: \(strays)")
  print("round \(round): \(local) of \(counted) chunks started where their pages are")
}
