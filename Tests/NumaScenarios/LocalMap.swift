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
    let buffer = try firstMap(machine, pool)
    for round in 1..<4 {
      let starts = try map(pool, over: buffer)
      try expectLocal(starts, try buffer.nodeOfEachPage(), machine, round)
    }
    for page in 0..<mapPages { try expectEqual(buffer[page * elementsPerPage], 4 * page, "page \(page)") }
  }
}

/// One that each node did its own share of. An emulated CPU that stands still while the others go on makes them take from
/// its node's share, rightly, and first touch what that node maps the next time; then it is done again, with other pages.
private func firstMap(_ machine: Machine, _ pool: ThreadPoolExecutor) throws -> PlacedBuffer<Int> {
  var taken: [Int] = []
  for _ in 0..<5 {
    let buffer = try PlacedBuffer<Int>(count: mapPages * elementsPerPage)
    _ = try map(pool, over: buffer)
    let nodes = try buffer.nodeOfEachPage()
    let strays = machine.withCPUs.filter(\.hasMemory).map { node in
      max(0, mapPages * node.cpus.count / machine.cpus.count - nodes.count { $0 == node.id })
    }
    taken.append(strays.reduce(0, +))
    if taken.last! <= mapPages / 200 { return buffer }
  }
  throw Unmet("other nodes took \(taken) of \(mapPages) chunks of the first maps", fileID: #fileID, line: #line)
}

/// Adds its number to each page's first element, by chunks of one page. Returns where they started.
private func map(_ pool: ThreadPoolExecutor, over buffer: PlacedBuffer<Int>) throws -> [(page: Int, cpu: Int)] {
  let starts = Starts()
  let outputs = try pool.map(0..<mapPages, chunkSize: 1) { page in
    starts.start(page)
    buffer[page * elementsPerPage] += page
    _ = withUnsafePointer(to: chunkDuration) { nanosleep($0, nil) }
    return page
  }
  try expect(outputs.elementsEqual(0..<mapPages), "outputs")
  return starts.all
}

private func expectLocal(
  _ starts: [(page: Int, cpu: Int)], _ nodes: [Int?], _ machine: Machine, _ round: Int
) throws {
  // Chunks that have not started, by the node whose share they are in. Not by the node that holds their page: one page of
  // another's share would make a node that is done look as if it was not.
  var shares: [Int] = []
  for node in machine.withCPUs {
    let before = machine.withCPUs.filter { $0.id <= node.id }.reduce(0) { $0 + $1.cpus.count }
    let end = mapPages * before / machine.cpus.count
    while shares.count < end { shares.append(node.id) }
  }
  var left = Dictionary(shares.map { ($0, 1) }, uniquingKeysWith: +)
  var local = 0
  var counted = 0
  var strays: [String] = []
  for start in starts {
    guard left.values.allSatisfy({ $0 > 0 }) else { break }
    left[shares[start.page]]! -= 1
    let holder = nodes[start.page]!
    counted += 1
    let runner = try machine.node(ofCPU: start.cpu)
    if machine.firstTouch(from: runner).contains(holder) {
      local += 1
    } else {
      let rest = left.sorted { $0.key < $1.key }.map { "\($0.value) of node \($0.key)" }.joined(separator: ", ")
      strays.append("\(counted): page \(start.page) of node \(holder) on node \(runner.id), left \(rest)")
    }
  }
  try expect(counted > mapPages / 4, "only \(counted) chunks started while all nodes had some")
  try expect(
    local * 100 >= counted * 99,
    "round \(round): \(local) of \(counted) chunks started where their pages are, but not these: \(strays)")
  print("round \(round): \(local) of \(counted) chunks started where their pages are")
}
