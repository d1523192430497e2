import Synchronization
import Testing
import WorkerPool

private struct Failure: Error, Equatable { var number: Int }

@Suite struct ForkJoinTests {
  private func fibonacci(_ pool: ThreadPoolExecutor, _ number: Int) throws -> Int {
    guard number > 1 else { return number }
    let (a, b) = try pool.join({ try fibonacci(pool, number - 1) }, { try fibonacci(pool, number - 2) })
    return a + b
  }

  @Test(arguments: [1, 2, 5]) func recursesFromOutsideAndInside(workers: Int) throws {
    try withThreadPoolExecutor(maxWorkers: workers) { pool in
      #expect(try fibonacci(pool, 20) == 6765)
      let inside = try pool.submit { try fibonacci(pool, 20) }.result()
      #expect(inside == 6765)
    }
  }

  @Test func bothHalvesEndBeforeAnErrorComesOut() throws {
    try withThreadPoolExecutor(maxWorkers: 2) { pool in
      let ended = Atomic<Int>(0)
      for _ in 0..<1000 {
        ended.store(0, ordering: .relaxed)
        #expect(throws: Failure(number: 1)) {
          try pool.join(
            { () throws -> Void in
              ended.add(1, ordering: .relaxed)
              throw Failure(number: 1)
            },
            { () throws -> Void in
              ended.add(1, ordering: .relaxed)
              throw Failure(number: 2)
            })
        }
        #expect(ended.load(ordering: .relaxed) == 2)
      }
    }
  }

  /// What a half submits and does not wait for must neither be lost nor run on top of the join.
  @Test func unrelatedWorkIsPutAside() throws {
    try withThreadPoolExecutor(maxWorkers: 1) { pool in
      let ran = Promise<Void>()
      let (inside, _) = try pool.submit {
        try pool.join(
          {
            try pool.execute { ran.succeed(()) }
            return ran.future.state
          }, { ran.future.state })
      }.result()
      #expect(inside == .pending)
      try ran.future.result()
    }
  }

  @Test func aShutDownPoolRefuses() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    pool.shutdown()
    let error = #expect(throws: WorkerPoolError.self) { try pool.join({ 1 }, { 2 }) }
    #expect(error?.code == .shutDown)
    #expect(throws: WorkerPoolError.self) { try pool.concurrentPerform(iterations: 10) { _ in } }
    try pool.concurrentPerform(iterations: 0) { _ in }
  }

  @Test(arguments: [(1, 1), (2, 1), (2, 7), (4, 1000), (3, 100_000)])
  func performsEachOnce(workers: Int, grain: Int) throws {
    try withThreadPoolExecutor(maxWorkers: workers) { pool in
      let count = 20_011
      let seen = (0..<count).map { _ in Counter() }
      try pool.concurrentPerform(iterations: count, grain: grain) { seen[$0].value.add(1, ordering: .relaxed) }
      #expect(seen.allSatisfy { $0.value.load(ordering: .relaxed) == 1 })
    }
  }

  private final class Counter: Sendable { let value = Atomic<Int>(0) }

  @Test func performReportsAFailureAndRefusesNonsense() throws {
    try withThreadPoolExecutor(maxWorkers: 2) { pool in
      #expect(throws: Failure(number: 77)) {
        try pool.concurrentPerform(iterations: 10_000) { if $0 == 77 { throw Failure(number: 77) } }
      }
      let error = #expect(throws: WorkerPoolError.self) { try pool.concurrentPerform(iterations: 1, grain: 0) { _ in } }
      #expect(error?.message.contains("0") == true)
    }
  }

  @Test func mapOfACollectionThrowsTheFirstErrorAndDestroysTheRest() throws {
    final class Token: Sendable {
      let alive: Counter
      init(_ alive: Counter) {
        self.alive = alive
        alive.value.add(1, ordering: .relaxed)
      }
      deinit { alive.value.subtract(1, ordering: .relaxed) }
    }
    try withThreadPoolExecutor(maxWorkers: 3) { pool in
      let alive = Counter()
      for bad in [0, 1, 499, 998, 999] {
        #expect(throws: Failure(number: bad)) {
          try pool.map(Array(0..<1000), chunkSize: 3) { number in
            if number >= bad { throw Failure(number: number) }
            return Token(alive)
          }
        }
      }
      #expect(alive.value.load(ordering: .relaxed) == 0)
      let tokens = try pool.map(Array(0..<1000)) { _ in Token(alive) }
      #expect(alive.value.load(ordering: .relaxed) == tokens.count)
    }
  }
}
