import Testing
import ThreadTestSupport
import WorkerPool

struct Failure: Error, Equatable {
  var number = 0
}

/// A pool whose workers are all busy until the gate is opened.
func blockedPool(workers: Int = 1) throws -> (ThreadPoolExecutor, gate: Semaphore) {
  let pool = try ThreadPoolExecutor(maxWorkers: workers)
  let gate = Semaphore()
  let began = Semaphore()
  for _ in 0..<workers {
    try pool.execute {
      began.signal()
      gate.wait()
    }
  }
  began.wait(workers)
  return (pool, gate)
}

@Suite struct StateTests {
  @Test func aTaskGoesFromPendingToRunningToFinished() throws {
    let (pool, gate) = try blockedPool()
    let began = Semaphore()
    let end = Semaphore()
    let future = try pool.submit {
      began.signal()
      end.wait()
      return 7
    }
    #expect(future.state == .pending)
    #expect(future.outcome == nil)
    gate.signal()
    began.wait()
    #expect(future.state == .running)
    #expect(future.outcome == nil)
    #expect(!future.cancel())
    #expect(future.state == .running)
    end.signal()
    #expect(try future.result() == 7)
    #expect(future.state == .finished)
    #expect(try future.outcome?.get() == 7)
    #expect(!future.cancel())
    #expect(future.state == .finished)
    #expect(String(describing: future) == "Future<Int>(finished)")
    pool.shutdown()
  }

  @Test func aPendingTaskCanBeCancelledForGood() throws {
    let (pool, gate) = try blockedPool()
    let ran = Counter()
    let future = try pool.submit { ran.add() }
    #expect(future.cancel())
    #expect(future.state == .cancelled)
    #expect(future.cancel())  // still
    #expect(throws: CancellationError.self) { try future.result() }
    #expect(throws: CancellationError.self) { try future.result(timeout: .zero) }
    #expect(throws: CancellationError.self) { try future.outcome?.get() }
    gate.signal()
    pool.shutdown()
    #expect(ran.value == 0)
    #expect(future.state == .cancelled)
  }

  @Test func aFailedTaskIsFinished() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    let future = try pool.submit { throw Failure(number: 3) }
    #expect(throws: Failure(number: 3)) { try future.result() }
    #expect(throws: Failure(number: 3)) { try future.result(timeout: .seconds(1)) }
    #expect(future.state == .finished)
    #expect(!future.cancel())
    pool.shutdown()
  }

  // MARK: What closures own

  @Test func cancellingReleasesTheCapturesAtOnce() throws {
    let (pool, gate) = try blockedPool()
    let released = Counter()
    let future = try pool.submit { [token = Token(released)] in token.touch() }
    #expect(released.value == 0)
    future.cancel()
    #expect(released.value == 1)  // though the queue still holds its cell
    gate.signal()
    pool.shutdown()
  }

  @Test func theCapturesAreReleasedBeforeTheResultIsSeen() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 2)
    for round in 1...20_000 {
      let released = Counter()
      let future = try pool.submit { [token = Token(released)] in
        token.touch()
        if round % 2 == 0 { throw Failure() }
      }
      while future.outcome == nil {}
      #expect(released.value == 1)
    }
    pool.shutdown()
  }

  @Test func resultsAndCallbacksAreReleasedWithTheFuture() throws {
    let released = Counter()
    do {
      let promise = Promise<Token>()
      promise.future.addDoneCallback { [token = Token(released)] _ in token.touch() }
      #expect(released.value == 0)
      promise.succeed(Token(released))
      #expect(released.value == 1)  // the callback
    }
    #expect(released.value == 2)
  }

  // MARK: Waiting

  @Test func aTimeoutEndsTheWaitAlone() throws {
    let (pool, gate) = try blockedPool()
    let future = try pool.submit { 5 }
    let clock = ContinuousClock()
    let start = clock.now
    let error = #expect(throws: WorkerPoolError.self) { try future.result(timeout: .milliseconds(20)) }
    #expect(clock.now - start >= .milliseconds(20))
    #expect(error?.code == .timedOut)
    #expect(error?.message.contains("0.02 seconds") == true)
    for timeout: Duration in [.zero, .seconds(-1)] {
      let error = #expect(throws: WorkerPoolError.self) { try future.result(timeout: timeout) }
      #expect(error?.code == .timedOut)
    }
    #expect(future.state == .pending)
    gate.signal()
    #expect(try future.result(timeout: .seconds(60)) == 5)
    #expect(try future.result(timeout: .zero) == 5)  // done: no time needed
    pool.shutdown()
  }

  /// One look, and no spinning before it, which would take 20 µs. The shortest of many: others may take the processor.
  @Test(.disabled(if: runsUnderSanitizer, "what a call costs is the sanitizer's")) func aTimeoutOfZeroLooksOnce() {
    let promise = Promise<Int>()
    let clock = ContinuousClock()
    let looks = 20
    let shortest = (0..<200).map { _ in
      clock.measure { for _ in 0..<looks { _ = try? promise.future.result(timeout: .zero) } }
    }.min()!
    #expect(shortest < .microseconds(15 * looks), "\(shortest / looks) for each")
  }

  @Test(arguments: [
    Duration.seconds(Int64.max), .seconds(3600), .init(secondsComponent: .max, attosecondsComponent: 1),
  ])
  func veryLongTimeoutsAreWaits(timeout: Duration) {
    let promise = Promise<Int>()
    let began = Semaphore()
    let waiter = RunningThread {
      began.signal()
      #expect(try! promise.future.result(timeout: timeout) == 1)
    }
    began.wait()
    promise.succeed(1)
    waiter.join()
  }

  @Test func everyBlockedThreadGetsTheResult() {
    for _ in 0..<50 {
      let promise = Promise<Int>()
      let began = Semaphore()
      let got = Counter()
      let waiters = RunningThread {
        onThreads(40) { index in
          began.signal()
          let result =
            index % 2 == 0 ? try? promise.future.result() : try? promise.future.result(timeout: .seconds(600))
          got.add(result ?? 0)
        }
      }
      began.wait(40)
      promise.succeed(1)
      waiters.join()
      #expect(got.value == 40)
    }
  }

  // MARK: Promises

  @Test func theFirstCompletionWins() throws {
    let promise = Promise<Int>()
    #expect(promise.future.state == .pending)
    #expect(promise.succeed(1))
    #expect(!promise.succeed(2))
    #expect(!promise.fail(Failure()))
    #expect(!promise.complete(with: .success(3)))
    #expect(!promise.future.cancel())
    #expect(try promise.future.result() == 1)

    let failed = Promise<Int>()
    #expect(failed.fail(Failure(number: 4)))
    #expect(!failed.succeed(1))
    #expect(throws: Failure(number: 4)) { try failed.future.result() }

    let cancelled = Promise<Int>()
    #expect(cancelled.future.cancel())
    #expect(!cancelled.succeed(1))
    #expect(cancelled.future.state == .cancelled)
  }

  @Test func aDroppedPromiseFailsItsFuture() throws {
    let called = Counter()
    let future: Future<Int>
    do {
      let promise = Promise<Int>()
      future = promise.future
      future.addDoneCallback { _ in called.add() }
      #expect(called.value == 0)
    }
    let error = #expect(throws: WorkerPoolError.self) { try future.result() }
    #expect(error?.code == .promiseDropped)
    #expect(error?.message.contains("Promise<Int>") == true)
    #expect(called.value == 1)
  }

  @Test func aDroppedPromiseThatWasCompletedChangesNothing() throws {
    let done = { () -> Future<Int> in
      let promise = Promise<Int>()
      promise.succeed(9)
      return promise.future
    }()
    #expect(try done.result() == 9)
    let cancelled = { () -> Future<Int> in
      let promise = Promise<Int>()
      promise.future.cancel()
      return promise.future
    }()
    #expect(cancelled.state == .cancelled)
  }
}
