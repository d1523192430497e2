import Synchronization
import Testing
import ThreadTestSupport
import WorkerPool

/// A task that its waiter runs leaves no place behind in a queue, also where no worker ever comes by.
@Suite(.timeLimit(.minutes(5))) struct PlaceTests {
  private static let rounds = 50_000

  /// A future that stands in a queue keeps its result alive.
  @Test(arguments: 1...3) func ownTasksThatAreAwaitedKeepNoPlace(together: Int) async throws {
    let released = Counter()
    let pool = try ThreadPoolExecutor(maxWorkers: 1, maxSpares: 0)
    let most = try await pool.submit {
      var most = 0
      for round in 1...Self.rounds {
        let futures = try (0..<together).map { _ in try pool.submit { Token(released) } }
        for future in futures { _ = try future.result() }
        most = max(most, round * together - released.value)
      }
      return most
    }.value
    #expect(most <= together + 1)
    await pool.shutdown()
    #expect(released.value == Self.rounds * together)
  }

  /// What stands between them stays, and runs.
  @Test func othersStayWhereTheyAre() async throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1, maxSpares: 0)
    let begun = Log<Int>()
    let others = try await pool.submit {
      try (0..<1000).map { round in
        let first = try pool.submit { 0 }
        let other = try pool.submit { begun.append(round) }
        let last = try pool.submit { 0 }
        // The newest, and then one that has another above it.
        _ = try last.result()
        _ = try first.result()
        return other
      }
    }.value
    for other in others { try await other.value }
    #expect(begun.entries.sorted() == Array(0..<1000))
    await pool.shutdown()
  }

  /// A closure that captures a future alone looks like what stands in the queue for its task.
  @Test func aClosureThatHoldsTheFutureIsNoPlace() async throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1, maxSpares: 0)
    let ran = Counter()
    try await pool.submit {
      for _ in 0..<1000 {
        let future = try pool.submit { ran.add(1) }
        try pool.execute { [future] in future.callIt(ran) }
        _ = try future.result()
      }
    }.value
    await pool.shutdown()
    #expect(ran.value == 2000)
  }

  /// They stand in the injector, where the worker that awaits them cannot see them.
  @Test func tasksFromOutsideThatAreAwaitedKeepNoPlace() async throws {
    let released = Counter()
    let pool = try ThreadPoolExecutor(maxWorkers: 1, maxSpares: 0)
    let (given, taken) = (Semaphore(), Semaphore())
    let handed = Mutex<Future<Token>?>(nil)
    let task = try pool.submit {
      var most = 0
      for round in 1...Self.rounds {
        given.wait()
        _ = try handed.withLock { $0.take() }!.result()
        most = max(most, round - released.value)
        taken.signal()
      }
      return most
    }
    try await Task.detached {
      for _ in 0..<Self.rounds {
        let future = try pool.submit { Token(released) }
        handed.withLock { $0 = future }
        given.signal()
        taken.wait()
      }
    }.value
    #expect(try await task.value <= 5000)
    await pool.shutdown()
    #expect(released.value == Self.rounds)
  }
}

extension Future {
  fileprivate func callIt(_ counter: Counter) { counter.add(1) }
}
