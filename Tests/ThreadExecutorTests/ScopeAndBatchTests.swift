import Synchronization
import Testing
import ThreadTestSupport
import WorkerPool

private struct Failure: Error, Equatable { var number: Int }

@Suite struct SpawnScopeTests {
  @Test(arguments: [1, 2, 5]) func allHaveEndedWhenItReturns(workers: Int) throws {
    try withThreadPoolExecutor(maxWorkers: workers) { pool in
      for count in [0, 1, 2, 1000] {
        let ran = Counter()
        let inBody = try pool.withScope { scope in
          for _ in 0..<count { scope.spawn { ran.add() } }
          return pool.currentWorkerIndex
        }
        #expect(inBody != nil)
        #expect(ran.value == count)
      }
    }
  }

  @Test(arguments: [1, 3]) func tasksSpawnTasks(workers: Int) throws {
    try withThreadPoolExecutor(maxWorkers: workers) { pool in
      let ran = Counter()
      @Sendable func grow(_ scope: ThreadPoolExecutor.Scope, _ depth: Int) {
        ran.add()
        guard depth > 0 else { return }
        for _ in 0..<2 { scope.spawn { grow(scope, depth - 1) } }
      }
      try pool.withScope { grow($0, 12) }
      #expect(ran.value == (1 << 13) - 1)
    }
  }

  /// A worker that waits for a scope helps, also where the scope is nested in a task of another.
  @Test(arguments: [1, 2]) func scopesNest(workers: Int) throws {
    try withThreadPoolExecutor(maxWorkers: workers) { pool in
      let ran = Counter()
      try pool.withScope { outer in
        for _ in 0..<20 {
          outer.spawn {
            try pool.withScope { inner in
              for _ in 0..<20 { inner.spawn { ran.add() } }
            }
            ran.add()
          }
        }
      }
      #expect(ran.value == 20 * 21)
      let inside = try pool.submit { try pool.withScope { _ in 7 } }
      #expect(try inside.result() == 7)
    }
  }

  @Test func theFirstErrorComesOutWhenAllHaveEnded() throws {
    try withThreadPoolExecutor(maxWorkers: 2) { pool in
      let ended = Counter()
      #expect(throws: Failure(number: 1)) {
        try pool.withScope { scope in
          for _ in 0..<100 { scope.spawn { ended.add() } }
          throw Failure(number: 1)
        }
      }
      #expect(ended.value == 100)
      #expect(throws: Failure(number: 3)) {
        try pool.withScope { scope in
          for number in 0..<100 {
            scope.spawn {
              ended.add()
              if number == 3 { throw Failure(number: number) }
            }
          }
        }
      }
      #expect(ended.value == 200)
    }
  }

  @Test func aShutDownPoolRefuses() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    pool.shutdown()
    let error = #expect(throws: WorkerPoolError.self) { try pool.withScope { _ in Issue.record("was run") } }
    #expect(error?.code == .shutDown)
  }

  @Test func aShutdownInTheMiddleLosesNothing() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 2)
    let ran = Counter()
    try pool.withScope { scope in
      scope.spawn { ran.add() }
      pool.shutdown(wait: false)
      for _ in 0..<100 { scope.spawn { ran.add() } }
    }
    pool.shutdown()
    #expect(ran.value == 101)
  }
}

@Suite struct BatchTests {
  @Test(arguments: [0, 1, 31, 5000]) func allRunOnceAndResultsAreInOrder(count: Int) throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    let log = Log<Int>()
    let futures = try pool.submit(forEach: 0..<count) { number in
      log.append(number)
      return number
    }
    #expect(try futures.map { try $0.result() } == Array(0..<count))
    #expect(log.entries.sorted() == Array(0..<count))
    let sum = Counter()
    try pool.execute(forEach: 0..<count) { sum.add($0) }
    pool.shutdown()
    #expect(sum.value == count * (count - 1) / 2)
  }

  @Test func fromAWorkerToo() throws {
    try withThreadPoolExecutor(maxWorkers: 2) { pool in
      let sum = try pool.submit {
        try pool.submit(forEach: 0..<20_000) { $0 }.reduce(0) { try $0 + $1.result() }
      }
      #expect(try sum.result() == 19_999 * 10_000)
    }
  }

  @Test func aShutDownPoolTakesNoneAndReleasesThem() throws {
    let released = Counter()
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    pool.shutdown()
    let error = #expect(throws: WorkerPoolError.self) {
      try pool.submit(forEach: (0..<3).map { _ in Token(released) }) { $0.touch() }
    }
    #expect(error?.code == .shutDown)
    #expect(released.value == 3)
    let other = #expect(throws: WorkerPoolError.self) {
      try pool.execute(forEach: (0..<3).map { _ in Token(released) }) { $0.touch() }
    }
    #expect(other?.message.contains("0 of 3") == true)
    #expect(released.value == 6)
  }

  /// Futures that a shutdown overtakes are all done in the end, one way or the other.
  @Test func aShutdownInTheMiddleLeavesNoFutureOpen() throws {
    for _ in 0..<50 {
      let pool = try ThreadPoolExecutor(maxWorkers: 2)
      let begin = Semaphore()
      let closer = try ThreadPoolExecutor(maxWorkers: 1)
      let closed = try closer.submit {
        begin.signal()
        pool.shutdown(wait: false)
      }
      begin.wait()
      let futures = (try? pool.submit(forEach: 0..<3000) { $0 }) ?? []
      for (number, future) in futures.enumerated() {
        switch Result(catching: { try future.result() }) {
        case .success(let value): #expect(value == number)
        case .failure(let error): #expect((error as? WorkerPoolError)?.code == .shutDown)
        }
      }
      try closed.result()
      closer.shutdown()
      pool.shutdown()
    }
  }
}

@Suite(.serialized) struct BlockingWaitTests {
  @Test func theSpinIsASetting() throws {
    let before = BlockingWait.spinDuration
    defer { BlockingWait.spinDuration = before }
    #expect(before == .microseconds(20))
    let pool = try ThreadPoolExecutor(maxWorkers: 1, spinDuration: .zero)
    for duration: Duration in [.zero, .microseconds(5), .milliseconds(1)] {
      BlockingWait.spinDuration = duration
      #expect(BlockingWait.spinDuration == duration)
      for number in 0..<100 { #expect(try pool.submit { number }.result() == number) }
    }
    pool.shutdown()
  }
}
