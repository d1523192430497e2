import CStress
import ThreadTestSupport
import WorkerPool

/// Where a worker was while every worker of its pool ran a task.
struct Sighting: Sendable {
  var cpu: Int
  var allowed: [Int]
}

/// One for each worker, by its index.
func lookAtWorkers(of pool: ThreadPoolExecutor) throws -> [Sighting] {
  let here = Semaphore()
  let go = Semaphore()
  let futures = try (0..<pool.maxWorkers).map { _ in
    try pool.submit {
      let sighting = (pool.currentWorkerIndex!, Sighting(cpu: Int(cs_current_cpu()), allowed: allowedCPUs()))
      here.signal()
      go.wait()  // so that no worker runs two of them
      return sighting
    }
  }
  here.wait(pool.maxWorkers)
  go.signal(pool.maxWorkers)
  let sightings = Dictionary(uniqueKeysWithValues: try futures.map { try $0.result() })
  return (0..<pool.maxWorkers).map { sightings[$0]! }
}

private func allowedCPUs() -> [Int] {
  var cpus = [Int32](repeating: 0, count: 1024)
  let count = cs_allowed_cpus(&cpus, cpus.count)
  return cpus[..<min(count, cpus.count)].map(Int.init)
}

/// Runs `body` with a pool that is shut down behind it.
func withPool<Result>(
  _ workers: Int? = nil, _ affinity: Affinity, _ body: (ThreadPoolExecutor) throws -> Result
) throws -> Result {
  let pool = try ThreadPoolExecutor(maxWorkers: workers, affinity: affinity)
  defer { pool.shutdown() }
  return try body(pool)
}

func checkAffinities(_ machine: Machine) throws {
  func expectPinned(_ affinity: Affinity, to cpus: [Int]) throws {
    let sightings = try withPool(cpus.count, affinity, lookAtWorkers)
    for sighting in sightings { try expectEqual(sighting.allowed, [sighting.cpu], "\(affinity)") }
    try expectEqual(sightings.map(\.cpu).sorted(), cpus.sorted(), "\(affinity)")
  }
  try expectPinned(.compact, to: machine.cpus)
  try expectPinned(.spread, to: machine.cpus)
  try expectPinned(.cpus([machine.cpus.last!]), to: [machine.cpus.last!])
  // One worker for each node goes to each node, and as many as the first has to the first.
  for node in machine.withCPUs { try expectPinned(.node(node.id), to: node.cpus) }
  try expectPinned(.compact, to: machine.withCPUs[0].cpus)
  let spread = try withPool(machine.withCPUs.count, .spread, lookAtWorkers)
  try expectEqual(
    try spread.map { try machine.node(ofCPU: $0.cpu).id }, machine.withCPUs.map(\.id), "nodes of spread workers")

  let floating = try withPool(nil, .none, lookAtWorkers)
  try expectEqual(floating.count, machine.cpus.count, "workers by default")
  for sighting in floating {
    _ = try machine.node(ofCPU: sighting.cpu)
    try expect(Set(sighting.allowed).isSuperset(of: machine.cpus), "may run on \(sighting.allowed)")
  }
}

func checkRefusals(_ machine: Machine) throws {
  let last = machine.nodes.last!.id
  for id in 0...last + 1 where !machine.withCPUs.contains(where: { $0.id == id }) {
    try expectRefused(naming: "\(id)") { try withPool(1, .node(id)) { $0.maxWorkers } }
  }
  for cpu in machine.offline + [machine.cpus.count + machine.offline.count, -7] {
    try expectRefused(naming: "\(cpu)") { try withPool(1, .cpus([machine.cpus[0], cpu])) { $0.maxWorkers } }
  }
  for id in 0...last + 1 where !machine.withMemory.contains(where: { $0.id == id }) {
    try expectRefused(naming: "\(id)") { try PlacedBuffer<Int>(count: 1, placement: .nodes([id])) }
    try expectRefused(naming: "\(id)") { try SharedArray(repeating: 0, count: 1, placement: .nodes([0, id])) }
    try expectRefused(naming: "\(id)") { try PlacedBuffer<Int>(count: 1, placement: .interleaved(over: [id])) }
  }
}
