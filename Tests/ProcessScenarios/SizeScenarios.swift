import Foundation
import WorkerPool
import WorkerPoolFoundation

// Pools whose number of workers is changed, and where workers are.

func runResize(_ method: ProcessPoolExecutor.StartMethod) throws {
  let pool = try ProcessPoolExecutor(maxWorkers: 1, startMethod: method)
  let gate = try Gate()
  defer { gate.remove() }
  // What waits behind the only worker is begun by one that is added.
  let held = try pool.submit(gate.job)
  let first = try gate.waitUntilHeld()
  let waiting = try (0..<20).map { try pool.submit(Square(number: $0)) }
  try pool.resize(maxWorkers: 3)
  try expectEqual(pool.maxWorkers, 3)
  try expectEqual(try waiting.map { try $0.result() }, (0..<20).map { $0 * $0 })
  try expectError(.timedOut) { try held.result(timeout: .zero) }
  waitForWorkers(of: pool, 3)
  // One that is too many ends what it has begun; the first ones stay.
  try pool.resize(maxWorkers: 1)
  waitForWorkers(of: pool, 1)
  try expectEqual(pool.workerProcessIdentifiers, [first])
  gate.release()
  try expectEqual(try held.result(), first)
  try expectEqual(try pool.map((0..<100).map { Square(number: $0) }), (0..<100).map { $0 * $0 })
  // As many as are granted, as a new pool would have.
  try pool.resize()
  let granted = try ProcessPoolExecutor(startMethod: .reexec)
  try expectEqual(pool.maxWorkers, granted.maxWorkers)
  granted.shutdown()
  for count in [0, -1, 1025, Int.max] {
    try expectError(.invalidArgument, saying: "maxWorkers is \(count); it must be between 1 and 1024") {
      try pool.resize(maxWorkers: count)
    }
  }
  try expectEqual(pool.maxWorkers, granted.maxWorkers)
  // In a callback, which runs on the thread that ends tasks.
  let resized = Promise<Int>()
  let future = try pool.submit(Square(number: 2))
  future.addDoneCallback { _ in
    resized.complete(with: Result { try pool.resize(maxWorkers: 4) }.map { pool.maxWorkers })
  }
  try expectEqual(try resized.future.result(), 4)
  waitForWorkers(of: pool, 4)
  try expectError(.workerDied) { try pool.submit(Die(way: .kill)).result() }
  pool.shutdown()
  try expectError(.shutDown, saying: "shut down") { try pool.resize(maxWorkers: 2) }
  try expectError(.shutDown) { try pool.resize(maxWorkers: nil) }
  try expectEqual(pool.maxWorkers, 4)
}

/// Sizes that change all the while that tasks of all kinds run, and now and then end their workers.
func runResizeUnderLoad(_ method: ProcessPoolExecutor.StartMethod) throws {
  let pool = try ProcessPoolExecutor(maxWorkers: 2, startMethod: method)
  let threads = try ThreadPoolExecutor(maxWorkers: 1)
  defer { threads.shutdown() }
  let map = try threads.submit { try pool.map((0..<5000).map { Square(number: $0) }, chunkSize: 3) }
  for round in 0..<60 {
    try pool.resize(maxWorkers: 1 + round * 7 % 6)
    let blobs = try (0..<4).map { try pool.submit(Blob(count: 50_000 * $0)) }
    let death = try round % 5 == 0 ? pool.submit(Die(way: .kill)) : nil
    try expectEqual(try blobs.map { try $0.result().count }, (0..<4).map { 50_000 * $0 })
    if let death { try expectError(.workerDied) { try death.result() } }
  }
  try expectEqual(try map.result(), (0..<5000).map { $0 * $0 })
  try pool.resize(maxWorkers: 2)
  waitForWorkers(of: pool, 2)
  // A pool that is let go of while it shrinks ends.
  let rest = try (0..<200).map { try pool.submit(Square(number: $0)) }
  try pool.resize(maxWorkers: 6)
  try pool.resize(maxWorkers: 1)
  pool.shutdown()
  try expectEqual(try rest.map { try $0.result() }, (0..<200).map { $0 * $0 })
}

func runPlacement(_ method: ProcessPoolExecutor.StartMethod) throws {
  let allowed = try cpus(of: getpid())
  func withWorkers(_ affinity: Affinity, _ count: Int, _ body: (ProcessPoolExecutor, [[Int]]) throws -> Void) throws {
    let pool = try ProcessPoolExecutor(
      maxWorkers: count, startMethod: reexecUnlessSingleThreaded(method), affinity: affinity)
    defer { pool.shutdown() }
    try body(pool, pool.workerProcessIdentifiers.map { try cpus(of: $0) })
  }
  let listed = [allowed[allowed.count - 1], allowed[0]]
  try withWorkers(.cpus(listed), 3) { pool, masks in
    try expectEqual(masks, [[listed[0]], [listed[1]], [listed[0]]])
    // The next in the list.
    try pool.resize(maxWorkers: 4)
    waitForWorkers(of: pool, 4)
    let added = pool.workerProcessIdentifiers[3]
    while try cpus(of: added).count > 1 { sched_yield() }  // until it has pinned itself
    try expectEqual(try cpus(of: added), [listed[1]])
  }
  try withWorkers(.none, 2) { _, masks in try expectEqual(masks, [allowed, allowed]) }
  for affinity in [Affinity.compact, .spread] {
    try withWorkers(affinity, allowed.count) { _, masks in
      try expect(masks.allSatisfy { $0.count == 1 }, "\(affinity): \(masks)")
      try expectEqual(masks.joined().sorted(), allowed)
    }
  }
  for cpu in [-1, 4000, 1 << 40] {
    try expectError(.invalidArgument, saying: "cpus is [\(allowed[0]), \(cpu)]") {
      try withWorkers(.cpus([allowed[0], cpu]), 1) { _, _ in }
    }
  }
  for node in [-1, 1000] {
    try expectError(.invalidArgument, saying: "node is \(node)") { try withWorkers(.node(node), 1) { _, _ in } }
  }
  try expectError(.invalidArgument, saying: "cpus is []") { try withWorkers(.cpus([]), 1) { _, _ in } }
}

/// Waits until the pool has so many workers.
private func waitForWorkers(of pool: ProcessPoolExecutor, _ count: Int) {
  while pool.workerProcessIdentifiers.count != count { sched_yield() }
}

/// The CPUs that a process may use, from what /proc says.
private func cpus(of process: Int32) throws -> [Int] {
  let status = try String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
  guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix("Cpus_allowed_list:") }) else {
    throw Unmet("no mask of \(process)")
  }
  return try line.dropFirst("Cpus_allowed_list:".count).trimmingCharacters(in: .whitespaces).split(separator: ",")
    .flatMap { range in
      let ends = range.split(separator: "-").compactMap { Int($0) }
      guard let first = ends.first, let last = ends.last else { throw Unmet("a mask of \(line)") }
      return Array(first...last)
    }
}
