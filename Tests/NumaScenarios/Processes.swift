import CStress
import Glibc
import WorkerPool

/// Writes to pages of an array, and tells where it ran.
struct FillPages: Job {
  struct Place: BitwiseWireCodable {
    var process: Int32
    var cpu: Int
    /// How many CPUs the process may run on.
    var allowed: Int
  }

  var array: SharedArray<Int>
  var first: Int
  var end: Int

  init(_ pages: Range<Int>, of array: SharedArray<Int>) {
    self.array = array
    first = pages.lowerBound
    end = pages.upperBound
  }

  func encode(into encoder: inout WireEncoder) throws { try encoder.encode(first, end, array) }

  init(decoding decoder: inout WireDecoder) throws {
    first = try decoder.decode()
    end = try decoder.decode()
    array = try decoder.decode()
  }

  func run() throws -> Place {
    for page in first..<end { array[page * pageSize / MemoryLayout<Int>.stride] = page }
    return Place(process: getpid(), cpu: Int(cs_current_cpu()), allowed: cs_allowed_cpus(nil, 0))
  }
}

/// The processes of each node write a share of shared memory, and those of a pool that covers the machine go anywhere.
func checkProcesses(_ machine: Machine) throws {
  let array = try SharedArray<Int>(count: elementCount, workers: .readWrite) { _ in }
  let share = pages / machine.withCPUs.count
  for (index, node) in machine.withCPUs.enumerated() {
    let pool = try ProcessPoolExecutor(maxWorkers: node.cpus.count, affinity: .node(node.id))
    let own = index * share..<(index + 1) * share
    for page in own {
      let place = try pool.submit(FillPages(page..<page + 1, of: array)).result()
      try expectEqual(try machine.node(ofCPU: place.cpu).id, node.id, "the node of a process for node \(node.id)")
      try expectEqual(place.allowed, 1, "CPUs of a process for node \(node.id)")
    }
    pool.shutdown()
    for (page, found) in zip(own, try array.nodeOfEachPage()[own]) {
      try expect(
        found.map(machine.firstTouch(from: node).contains) == true,
        "page \(page), written by a process of node \(node.id), is on \(found.map(String.init) ?? "none")")
    }
  }

  let pool = try ProcessPoolExecutor(maxWorkers: machine.cpus.count, affinity: .spread)
  defer { pool.shutdown() }
  var cpus: [Int32: Int] = [:]
  for place in try pool.map((0..<4 * pages).map { FillPages($0 % pages..<$0 % pages, of: array) }) {
    try expectEqual(place.allowed, 1, "CPUs of a spread process")
    try expectEqual(cpus.updateValue(place.cpu, forKey: place.process) ?? place.cpu, place.cpu, "CPU of a process")
  }
  try expectEqual(Set(cpus.values).count, cpus.count, "CPUs of \(cpus.count) spread processes")
  try expect(Set(cpus.values).isSubset(of: machine.cpus), "CPUs \(cpus.values), of \(machine.cpus)")

  for id in 0...machine.nodes.last!.id + 1 where !machine.withCPUs.contains(where: { $0.id == id }) {
    try expectRefused(naming: "\(id)") { try ProcessPoolExecutor(maxWorkers: 1, affinity: .node(id)) }
  }
}
