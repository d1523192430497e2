import Testing
import ThreadTestSupport
import WorkerPool

/// A shutdown that cancels takes tasks that have not begun. Forked work has: somebody stands on its stack and waits.
@Suite struct CancelledForkTests {
  /// The second half stands in the deque of a worker that is busy with the first, and nobody is free to steal it.
  @Test(.timeLimit(.minutes(5))) func aForkedHalfStillRuns() async throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    let (began, goOn) = (Semaphore(), Semaphore())
    let future = try pool.submit {
      try pool.join(
        {
          began.signal()
          goOn.wait()
          return 1
        }, { 2 })
    }
    began.wait()
    let shutdown = RunningThread { pool.shutdown(wait: false, cancelPending: true) }
    shutdown.join()
    goOn.signal()
    let halves = try await future.value
    #expect(halves == (1, 2))
    await pool.shutdown()
  }

  /// What an outside thread forks waits in the injector for a worker: refused or run, but answered.
  @Test(.timeLimit(.minutes(5))) func aJoinFromOutsideIsAnswered() async throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    let (began, goOn) = (Semaphore(), Semaphore())
    try pool.execute {
      began.signal()
      goOn.wait()
    }
    began.wait()
    let outcome = Log<Result<Int, any Error>>()
    let joining = Counter()
    let outside = RunningThread {
      joining.add(currentThreadID())
      outcome.append(Result { try pool.join({ 1 }, { 2 }).1 })
    }
    // It sleeps once it is in the injector.
    #expect(eventually { joining.value != 0 && ThreadStatus(id: joining.value)?.state == "S" })
    let shutdown = RunningThread { pool.shutdown(wait: false, cancelPending: true) }
    shutdown.join()
    goOn.signal()
    outside.join()
    switch outcome.entries.first {
    case .success(let value): #expect(value == 2)
    case .failure(let error): #expect((error as? WorkerPoolError)?.code == .shutDown)
    case nil: Issue.record("no outcome")
    }
    await pool.shutdown()
  }
}
