import Synchronization
import ThreadTestSupport
import WorkerPool

/// A worker with tasks in two queues, one nearer than the other, takes all of the nearer one first. Both queues fill while
/// every worker is held, and only that one is let go, so that the order in which tasks run is its own.
func checkNearestFirst(_ machine: Machine) throws {
  let nodes = machine.nodes.indices.filter { !machine.nodes[$0].cpus.isEmpty }
  var tried = 0
  for thief in nodes {
    for near in nodes {
      for far in nodes where machine.distances[thief][near] < machine.distances[thief][far] {
        try checkOrder(of: thief, near, far, machine)
        tried += 1
      }
    }
  }
  try expect(tried > 0, "no node is nearer than another")
}

private func checkOrder(of thief: Int, _ near: Int, _ far: Int, _ machine: Machine) throws {
  let tasks = 100
  // A worker for each node that takes part.
  let members = Set([thief, near, far]).sorted()
  let ids = machine.nodes.map(\.id)
  try withPool(members.count, .cpus(members.map { machine.nodes[$0].cpus[0] })) { pool in
    let held = Semaphore()
    let go = members.map { _ in Semaphore() }
    let holds = try members.map { _ in
      try pool.submit {
        held.signal()
        go[pool.currentWorkerIndex!].wait()
      }
    }
    held.wait(members.count)
    let worker = members.firstIndex(of: thief)!
    let log = Mutex<[Int]>([])
    let runs = try (0..<2 * tasks).map { index in
      let home = index % 2 == 0 ? far : near
      return try pool.submit(onNode: ids[home]) {
        if pool.currentWorkerIndex == worker { log.withLock { $0.append(home) } }
      }
    }
    let before = pool.workerCounters[worker]
    try expectEqual(before.node, ids[thief], "the worker's node")
    go[worker].signal()
    for run in runs { try run.result() }
    let after = pool.workerCounters[worker]
    try expectEqual(after.remoteTasks - before.remoteTasks, near == thief ? tasks : 2 * tasks, "remote tasks")
    try expectEqual(after.localTasks - before.localTasks, near == thief ? tasks : 0, "local tasks")
    for other in members.indices where other != worker { go[other].signal() }
    for hold in holds { try hold.result() }
    let order = log.withLock { $0 }
    let expected = Array(repeating: near, count: tasks) + Array(repeating: far, count: tasks)
    try expectEqual(order, expected, "order of node \(ids[thief]) with tasks for \(ids[near]) and \(ids[far])")
  }
}
