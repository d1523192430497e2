import WorkerPool

/// Swift tasks that await jobs, some of which are cancelled.
struct AsyncLoad {
  private let pool: ProcessPoolExecutor
  private let ledger: Ledger
  private var random: Random

  init(_ pool: ProcessPoolExecutor, _ ledger: Ledger, _ random: Random) {
    self.pool = pool
    self.ledger = ledger
    self.random = random
  }

  mutating func round() async throws {
    let isCancelled = random.chance(40)
    let retries = random.chance(50) ? 5 : 0
    let count = Int.random(in: 1..<40, using: &random)
    let delay = Int.random(in: 0..<200, using: &random)
    switch Int.random(in: 0..<3, using: &random) {
    case 0:
      try await tasks(count, after: delay, isCancelled) { [pool] number in
        let square = try await pool.run(Square(number: number), options: TaskOptions(retries: retries))
        return square == number * number
      }
    case 1:
      try await tasks(count, after: delay, isCancelled) { [pool, ledger] number in
        let future = try pool.submit(Square(number: number))
        ledger.follow(future)
        return try await future.value == number * number
      }
    default:
      try await tasks(1, after: delay, isCancelled) { [pool] _ in
        let jobs = (0..<10 * count).map { Square(number: $0) }
        return try await pool.map(jobs, options: TaskOptions(retries: retries)) == jobs.map { $0.run() }
      }
    }
  }

  /// Runs `body`, which says whether a value was right, in a Swift task for each number.
  private func tasks(
    _ count: Int, after delay: Int, _ isCancelled: Bool, _ body: @escaping @Sendable (Int) async throws -> Bool
  ) async throws {
    let tasks = (0..<count).map { number in Task { try await body(number) } }
    if isCancelled {
      // Not by a sleep, which has Dispatch open descriptors for good.
      for _ in 0..<delay { await Task.yield() }
      for task in tasks { task.cancel() }
    }
    for task in tasks { ledger.note(try await end(of: task, isCancelled)) }
  }

  private func end(of task: Task<Bool, any Error>, _ isCancelled: Bool) async throws -> End {
    do {
      let isRight = try await task.value
      try expect(isRight, "a wrong value was awaited")
      return .returned
    } catch is CancellationError where isCancelled {
      return .cancelled
    } catch let error as WorkerPoolError where error.isDeathByMenace {
      return .died
    }
  }
}
