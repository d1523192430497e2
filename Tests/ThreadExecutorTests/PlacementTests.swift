import Testing
import ThreadTestSupport
import WorkerPool

@Suite struct PlacementTests {
  private static let node = allowedCPUs().isEmpty ? 0 : (try? CPUTopology.current().nodes[0].id) ?? 0

  @Test func tasksForANodeRun() throws {
    try withThreadPoolExecutor(maxWorkers: 2) { pool in
      let futures = try (0..<100).map { n in try pool.submit(onNode: Self.node) { n * n } }
      #expect(try futures.map { try $0.result() } == (0..<100).map { $0 * $0 })
      let ran = Counter()
      for _ in 0..<100 { try pool.execute(onNode: Self.node) { ran.add() } }
      pool.shutdown()
      #expect(ran.value == 100)
      #expect(throws: WorkerPoolError.self) { try pool.execute(onNode: Self.node) {} }
    }
  }

  @Test(arguments: [-1, 1_000_000, .max, .min])
  func anAbsentNodeIsRefusedByName(node: Int) throws {
    try withThreadPoolExecutor(maxWorkers: 1) { pool in
      let ran = Counter()
      let error = #expect(throws: WorkerPoolError.self) { try pool.submit(onNode: node) { _ = ran.add() } }
      #expect(error?.code == .invalidArgument)
      #expect(error?.message.hasPrefix("node is \(node); it must be one of this machine's") == true)
      #expect(throws: WorkerPoolError.self) { try pool.execute(onNode: node) { _ = ran.add() } }
      #expect(ran.value == 0)
    }
    let refused = #expect(throws: WorkerPoolError.self) {
      try ThreadPoolExecutor(maxWorkers: 1, affinity: .node(node))
    }
    #expect(refused?.code == .invalidArgument)
    #expect(refused?.message.hasPrefix("node is \(node); ") == true)
  }

  @Test func workersStandOnTheNodeThatIsAskedFor() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 2, affinity: .node(Self.node))
    defer { pool.shutdown() }
    let counters = pool.workerCounters
    #expect(counters.map(\.worker) == [0, 1])
    #expect(counters.allSatisfy { $0.node == Self.node })
    #expect(counters.allSatisfy { counter in counter.cpu.map { allowedCPUs().contains($0) } == true })
  }

  @Test func countersCountTasks() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 3)
    for _ in 0..<500 { try pool.execute {} }
    _ = try pool.submit {}.result()
    pool.shutdown()
    let counters = pool.workerCounters
    #expect(counters.count == 3)
    #expect(counters.reduce(0) { $0 + $1.localTasks + $1.remoteTasks } == 501)
    #expect(counters.allSatisfy { $0.cpu == nil })
  }

  @Test func resizes() throws {
    try withThreadPoolExecutor(maxWorkers: 1, name: "resize") { pool in
      try pool.resize(maxWorkers: 3)
      #expect(pool.maxWorkers == 3)
      let all = Semaphore()
      let gate = Semaphore()
      for _ in 0..<3 {
        try pool.execute {
          all.signal()
          gate.wait()
        }
      }
      all.wait(3)
      gate.signal(3)
      try pool.resize()
      #expect(pool.maxWorkers == (try CPUTopology.current().grant))
      for refused in [0, -1, 5000, .max] {
        let error = #expect(throws: WorkerPoolError.self) { try pool.resize(maxWorkers: refused) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains("\(refused)") == true)
      }
      pool.shutdown()
      let error = #expect(throws: WorkerPoolError.self) { try pool.resize(maxWorkers: 2) }
      #expect(error?.code == .shutDown)
    }
    #expect(threads(named: "resize-").isEmpty)
  }
}
