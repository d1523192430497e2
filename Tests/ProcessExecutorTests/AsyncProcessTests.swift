import Foundation
import ProcessScenarios
import Testing
import WorkerPool

/// The async surface, with re-executed workers: the tests' process has threads.
@Suite(.timeLimit(.minutes(2))) struct AsyncProcessTests {
  @Test func runReturnsOrThrows() async throws {
    try await withProcessPoolExecutor(maxWorkers: 2) { pool in
      let square = try await pool.run(Square(number: 12))
      #expect(square == 144)
      await #expect(throws: StationError.unreachable(host: "größer", port: 80)) {
        try await pool.run(Fail(kind: .codable))
      }
      await #expect(throws: CancellationError.self) { try await pool.run(Fail(kind: .cancellation)) }
    }
  }

  @Test func mapKeepsTheOrder() async throws {
    try await withProcessPoolExecutor(maxWorkers: 2) { pool in
      let expected = (0..<500).map { $0 * $0 }
      let squares = try await pool.map((0..<500).map { Square(number: $0) })
      let lazySquares = try await pool.map((0..<500).lazy.map { Square(number: $0) }, chunkSize: 3)
      #expect(squares == expected && lazySquares == expected)
      let error = await #expect(throws: CodeError.self) {
        try await pool.map((0..<500).map { FailFrom(number: $0, limit: 200) }, chunkSize: 9)
      }
      #expect(error?.code == 200)
    }
  }

  @Test func cancellingTheTaskTakesTheJobBack() async throws {
    try await withProcessPoolExecutor(maxWorkers: 1) { pool in
      let gate = try Gate()
      defer { gate.remove() }
      let held = try pool.submit(gate.job)
      let worker = try await gate.held()
      let waiting = Task { try await pool.run(Square(number: 1)) }
      let mapping = Task { try await pool.map((0..<100).map { Square(number: $0) }) }
      waiting.cancel()
      mapping.cancel()
      await #expect(throws: CancellationError.self) { try await waiting.value }
      await #expect(throws: CancellationError.self) { try await mapping.value }
      gate.release()
      #expect(try await held.value == worker)
    }
  }

  @Test func aRunningJobIsLeftToEndAfterCancellation() async throws {
    try await withProcessPoolExecutor(maxWorkers: 1) { pool in
      let gate = try Gate()
      defer { gate.remove() }
      let running = Task { try await pool.run(gate.job) }
      _ = try await gate.held()
      running.cancel()
      await #expect(throws: CancellationError.self) { try await running.value }
      gate.release()
      #expect(try await pool.run(Square(number: 2)) == 4)
    }
  }

  @Test func aRunningJobIsAskedToStopByCancellation() async throws {
    try await withProcessPoolExecutor(maxWorkers: 1) { pool in
      let gate = try Gate()
      defer { gate.remove() }
      let running = Task { try await pool.run(AwaitStopAtGate(gate)) }
      try await gate.begun()
      running.cancel()
      await #expect(throws: CancellationError.self) { try await running.value }
      // The only worker is free again: the job has heard it.
      let told = try await pool.run(TellContext())
      #expect(told == [0, 0, -1])
    }
  }

  @Test func optionsReachTheTask() async throws {
    try await withProcessPoolExecutor(maxWorkers: 1) { pool in
      let options = TaskOptions(timeout: .milliseconds(30), gracePeriod: .zero)
      let error = await #expect(throws: WorkerPoolError.self) { try await pool.run(Stubborn(), options: options) }
      #expect(error?.code == .taskTimedOut, "\(String(describing: error))")
      let inMap = await #expect(throws: WorkerPoolError.self) { try await pool.map([Stubborn()], options: options) }
      #expect(inMap?.code == .taskTimedOut, "\(String(describing: inMap))")
    }
  }

  @Test func shutdownWithADeadlineReports() async throws {
    let pool = try ProcessPoolExecutor(maxWorkers: 1)
    let gate = try Gate()
    defer { gate.remove() }
    let running = try pool.submit(AwaitStopAtGate(gate))
    let waiting = try pool.submit(Square(number: 1))
    try await gate.begun()
    let report = await pool.shutdown(deadline: .zero, gracePeriod: .seconds(60))
    let counts = [report.finished, report.cancelled, report.askedToStop, report.killed]
    #expect(counts == [1, 1, 1, 0])
    #expect(running.state == .finished && waiting.state == .cancelled)
    await #expect(throws: CancellationError.self) { try await running.value }
    let again = await pool.shutdown(deadline: ContinuousClock.now + .seconds(60))
    #expect(again == ShutdownReport())
  }

  /// A callback runs on the thread that a shutdown would wait for.
  @Test func shutdownWithADeadlineInACallback() async throws {
    let pool = try ProcessPoolExecutor(maxWorkers: 1)
    let future = try pool.submit(Square(number: 2))
    let stubborn = try pool.submit(Stubborn())
    let report: ShutdownReport = await withCheckedContinuation { continuation in
      future.addDoneCallback { _ in continuation.resume(returning: shutDownAtOnce(pool)) }
    }
    #expect(report == ShutdownReport())
    let error = await #expect(throws: (any Error).self) { try await stubborn.value }
    #expect(error is CancellationError || (error as? WorkerPoolError)?.code == .terminated)
    await pool.shutdown()
  }

  @Test func shutdownWaitsWithoutBlocking() async throws {
    let pool = try ProcessPoolExecutor(maxWorkers: 1)
    let gate = try Gate()
    defer { gate.remove() }
    let held = try pool.submit(gate.job)
    _ = try await gate.held()
    let waiting = try pool.submit(Square(number: 1))
    // Cancelled on the way, which lets the held job go.
    waiting.addDoneCallback { _ in gate.release() }
    await pool.shutdown(cancelPending: true)
    #expect(held.state == .finished && waiting.state == .cancelled)
    #expect(pool.workerProcessIdentifiers.isEmpty)
  }

  @Test func oneFunctionForEveryExecutor() async throws {
    func total(_ executor: some JobExecutor) async throws -> Int {
      let first = try executor.submit(Square(number: 3))
      let others = try await executor.map([Square(number: 1), Square(number: 2)])
      return try await first.value + others.reduce(0, +)
    }
    let inProcesses = try await withProcessPoolExecutor(maxWorkers: 2) { pool in try await total(pool) }
    let inThreads = try await withThreadPoolExecutor(maxWorkers: 2) { pool in try await total(pool) }
    #expect(inProcesses == 14 && inThreads == 14)
  }
}

private func shutDownAtOnce(_ pool: ProcessPoolExecutor) -> ShutdownReport {
  pool.shutdown(deadline: .zero, gracePeriod: .zero)
}

extension Gate {
  /// Suspends until a task has opened the first half of the gate.
  fileprivate func begun() async throws {
    await withCheckedContinuation { continuation in
      Thread.detachNewThread {
        close(open("\(directory)/begun", O_RDONLY | O_CLOEXEC))
        continuation.resume()
      }
    }
  }

  /// Suspends until a task has reached the gate. On a thread of its own: the task may need the cooperative pool's.
  fileprivate func held() async throws -> Int32 {
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread { continuation.resume(with: Result { try waitUntilHeld() }) }
    }
  }
}
