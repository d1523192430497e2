import Testing
import ThreadTestSupport
import WorkerPool

private struct Failure: Error, Equatable {}

@Suite struct AsyncBridgeTests {
  /// A pool whose only worker waits for the gate.
  private func blockedPool() async throws -> (ThreadPoolExecutor, gate: Semaphore) {
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    let gate = Semaphore()
    let began = Promise<Void>()
    try pool.execute {
      began.succeed(())
      gate.wait()
    }
    try await began.future.value
    return (pool, gate)
  }

  @Test func valuesAndErrors() async throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 2)
    #expect(try await pool.submit { 3 }.value == 3)
    await #expect(throws: Failure()) { try await pool.submit { throw Failure() }.value }
    #expect(try await pool.run { 4 } == 4)
    await #expect(throws: Failure()) { try await pool.run { throw Failure() } }
    await pool.shutdown()
    let error = await #expect(throws: WorkerPoolError.self) { try await pool.run {} }
    #expect(error?.code == .shutDown)
  }

  @Test func manyTasksAwaitOneFuture() async throws {
    let (pool, gate) = try await blockedPool()
    let future = try pool.submit { 6 }
    let sum = try await withThrowingTaskGroup(of: Int.self) { group in
      for _ in 0..<1000 { group.addTask { try await future.value } }
      gate.signal()
      return try await group.reduce(0, +)
    }
    #expect(sum == 6000)
    await pool.shutdown()
  }

  @Test func aCancelledTaskIsThrown() async throws {
    let (pool, gate) = try await blockedPool()
    let future = try pool.submit { 6 }
    let awaiting = Task.immediate { try await future.value }
    #expect(future.cancel())
    await #expect(throws: CancellationError.self) { try await awaiting.value }
    await #expect(throws: CancellationError.self) { try await future.value }
    gate.signal()
    await pool.shutdown()
  }

  // MARK: Cancelling the awaiting task

  @Test func cancellingAnAwaitEndsThatWaitAlone() async throws {
    let (pool, gate) = try await blockedPool()
    let future = try pool.submit { 8 }
    let given = Task.immediate { try await future.value }
    let kept = Task.immediate { try await future.value }
    given.cancel()
    await #expect(throws: CancellationError.self) { try await given.value }
    #expect(future.state == .pending)
    gate.signal()
    #expect(try await kept.value == 8)
    await pool.shutdown()
  }

  @Test func aTaskThatIsCancelledAlreadyDoesNotWait() async throws {
    let promise = Promise<Int>()
    let task = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      return try await promise.future.value
    }
    await #expect(throws: CancellationError.self) { try await task.value }
    promise.succeed(1)
    // What is done is had without waiting.
    let late = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      return try await promise.future.value
    }
    #expect(try await late.value == 1)
  }

  @Test func runOwnsItsWork() async throws {
    let (pool, gate) = try await blockedPool()
    let ran = Counter()
    let released = Counter()
    let task = Task.immediate {
      try await pool.run { [token = Token(released)] in
        token.touch()
        ran.add()
      }
    }
    #expect(released.value == 0)
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(released.value == 1)
    gate.signal()
    await pool.shutdown()
    #expect(ran.value == 0)
  }

  @Test func runDoesNotInterruptWorkThatHasBegun() async throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    let began = Promise<Void>()
    let gate = Semaphore()
    let ended = Counter()
    let task = Task {
      try await pool.run {
        began.succeed(())
        gate.wait()
        ended.add()
      }
    }
    try await began.future.value
    task.cancel()
    // Ends at once, though the gate is still shut.
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(ended.value == 0)
    gate.signal()
    await pool.shutdown()
    #expect(ended.value == 1)
  }

  @Test func cancellingAGroupCancelsItsWork() async throws {
    let (pool, gate) = try await blockedPool()
    let ran = Counter()
    await #expect(throws: (any Error).self) {
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<100 { group.addTask { try await pool.run { _ = ran.add() } } }
        group.cancelAll()
        try await group.waitForAll()
      }
    }
    gate.signal()
    await pool.shutdown()
    #expect(ran.value == 0)
  }

  // MARK: Shutting down

  @Test func shuttingDownSuspendsUntilTheThreadsHaveEnded() async throws {
    let stopped = Counter()
    let ran = Counter()
    let pool = try ThreadPoolExecutor(maxWorkers: 3, name: "asyncend", onWorkerStop: { _ in stopped.add() })
    for _ in 0..<1000 { try pool.execute { ran.add() } }
    await pool.shutdown()
    #expect(ran.value == 1000)
    #expect(stopped.value == 3)
    #expect(eventually { threads(named: "asyncend-").isEmpty })
    await pool.shutdown()  // again
  }

  @Test func shuttingDownMayCancelWhatIsPending() async throws {
    let (pool, gate) = try await blockedPool()
    let pending = try (0..<10).map { number in try pool.submit { number } }
    let shutdown = Task.immediate { await pool.shutdown(cancelPending: true) }
    #expect(pending.allSatisfy { $0.state == .cancelled })
    gate.signal()
    await shutdown.value
  }

  @Test func cancellingTheTaskDoesNotEndTheShutdown() async throws {
    let stopped = Counter()
    let pool = try ThreadPoolExecutor(maxWorkers: 2, onWorkerStop: { _ in stopped.add() })
    let gate = Semaphore()
    try pool.execute { gate.wait() }
    let shutdown = Task.immediate { await pool.shutdown() }
    shutdown.cancel()
    #expect(stopped.value < 2)
    gate.signal()
    await shutdown.value
    #expect(stopped.value == 2)
  }

  /// A Swift task that runs on the pool's one worker: it suspends, so that the worker can do what is left.
  @Test(.timeLimit(.minutes(5))) func aTaskOnThePoolWaitsForItsEnd() async throws {
    for cancelPending in [false, true] {
      let (ran, stopped) = (Counter(), Counter())
      let pool = try ThreadPoolExecutor(maxWorkers: 1, onWorkerStop: { _ in stopped.add() })
      let task = Task(executorPreference: pool) {
        let last = try pool.submit { ran.add(100) }
        for _ in 0..<100 { try pool.execute { ran.add() } }
        await pool.shutdown(cancelPending: cancelPending)
        return (ran.value, stopped.value, last.state)
      }
      #expect(try await task.value == (cancelPending ? (0, 1, .cancelled) : (200, 1, .finished)))
    }
  }

  @Test func severalTasksShutDown() async throws {
    for _ in 0..<50 {
      let stopped = Counter()
      let pool = try ThreadPoolExecutor(maxWorkers: 2, onWorkerStop: { _ in stopped.add() })
      await withTaskGroup { group in
        for _ in 0..<4 {
          group.addTask {
            await pool.shutdown()
            #expect(stopped.value == 2)
          }
        }
      }
    }
  }

  /// Four blocking computations at once on four workers: they wait for each other, so one after the other would hang.
  @Test func blockingWorkDoesNotBlockTheCooperativePool() async throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 4)
    let here = Counter()
    let all = Semaphore()
    async let results = withThrowingTaskGroup(of: Int.self) { group in
      for number in 1...4 {
        group.addTask {
          try await pool.run {
            if here.add() == 4 { all.signal(4) }
            all.wait()
            return number * number
          }
        }
      }
      return try await group.reduce(0, +)
    }
    #expect(try await results == 30)
    await pool.shutdown()
  }
}
