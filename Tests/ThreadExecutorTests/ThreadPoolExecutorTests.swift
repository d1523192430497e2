import Synchronization
import TestSupport
import Testing
import ThreadTestSupport
import WorkerPool

private struct Failure: Error, Equatable {
  var number: Int
}

private enum OtherFailure: Error { case odd }

@Suite struct ThreadPoolExecutorTests {
  // MARK: Submitting

  @Test func resultsAndErrorsComeOutAsTheyWentIn() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 2)
    #expect(pool.maxWorkers == 2)
    #expect(try pool.submit { [1, 2, 3].map { $0 * 2 } }.result() == [2, 4, 6])
    #expect(throws: Failure(number: 9)) { try pool.submit { throw Failure(number: 9) }.result() }
    let odd = try pool.submit { () throws(OtherFailure) -> Int in throw .odd }
    do {
      _ = try odd.result()
      Issue.record("nothing was thrown")
    } catch {
      #expect(error is OtherFailure)
    }
    pool.shutdown()
  }

  @Test func tasksRunOnWorkers() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 3, name: "execname")
    #expect(pool.currentWorkerIndex == nil)
    let name = try pool.submit {
      (ThreadStatus(id: currentThreadID())?.name, pool.currentWorkerIndex)
    }.result()
    let index = try #require(name.1)
    #expect((0..<3).contains(index))
    #expect(name.0 == "execname-\(index)")
    pool.shutdown()
    #expect(eventually { threads(named: "execname-").isEmpty })
  }

  @Test func executedTasksAllRun() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 2)
    let ran = Counter()
    onThreads(3) { _ in
      for _ in 0..<20_000 { try! pool.execute { ran.add() } }
    }
    pool.shutdown()
    #expect(ran.value == 60_000)
  }

  @Test func tasksFromOutsideBeginInOrder() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    let gate = Semaphore()
    let began = Semaphore()
    try pool.execute {
      began.signal()
      gate.wait()
    }
    began.wait()
    let order = Log<Int>()
    // One batch, which goes through the worker's own queue.
    for index in 0..<30 { try pool.execute { order.append(index) } }
    gate.signal()
    pool.shutdown()
    #expect(order.entries == Array(0..<30))
  }

  /// A closure formed on the main actor runs on a worker without a trap.
  @MainActor @Test func aClosureFormedOnTheMainActor() async throws {
    let starts = Counter()
    let pool = try ThreadPoolExecutor(
      maxWorkers: 1, onWorkerStart: { _ in starts.add() }, onWorkerStop: { _ in starts.add(10) })
    #expect(try await pool.submit { pool.currentWorkerIndex }.value == 0)
    #expect(try await pool.run { pool.currentWorkerIndex } == 0)
    let called = Semaphore()
    try pool.execute { called.signal() }
    let future = try pool.submit {}
    future.addDoneCallback { _ in called.signal() }
    await pool.shutdown()
    await onThreads(1) { _ in called.wait(2) }
    #expect(starts.value == 11)
  }

  @Test func hooksSeeEveryWorkerOnce() throws {
    let started = Log<Int>()
    let stopped = Log<Int>()
    let pool = try ThreadPoolExecutor(
      maxWorkers: 4, onWorkerStart: { started.append($0) }, onWorkerStop: { stopped.append($0) })
    pool.shutdown()
    #expect(started.entries.sorted() == [0, 1, 2, 3])
    #expect(stopped.entries.sorted() == [0, 1, 2, 3])
  }

  /// What a hook submits at a thread's end runs, or is refused, also when the pool is closed at that moment.
  @Test(.timeLimit(.minutes(5)), arguments: [1, 2]) func whatAStopHookSubmitsIsRunOrRefused(workers: Int) async throws {
    for _ in 0..<300 {
      let submitted = Log<Future<Int>>()
      let room = Mutex<ThreadPoolExecutor?>(nil)
      let pool = try ThreadPoolExecutor(
        maxWorkers: workers, maxSpares: 0,
        onWorkerStop: { index in
          guard let pool = room.withLock({ $0 }), let future = try? pool.submit({ index }) else { return }
          submitted.append(future)
        })
      room.withLock { $0 = pool }
      try pool.resize(maxWorkers: workers == 1 ? 2 : 1)
      try pool.resize(maxWorkers: 1)
      await pool.shutdown()
      room.withLock { $0 = nil }
      for future in submitted.entries { #expect(future.state == .finished) }
    }
  }

  // MARK: Waiting inside of tasks

  @Test func tasksMayWaitForTheirOwnTasks() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    @Sendable func depth(_ levels: Int) throws -> Int {
      guard levels > 0 else { return 0 }
      return try pool.submit { try depth(levels - 1) }.result() + 1
    }
    #expect(try pool.submit { try depth(50) }.result() == 50)
    pool.shutdown()
  }

  @Test func fibonacciByFutures() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 2)
    @Sendable func fibonacci(_ n: Int) throws -> Int {
      guard n > 1 else { return n }
      let left = try pool.submit { try fibonacci(n - 1) }
      return try fibonacci(n - 2) + left.result()
    }
    #expect(try pool.submit { try fibonacci(16) }.result() == 987)
    pool.shutdown()
  }

  // MARK: Bad input

  @Test(arguments: [0, -1, 5000, Int.max, Int.min]) func badWorkerCountsAreNamed(count: Int) {
    let error = #expect(throws: WorkerPoolError.self) { try ThreadPoolExecutor(maxWorkers: count) }
    #expect(error?.code == .invalidArgument)
    #expect(error?.message == "maxWorkers is \(count); it must be between 1 and 4094")
  }

  @Test(arguments: [0, -8]) func badStackSizesAreNamed(size: Int) {
    let error = #expect(throws: WorkerPoolError.self) { try ThreadPoolExecutor(maxWorkers: 1, stackSize: size) }
    #expect(error?.code == .invalidArgument)
    #expect(error?.message.contains("\(size)") == true)
  }

  @Test(arguments: [99_999, -3, Int.max]) func cpusThatAreNotAllowedAreNamed(cpu: Int) {
    let error = #expect(throws: WorkerPoolError.self) {
      try ThreadPoolExecutor(maxWorkers: 1, affinity: .cpus([0, cpu]))
    }
    #expect(error?.code == .invalidArgument)
    #expect(error?.message.contains("\(cpu)") == true, "\(error?.message ?? "")")
  }

  @Test func aFailedStartNamesTheSystemCall() {
    let error = #expect(throws: WorkerPoolError.self) { try ThreadPoolExecutor(maxWorkers: 2, stackSize: 1 << 50) }
    #expect(error?.code == .systemCall)
    #expect(error?.systemCall?.name == "pthread_create")
    #expect(error?.systemCall?.errno != 0)
    #expect(error?.message.hasPrefix("pthread_create failed: ") == true)
  }

  @Test func affinityReachesTheWorkers() throws {
    let cpu = allowedCPUs().last!
    let pool = try ThreadPoolExecutor(maxWorkers: 1, stackSize: 1 << 20, affinity: .cpus([cpu]), spinDuration: .zero)
    #expect(try pool.submit { allowedCPUs() }.result() == [cpu])
    pool.shutdown()
  }

  // MARK: Ending

  @Test(arguments: [true, false]) func afterTheShutdownNothingIsTaken(wait: Bool) throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    let released = Counter()
    pool.shutdown(wait: wait)
    let attempts: [() throws -> Void] = [
      { [token = Token(released)] in try pool.submit { token.touch() } },
      { [token = Token(released)] in try pool.execute { token.touch() } },
    ]
    for attempt in attempts {
      let error = #expect(throws: WorkerPoolError.self) { try attempt() }
      #expect(error?.code == .shutDown)
    }
    pool.shutdown(wait: true)  // again
    pool.shutdown(wait: true, cancelPending: true)
  }

  @Test func arefusedTaskIsReleased() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    pool.shutdown()
    let released = Counter()
    func refuse() {
      _ = try? pool.submit { [token = Token(released)] in token.touch() }
      try? pool.execute { [token = Token(released)] in token.touch() }
    }
    refuse()
    #expect(released.value == 2)
  }

  @Test func waitingForTheShutdownWaitsForTheWork() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 2, name: "waitend")
    let ran = Counter()
    for _ in 0..<1000 { try pool.execute { ran.add() } }
    pool.shutdown(wait: true)
    #expect(ran.value == 1000)
    #expect(eventually { threads(named: "waitend-").isEmpty })
  }

  @Test func withoutWaitingItReturnsAtOnce() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    let gate = Semaphore()
    let future = try pool.submit { gate.wait() }
    let later = try pool.submit { 4 }
    pool.shutdown(wait: false)
    #expect(later.state == .pending)  // else the gate would have been opened
    gate.signal()
    try future.result()
    #expect(try later.result() == 4)  // accepted, so run
  }

  @Test func pendingTasksAreCancelledOnRequest() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    let gate = Semaphore()
    let began = Semaphore()
    let ran = Counter()
    let released = Counter()
    let running = try pool.submit {
      began.signal()
      gate.wait()
      return 1
    }
    began.wait()
    let pending = try (0..<100).map { _ in
      try pool.submit { [token = Token(released)] in
        token.touch()
        ran.add()
      }
    }
    for _ in 0..<10 {
      try pool.execute { [token = Token(released)] in
        token.touch()
        ran.add()
      }
    }
    pool.shutdown(wait: false, cancelPending: true)
    #expect(pending.allSatisfy { $0.state == .cancelled })
    #expect(released.value == 110)
    gate.signal()
    #expect(try running.result() == 1)
    pool.shutdown()
    #expect(ran.value == 0)
  }

  @Test func aWorkerMayShutItsPoolDown() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 2)
    let ran = Counter()
    let future = try pool.submit {
      try pool.execute { ran.add() }
      pool.shutdown(wait: true)  // does not wait for itself
      return true
    }
    #expect(try future.result())
    pool.shutdown()
    #expect(ran.value == 1)
  }

  @Test func severalThreadsShutDown() throws {
    for _ in 0..<100 {
      let pool = try ThreadPoolExecutor(maxWorkers: 2)
      let ran = Counter()
      for _ in 0..<100 { try pool.execute { ran.add() } }
      onThreads(3) { _ in
        pool.shutdown()
        #expect(ran.value == 100)
      }
    }
  }

  @Test func aReleasedPoolRunsWhatItHas() throws {
    let ran = Counter()
    let stopped = Semaphore()
    let gate = Semaphore()
    func useAndDrop() throws -> Future<Int> {
      let pool = try ThreadPoolExecutor(maxWorkers: 1, name: "dropped", onWorkerStop: { _ in stopped.signal() })
      try pool.execute { gate.wait() }
      for _ in 0..<50 { try pool.execute { ran.add() } }
      return try pool.submit { ran.value }
    }
    let last = try useAndDrop()
    #expect(last.state == .pending)
    gate.signal()
    _ = try last.result()
    stopped.wait()
    #expect(ran.value == 50)
    #expect(eventually { threads(named: "dropped-").isEmpty })
  }

  @Test func aPoolReleasedByItsLastTaskEnds() throws {
    let stopped = Semaphore()
    func useAndDrop() throws {
      let pool = try ThreadPoolExecutor(maxWorkers: 2, onWorkerStop: { _ in stopped.signal() })
      // The task holds the last reference, so the pool goes on its own worker.
      for _ in 0..<10 { try pool.execute { _ = pool.maxWorkers } }
    }
    try useAndDrop()
    stopped.wait(2)
  }

  // MARK: Forks

  /// In a program of its own, which forks: futures of the parent that nobody completes in the child.
  @Test(.timeLimit(.minutes(3))) func theChildOfAForkIsTold() async throws {
    let result = try await runProduct("ForkScenarios")
    #expect(result.status == 0, "\(result)")
  }

  // MARK: The shared pool

  @Test func theSharedPoolIsThereForEver() async throws {
    let shared = ThreadPoolExecutor.shared
    #expect(shared === ThreadPoolExecutor.shared)
    #expect(shared.maxWorkers >= 1)
    shutDownBlocking(shared)
    await shared.shutdown(cancelPending: true)
    let name = try await shared.run { ThreadStatus(id: currentThreadID())?.name }
    #expect(name?.hasPrefix("shared-") == true)
  }

  private func shutDownBlocking(_ pool: ThreadPoolExecutor) { pool.shutdown(wait: true, cancelPending: true) }
}
