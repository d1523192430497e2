extension ThreadPoolExecutor {
  /// Submits a task for a NUMA node: where its data is, say.
  ///
  /// ```swift
  /// let topology = try CPUTopology.current()
  /// for node in topology.nodes { try pool.submit(onNode: node.id) { sum(parts[node.id]) } }
  /// ```
  ///
  /// It goes to that node's queue, and wakes one of that node's workers if one sleeps. Workers of other nodes take it only
  /// when they find nothing nearer: better far than late. A node without workers leaves all its tasks to them.
  ///
  /// - Parameters:
  ///   - node: The node's system number.
  ///   - body: The task.
  /// - Throws: as `submit`, and ``WorkerPoolError/Code/invalidArgument`` for a node that the machine
  ///   does not have.
  /// - Complexity: O(nodes), lock-free.
  @inlinable
  @discardableResult
  public func submit<Success>(
    onNode node: Int, _ body: @escaping @Sendable () throws -> Success
  ) throws -> Future<Success> {
    let future = Future.make(home: engine.pool, body: body)
    try engine.submitTask(onNode: node) { future.answer($0) }
    return future
  }

  /// Submits a task that nobody waits for, for a NUMA node: ``execute(_:)`` with a node, as in ``submit(onNode:_:)``.
  public func execute(onNode node: Int, _ body: @escaping @Sendable () -> Void) throws {
    try engine.submit(onNode: node, body)
  }

  /// What each worker has done so far, and where its work came from, in the order of their indices.
  ///
  /// Counted without any order: exact once the pool is idle. Workers that stand in for blocked ones do not count, nor do
  /// those that a resize has ended. May be called on any thread. O(workers · nodes).
  public var workerCounters: [WorkerCounters] {
    (0..<maxWorkers).compactMap { engine.counters($0) }
  }

  /// Changes the number of threads.
  ///
  /// What the process is granted may change while it runs: a container's quota, an affinity mask. `resize()` takes the
  /// new grant; `resize(maxWorkers: 8)` takes any number.
  ///
  /// The machine is read anew, and threads that are added go where the pool's ``Affinity`` places them now; those that
  /// stay, stay where they are. Threads that are too many end when they have done the task they are at; what waits in
  /// their queues is left to the others. Does not wait for that, so that tasks may resize their own pool; several calls
  /// come one after another. On ``shared`` it has an effect, too.
  ///
  /// - Parameter maxWorkers: 1 to 4094 less the pool's `maxSpares`, which is 3838 by default; nil for what the process is
  ///   granted now.
  /// - Throws: as the initializer; ``WorkerPoolError/Code/shutDown``, ``WorkerPoolError/Code/forked``. If threads cannot be
  ///   started the pool has as many more as could.
  /// - Complexity: O(CPUs) to read the machine, and about 50 µs for each thread that is added.
  public func resize(maxWorkers: Int? = nil) throws {
    try engine.resize(maxWorkers)
  }
}
