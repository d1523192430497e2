import CStress
import Testing
import ThreadTestSupport

@testable import WorkerPool

/// What a task says of its own waits, and how many threads a pool may have for them.
@Suite struct BlockingTests {
  private struct Failure: Error, Equatable {}

  // MARK: withBlocking

  /// The one worker waits for a semaphore that the next task signals.
  @Test(.timeLimit(.minutes(5))) func aSpareTakesThePlaceOfATaskThatBlocks() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    let signalled = Semaphore()
    let waiting = try pool.submit { pool.withBlocking { signalled.wait() } }
    try pool.execute { signalled.signal() }
    try waiting.result()
    pool.shutdown()
  }

  @Test(.timeLimit(.minutes(5))) func inASwiftTaskOfThePool() async throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    let signalled = Semaphore()
    let waiting = Task(executorPreference: pool) {
      pool.withBlocking { signalled.wait() }
      return pool.currentWorkerIndex
    }
    try pool.execute { signalled.signal() }
    #expect(await waiting.value != nil)
    await pool.shutdown()
  }

  /// It counts for the pool of the thread, whichever pool it is called on; nested, and beside other waits.
  @Test(.timeLimit(.minutes(5))) func itCountsWhereTheThreadBelongs() throws {
    let (pool, other) = try (ThreadPoolExecutor(maxWorkers: 1), ThreadPoolExecutor(maxWorkers: 1))
    let (signalled, promise) = (Semaphore(), Promise<Int>())
    let waiting = try pool.submit {
      try other.withBlocking {
        try pool.withBlocking {
          signalled.wait()
          return try promise.future.result()
        }
      }
    }
    try pool.execute { signalled.signal() }
    try pool.execute { promise.succeed(1) }
    #expect(try waiting.result() == 1)
    pool.shutdown()
    other.shutdown()
  }

  @Test func elsewhereItRunsItsBody() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1, name: "elsewhere")
    try pool.submit {}.result()  // from here on the worker has its name
    #expect(pool.withBlocking { 4 } == 4)
    do throws(Failure) {
      try pool.withBlocking { () throws(Failure) in throw Failure() }
    } catch {
      #expect(error == Failure())
    }
    #expect(threads(named: "elsewhere-").count == 1)
    pool.shutdown()
  }

  /// Something outside may end such a wait: so others that wait for the task are not told of a deadlock.
  @Test(.timeLimit(.minutes(5))) func itIsNoDeadlock() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 2, maxSpares: 0)
    let (began, signalled) = (Semaphore(), Semaphore())
    let blocked = try pool.submit {
      began.signal()
      pool.withBlocking { signalled.wait() }
      return 1
    }
    began.wait()
    let waiting = try pool.submit {
      began.signal()
      return try blocked.result()
    }
    began.wait()
    signalled.signal()
    #expect(try waiting.result() == 1)
    pool.shutdown()
  }

  /// In a callback, what the callback has brought about is told before.
  @Test(.timeLimit(.minutes(5))) func callbacksAreToldBefore() {
    onThreads(1) { _ in
      let pool = try! ThreadPoolExecutor(maxWorkers: 1)
      let (first, second, signalled) = (Promise<Int>(), Promise<Int>(), Semaphore())
      second.future.addDoneCallback { _ in signalled.signal() }
      first.future.addDoneCallback { _ in
        second.succeed(1)
        pool.withBlocking { signalled.wait() }
      }
      first.succeed(1)
      pool.shutdown()
    }
  }

  /// The same for a join whose stolen half waits for what is to be told.
  @Test(.timeLimit(.minutes(5))) func callbacksAreToldBeforeAJoinSleeps() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 2)
    for _ in 0..<20 {
      let (first, second, third, stolen) = (Promise<Int>(), Promise<Int>(), Promise<Int>(), Semaphore())
      second.future.addDoneCallback { _ in third.succeed(2) }
      first.future.addDoneCallback { _ in
        second.succeed(1)
        _ = try? pool.join(
          { stolen.wait() },
          {
            stolen.signal()
            return try third.future.result()
          })
      }
      #expect(try pool.submit { first.succeed(1) }.result())
      #expect(try third.future.result() == 2)
    }
    pool.shutdown()
  }

  // MARK: Spares

  /// Without spares no two tasks of a pool of one are ever in the middle at once, though one waits.
  @Test(.timeLimit(.minutes(5))) func withoutSparesNoMoreTasksRunThanThereAreWorkers() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1, maxSpares: 0)
    let (inside, seen, promise, thread) = (Counter(), Log<Int>(), Promise<Int>(), Counter())
    let first = try pool.submit {
      seen.append(inside.add())
      thread.add(currentThreadID())
      _ = try promise.future.result()
      inside.add(-1)
    }
    let second = try pool.submit {
      seen.append(inside.add())
      inside.add(-1)
    }
    #expect(eventually { thread.value != 0 && ThreadStatus(id: thread.value)?.state == "S" })
    #expect(second.state == .pending)
    promise.succeed(1)
    for future in [first, second] { try future.result() }
    #expect(seen.entries == [1, 1])
    pool.shutdown()
  }

  @Test(.timeLimit(.minutes(5))) func thereAreNoMoreSparesThanAllowed() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1, maxSpares: 2, name: "sparse")
    let (began, promise) = (Semaphore(), Promise<Void>())
    let waiting = try (0..<6).map { _ in
      try pool.submit {
        began.signal()
        try promise.future.result()
      }
    }
    began.wait(3)
    #expect(threads(named: "sparse-").count == 3)
    #expect(waiting.count { $0.state == .pending } == 3)
    promise.succeed(())
    for future in waiting { try future.result() }
    pool.shutdown()
  }

  @Test func badNumbersOfSparesAreNamed() throws {
    for (workers, spares, limit) in [(1, -1, 4093), (4000, 95, 94), (4, Int.max, 4090), (4094, 1, 0)] {
      let error = #expect(throws: WorkerPoolError.self) {
        try ThreadPoolExecutor(maxWorkers: workers, maxSpares: spares)
      }
      #expect(error?.code == .invalidArgument)
      #expect(error?.message == "maxSpares is \(spares); with \(workers) workers it must be between 0 and \(limit)")
    }
    let error = #expect(throws: WorkerPoolError.self) { try ThreadPoolExecutor(maxSpares: 4094) }
    #expect(error?.code == .invalidArgument)
    #expect(error?.message.hasPrefix("maxSpares is 4094; ") == true)
  }

  /// As many workers as there is room for beside the spares.
  @Test func theLimitOfAResizeHangsOnTheSpares() throws {
    for (spares, limit) in [(nil, 3838), (0, 4094), (4090, 4)] {
      let pool = try ThreadPoolExecutor(maxWorkers: 1, maxSpares: spares)
      let error = #expect(throws: WorkerPoolError.self) { try pool.resize(maxWorkers: limit + 1) }
      #expect(error?.message == "maxWorkers is \(limit + 1); it must be between 1 and \(limit)")
      if limit < 10 { try pool.resize(maxWorkers: limit) }
      pool.shutdown()
    }
  }

  // MARK: Shutdowns

  /// A worker shuts another pool down whose last task waits for a task of the worker's own pool.
  @Test(.timeLimit(.minutes(5))) func aShutdownOfAnotherPoolIsABlockingWait() throws {
    let (pool, other) = try (ThreadPoolExecutor(maxWorkers: 1), ThreadPoolExecutor(maxWorkers: 1))
    let result = Promise<Int>()
    try pool.submit {
      let later = try pool.submit { 7 }
      try other.execute { result.complete(with: Result { try later.result() }) }
      other.shutdown()
    }.result()
    #expect(try result.future.outcome?.get() == 7)
    pool.shutdown()
  }

  // MARK: Spinning

  /// However long waits may spin: a deadline comes first.
  @Test func noSpinGoesBeyondTheDeadline() {
    let before = BlockingWait.spinDuration
    BlockingWait.spinDuration = .milliseconds(200)
    defer { BlockingWait.spinDuration = before }
    for timeout: Duration in [.zero, .milliseconds(1)] {
      // The shortest of some: this thread may not be on a CPU. Each on a thread of its own, with a budget of its own.
      let times = Log<Duration>()
      for _ in 0..<5 {
        onThreads(1) { _ in
          let promise = Promise<Int>()
          times.append(ContinuousClock().measure { _ = try? promise.future.result(timeout: timeout) })
        }
      }
      #expect(times.entries.min()! < .milliseconds(100))
    }
  }
}
