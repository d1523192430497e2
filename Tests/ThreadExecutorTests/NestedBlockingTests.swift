import CWorkerPool
import Glibc
import Testing
import ThreadTestSupport

@testable import WorkerPool

@Suite struct NestedBlockingTests {
  private func chain(_ pool: ThreadPoolExecutor, _ length: Int) throws -> Int {
    guard length > 0 else { return 0 }
    return try pool.submit { try chain(pool, length - 1) }.result() + 1
  }

  /// Deeper than any stack: workers run what they wait for themselves, then spares go on from a fresh stack.
  @Test(.timeLimit(.minutes(2))) func aChainLongerThanAnyStack() throws {
    try withThreadPoolExecutor(maxWorkers: 1) { pool in
      let length = try pool.submit { try chain(pool, 100_000) }.result()
      #expect(length == 100_000)
    }
  }

  /// Every task waits for promises that later tasks keep: without spares all workers would wait, and nobody work.
  @Test(.timeLimit(.minutes(2)), arguments: [1, 2, 4]) func promisesKeptByLaterTasks(workers: Int) throws {
    try withThreadPoolExecutor(maxWorkers: workers) { pool in
      let promises = (0..<100).map { _ in Promise<Int>() }
      let waiting = try promises.map { promise in try pool.submit { try promise.future.result() } }
      for (index, promise) in promises.enumerated() { try pool.execute { promise.succeed(index) } }
      let results = try waiting.map { try $0.result() }
      #expect(results == Array(0..<100))
    }
  }

  /// Tasks of a random acyclic graph, submitted in random order, each waiting for all it depends on.
  @Test(.timeLimit(.minutes(2)), arguments: 0..<6) func randomAcyclicGraphs(seed: UInt64) throws {
    var random = SeededGenerator(state: seed)
    let count = 120
    let edges = (0..<count).map { node in
      (0..<3).compactMap { _ in node > 0 ? Int.random(in: 0..<node, using: &random) : nil }
    }
    try withThreadPoolExecutor(maxWorkers: Int(seed % 3) + 1) { pool in
      let promises = (0..<count).map { _ in Promise<Int>() }
      for node in (0..<count).shuffled(using: &random) {
        try pool.execute {
          let sum = edges[node].reduce(1) { $0 &+ ((try? promises[$1].future.result()) ?? -1_000_000) }
          promises[node].succeed(sum)
        }
      }
      var expected: [Int] = []
      for node in 0..<count { expected.append(edges[node].reduce(1) { $0 &+ expected[$1] }) }
      let results = try promises.map { try $0.future.result() }
      #expect(results == expected)
    }
  }

  /// A promise is kept from outside: whoever waits for one waits, also when no spare is left for those behind.
  @Test(.timeLimit(.minutes(2))) func waitsForPromisesAreNeverRefused() throws {
    try withThreadPoolExecutor(maxWorkers: 1) { pool in
      let (promise, began) = (Promise<Int>(), Semaphore())
      let waiting = try (0..<300).map { _ in
        try pool.submit {
          began.signal()
          return try promise.future.result()
        }
      }
      began.wait(257)  // the worker and all spares
      promise.succeed(1)
      #expect(try waiting.map { try $0.result() } == Array(repeating: 1, count: 300))
    }
  }

  /// Tasks in a ring, each of which waits for the next: when all threads do, one wait is refused, and the others end.
  @Test(.timeLimit(.minutes(5)), arguments: [0, 1, 3]) func aRingIsRefusedOnce(spares: Int) throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 2, maxSpares: spares)
    for _ in 0..<50 {
      let count = 2 + spares
      let refused = Log<WorkerPoolError?>()
      let (began, ring) = (Semaphore(), Promise<[Future<Int>]>())
      let tasks = try (0..<count).map { index in
        try pool.submit {
          began.signal()
          let tasks = try ring.future.result()
          do {
            return try tasks[(index + 1) % count].result()
          } catch {
            refused.append(error as? WorkerPoolError)
            return 5
          }
        }
      }
      began.wait(count)  // so that nobody can be helped with
      ring.succeed(tasks)
      #expect(try tasks.map { try $0.result() } == Array(repeating: 5, count: count))
      #expect(refused.entries.map { $0?.code } == [.wouldDeadlock])
      #expect(refused.entries.first??.message.hasPrefix("every thread of the pool waits for work of the pool") == true)
    }
    pool.shutdown()
  }

  /// A wait that is over is no part of a deadlock, though its thread has not come back to a CPU yet.
  @Test(.timeLimit(.minutes(5))) func aWaitThatHasEndedIsNoDeadlock() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 2, maxSpares: 0)
    for _ in 0..<500 {
      let gate = Promise<Int>()
      let first = try pool.submit { try gate.future.result() }
      let second = try pool.submit { try first.result() }
      // Taken by the worker that has just ended the wait of the other one.
      let third = try pool.submit { try second.result() }
      while second.state != .running {}
      gate.succeed(1)
      #expect(try third.result() == 1)
    }
    pool.shutdown()
  }

  /// Two tasks that wait for one another, but not for ever.
  @Test(.timeLimit(.minutes(5))) func aWaitWithATimeoutIsNoDeadlock() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 2, maxSpares: 0)
    let (codes, began, tasks) = (Log<WorkerPoolError.Code?>(), Semaphore(), Promise<[Future<Void>]>())
    let both = try [1, 0].map { other in
      try pool.submit {
        began.signal()
        let tasks = try tasks.future.result()
        do {
          try tasks[other].result(timeout: .milliseconds(20 + 20 * other))
        } catch {
          codes.append((error as? WorkerPoolError)?.code)
        }
      }
    }
    began.wait(2)
    tasks.succeed(both)
    for future in both { try future.result() }
    #expect(codes.entries.first == .timedOut)
    #expect(codes.entries.allSatisfy { $0 == .timedOut })
    pool.shutdown()
  }

  /// The one worker waits for itself, beside a promise: as long as something outside can end the wait it lasts.
  @Test(.timeLimit(.minutes(5))) func waitsForSeveralAreRefusedWhenNoneCanCome() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1, maxSpares: 0)
    let (itself, promise, waits) = (Promise<Future<Int>>(), Promise<Int>(), Semaphore())
    let task = try pool.submit {
      let own = try itself.future.result()
      let mixed = [promise.future, own]
      // One of them will never be done, and then not all.
      #expect(wait(for: mixed).notDone.count == 2)
      #expect(wait(for: [own], returnWhen: .firstCompleted).notDone.count == 1)
      #expect(wait(for: [own], returnWhen: .firstError).notDone.count == 1)
      var iterator: CompletedFutures<Int>.Iterator = asCompleted([own]).makeIterator()
      #expect(iterator.next() === own)
      #expect(iterator.next() == nil)
      let error = #expect(throws: WorkerPoolError.self) { try own.result() }
      #expect(error?.code == .wouldDeadlock)
      waits.signal()
      #expect(wait(for: mixed, returnWhen: .firstCompleted).done.first === promise.future)
      var completed: CompletedFutures<Int>.Iterator = asCompleted(mixed).makeIterator()
      #expect(completed.next() === promise.future)
      #expect(completed.next() === own)
      #expect(completed.next() == nil)
      return 6
    }
    itself.succeed(task)
    waits.wait()
    promise.succeed(1)
    #expect(try task.result() == 6)
    pool.shutdown()
  }

  // MARK: Threads that there is no way to begin work on

  /// A worker that has too little stack to run what it waits for, and nobody to take its place.
  @Test(.timeLimit(.minutes(5))) func mapsAreRefusedWhereNobodyIsLeft() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1, maxSpares: 0, stackSize: 200 << 10)
    try pool.submit {
      let lazily = try pool.mapLazily(0..<3, chunkSize: 1) { $0 }
      var iterator: LazyMapResults<Range<Int>, Int>.Iterator = lazily.makeIterator()
      for _ in 0..<3 {
        let error = #expect(throws: WorkerPoolError.self) { try iterator.next()?.get() }
        #expect(error?.code == .wouldDeadlock)
      }
      #expect(iterator.next() == nil)
      let numbers = sequence(first: 0) { $0 < 3 ? $0 + 1 : nil }
      let error = #expect(throws: WorkerPoolError.self) { try pool.map(numbers) { $0 } }
      #expect(error?.code == .wouldDeadlock)
      let futures = try (0..<3).map { number in try pool.submit { number } }
      #expect(wait(for: futures).notDone.count == 3)
      for future in futures { future.cancel() }
    }.result()
    pool.shutdown()
  }

  @Test func theErrorNamesTheCallThatFailed() {
    var error = wp_error()
    error.status = WP_SYSTEM_CALL_FAILED
    error.system_errno = EAGAIN
    let refusal = "pthread_create".withCString { name in
      error.call = name
      return WorkerPoolError(deadlock: error)
    }
    #expect(refusal.code == .wouldDeadlock)
    #expect(refusal.systemCall == .init(name: "pthread_create", errno: EAGAIN))
    #expect(refusal.message.contains("pthread_create failed: Resource temporarily unavailable"))
    error.status = WP_WOULD_DEADLOCK
    #expect(WorkerPoolError(deadlock: error).systemCall == nil)
  }
}

private struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state ^ state >> 29
  }
}
