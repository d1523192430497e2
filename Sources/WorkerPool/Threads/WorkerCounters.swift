/// What a worker of a ``ThreadPoolExecutor`` has done so far, and where its work came from.
public struct WorkerCounters: Hashable, Sendable {
  /// The worker's index.
  public let worker: Int
  /// The NUMA node that it belongs to, by its system number.
  public let node: Int
  /// The CPU that it was pinned to; nil for a worker that floats.
  public let cpu: Int?
  /// How many tasks it took from the queues of its own node. Forked work that its forker took back counts as a part of the
  /// task that forked it.
  public let localTasks: Int
  /// How many tasks it took from the queues of other nodes, having found none in its own.
  public let remoteTasks: Int
  /// How many tasks and pieces of forked work it took from the deques of other workers, by the distance of their nodes as the
  /// firmware tells it (10 is the own node's). A distance at which there were none is missing.
  public let stealsByDistance: [Int: Int]
}
