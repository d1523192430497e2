import Testing
import WorkerPool

@Suite struct NestedBlockingTests {
  private func chain(_ pool: ThreadPoolExecutor, _ length: Int) throws -> Int {
    guard length > 0 else { return 0 }
    return try pool.submit { try chain(pool, length - 1) }.result() + 1
  }

  /// Deeper than any stack: workers run what they wait for themselves, then spares go on from a fresh stack.
  @Test(.timeLimit(.minutes(2))) func aChainLongerThanAnyStack() throws {
    try withThreadPoolExecutor(maxWorkers: 1) { pool in
      let length = try pool.submit { try chain(pool, 100_000) }.result()
      #expect(length == 100_000)
    }
  }

  /// Every task waits for promises that later tasks keep: without spares all workers would wait, and nobody work.
  @Test(.timeLimit(.minutes(2)), arguments: [1, 2, 4]) func promisesKeptByLaterTasks(workers: Int) throws {
    try withThreadPoolExecutor(maxWorkers: workers) { pool in
      let promises = (0..<100).map { _ in Promise<Int>() }
      let waiting = try promises.map { promise in try pool.submit { try promise.future.result() } }
      for (index, promise) in promises.enumerated() { try pool.execute { promise.succeed(index) } }
      let results = try waiting.map { try $0.result() }
      #expect(results == Array(0..<100))
    }
  }

  /// Tasks of a random acyclic graph, submitted in random order, each waiting for all it depends on.
  @Test(.timeLimit(.minutes(2)), arguments: 0..<6) func randomAcyclicGraphs(seed: UInt64) throws {
    var random = SeededGenerator(state: seed)
    let count = 120
    let edges = (0..<count).map { node in
      (0..<3).compactMap { _ in node > 0 ? Int.random(in: 0..<node, using: &random) : nil }
    }
    try withThreadPoolExecutor(maxWorkers: Int(seed % 3) + 1) { pool in
      let promises = (0..<count).map { _ in Promise<Int>() }
      for node in (0..<count).shuffled(using: &random) {
        try pool.execute {
          let sum = edges[node].reduce(1) { $0 &+ ((try? promises[$1].future.result()) ?? -1_000_000) }
          promises[node].succeed(sum)
        }
      }
      var expected: [Int] = []
      for node in 0..<count { expected.append(edges[node].reduce(1) { $0 &+ expected[$1] }) }
      let results = try promises.map { try $0.future.result() }
      #expect(results == expected)
    }
  }

  /// With all spares gone the wait is refused instead of hanging. 300 waiting tasks exceed the limit of 256.
  @Test(.timeLimit(.minutes(2))) func refusesToDeadlock() throws {
    try withThreadPoolExecutor(maxWorkers: 1) { pool in
      let never = Promise<Void>()
      let waiting = try (0..<300).map { _ in try pool.submit { try never.future.result() } }
      var refused = 0
      for future in asCompleted(waiting).prefix(1) {
        let error = #expect(throws: WorkerPoolError.self) { try future.result() }
        if error?.code == .wouldDeadlock { refused += 1 }
      }
      #expect(refused == 1)
      never.succeed(())
    }
  }
}

private struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state ^ state >> 29
  }
}
