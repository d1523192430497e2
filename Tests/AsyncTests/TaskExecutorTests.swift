import Testing
import WorkerPool

@Suite struct TaskExecutorTests {
  @Test func tasksRunOnTheWorkers() async throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 2)
    let index = await Task(executorPreference: pool) { pool.currentWorkerIndex }.value
    #expect(index != nil)
    let indices = await withTaskExecutorPreference(pool) {
      await withTaskGroup(of: Int?.self) { group in
        for _ in 0..<1000 { group.addTask { pool.currentWorkerIndex } }
        return await group.reduce(into: []) { $0.append($1) }
      }
    }
    #expect(indices.count == 1000)
    #expect(indices.allSatisfy { $0 != nil })
    #expect(pool.currentWorkerIndex == nil)
    await pool.shutdown()
  }

  @Test func comesBackAfterEverySuspension() async throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 2)
    let strayed = await Task(executorPreference: pool) {
      var strayed = 0
      for _ in 0..<1000 {
        await Task.yield()
        if pool.currentWorkerIndex == nil { strayed += 1 }
      }
      return strayed
    }.value
    #expect(strayed == 0)
    await pool.shutdown()
  }

  private enum Tags { @TaskLocal static var tag = "none" }

  /// A task that a Swift task blocks for is not run on top of it: it would take that one's values and its cancellation for
  /// its own.
  @Test(.timeLimit(.minutes(5))) func aSubmittedTaskIsNotTheSwiftTaskThatWaitsForIt() async throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    func result<T>(_ future: Future<T>) throws -> T { try future.result() }
    let task = Task(executorPreference: pool) {
      withUnsafeCurrentTask { $0?.cancel() }
      return try Tags.$tag.withValue("request") {
        let futures = try (0..<2).map { _ in try pool.submit { "\(Tags.tag) \(Task.isCancelled)" } }
        let waited = blockingWait(futures).map { $0.outcome }
        return try [result(pool.submit { "\(Tags.tag) \(Task.isCancelled)" })] + waited.map { try $0?.get() ?? "" }
      }
    }
    #expect(try await task.value == Array(repeating: "none false", count: 3))
    await pool.shutdown()
  }

  /// Where no other thread is left, it runs all the same.
  @Test(.timeLimit(.minutes(5))) func anAwaitedTaskRunsWithoutAnotherThread() async throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1, maxSpares: 0)
    func result<T>(_ future: Future<T>) throws -> T { try future.result() }
    let seen = try await Task(executorPreference: pool) {
      let waited = try blockingWait((0..<3).map { number in try pool.submit { number } })
      return try [result(pool.submit { 7 })] + waited.map(result)
    }.value
    #expect(seen == [7, 0, 1, 2])
    await pool.shutdown()
  }

  /// Whoever shuts the pool down too early loses the place, but no task.
  @Test func tasksOutliveTheShutdown() async throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    let began = Promise<Void>()
    let goOn = Promise<Void>()
    let task = Task(executorPreference: pool) {
      began.succeed(())
      try await goOn.future.value
      return 42
    }
    try await began.future.value
    await pool.shutdown(cancelPending: true)
    goOn.succeed(())
    #expect(try await task.value == 42)
  }
}

private func blockingWait<T>(_ futures: [Future<T>]) -> [Future<T>] { wait(for: futures).done }
