import Synchronization
import Testing
import ThreadTestSupport
import WorkerPool

/// A caller from outside works as a worker that sleeps, where nobody could tell.
@Suite struct GuestTests {
  /// Threads and worker indices that a range was seen on.
  private func sightings(_ pool: ThreadPoolExecutor) throws -> [(thread: Int, worker: Int?)] {
    try pool.map(Array(0..<4), chunkSize: 1) { _ in (currentThreadID(), pool.currentWorkerIndex) }
  }

  /// Whoever is to be woken must not stand behind the caller, which it would on a single CPU.
  @Test(arguments: try CPUTopology.current().grant > 1 ? [1, 2, 3] : [1]) func worksAsAWorkerThatSleeps(
    workers: Int
  ) throws {
    let caller = currentThreadID()
    try withThreadPoolExecutor(maxWorkers: workers) { pool in
      var asGuest: [Int?] = []
      // Closures are compared outside of `#expect`: within one closure, its own and those of the code beside it can get the
      // same symbol (Swift 6.3), and then one body.
      let wasGuest = eventually {
        guard let seen = try? sightings(pool) else { return false }
        let allInside = seen.allSatisfy { $0.worker.map { (0..<workers).contains($0) } ?? false }
        #expect(allInside, "\(seen)")
        asGuest = seen.filter { $0.thread == caller }.map(\.worker)
        return !asGuest.isEmpty
      }
      #expect(wasGuest)
      #expect(Set(asGuest).count == 1)
      #expect(pool.currentWorkerIndex == nil)
      // And its worker works on by itself.
      let onWorker = try pool.submit { currentThreadID() }.result()
      #expect(onWorker != caller)
    }
  }

  /// With one worker every fork-join call is the caller's own once the worker sleeps, and joins find that they are inside.
  @Test func nestsOnTheCallersThread() throws {
    let caller = currentThreadID()
    try withThreadPoolExecutor(maxWorkers: 1) { pool in
      let allHere = eventually {
        let threads = try? pool.join(
          { try pool.withScope { _ in currentThreadID() } },
          { try pool.join({ currentThreadID() }, { currentThreadID() }) })
        return threads.map { $0 == caller && $1 == (caller, caller) } ?? false
      }
      #expect(allHere)
    }
  }

  struct Kind: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var make: @Sendable () throws -> ThreadPoolExecutor
  }

  /// Where workers differ from other threads, only they do the work.
  @Test(arguments: [
    Kind(testDescription: "start hook") { try ThreadPoolExecutor(maxWorkers: 2, onWorkerStart: { _ in }) },
    Kind(testDescription: "stop hook") { try ThreadPoolExecutor(maxWorkers: 2, onWorkerStop: { _ in }) },
    Kind(testDescription: "larger stacks") { try ThreadPoolExecutor(maxWorkers: 2, stackSize: 256 << 20) },
    Kind(testDescription: "pinned") { try ThreadPoolExecutor(maxWorkers: 1, affinity: .compact) },
  ]) func staysOutsideWhereWorkersDiffer(kind: Kind) throws {
    let caller = currentThreadID()
    let pool = try kind.make()
    for _ in 0..<300 {
      let seen = try sightings(pool)
      let helped = seen.contains { $0.thread == caller }
      #expect(!helped)
    }
    pool.shutdown()
  }

  /// What a body submits and does not wait for stands in the deque of the worker that was borrowed.
  @Test(arguments: [1, 2]) func leavesNothingBehind(workers: Int) throws {
    try withThreadPoolExecutor(maxWorkers: workers) { pool in
      for round in 0..<2000 {
        let futures = Log<Future<Int>>()
        try pool.concurrentPerform(iterations: 2) { index in
          let future = try pool.submit { index }
          futures.append(future)
        }
        let sum = try futures.entries.map { try $0.result() }.reduce(0, +)
        #expect(sum == 1, "round \(round)")
      }
    }
  }

  /// A guest that blocks is a blocked worker: a spare takes its place.
  @Test func blocksAsAWorkerDoes() throws {
    try withThreadPoolExecutor(maxWorkers: 1) { pool in
      for _ in 0..<200 {
        let (value, _) = try pool.join(
          {
            let promise = Promise<Int>()
            try pool.execute { promise.succeed(7) }
            return try promise.future.result()
          }, {})
        #expect(value == 7)
      }
    }
  }

  /// A guest that shuts its pool down must not wait for itself; and its range still runs to the end.
  @Test func aBodyMayShutThePoolDown() throws {
    for _ in 0..<200 {
      let pool = try ThreadPoolExecutor(maxWorkers: 2)
      let done = Atomic<Int>(0)
      try pool.concurrentPerform(iterations: 4) { index in
        if index == 0 { pool.shutdown(cancelPending: true) }
        done.add(1, ordering: .relaxed)
      }
      #expect(done.load(ordering: .relaxed) == 4)
      pool.shutdown()
      #expect(throws: WorkerPoolError.self) { try pool.concurrentPerform(iterations: 1) { _ in } }
    }
  }

  /// Guests, submitters and resizing against one another, and at last a shutdown: each element once, each task once.
  @Test(arguments: 1...3) func everythingRunsOnce(workers: Int) async throws {
    for round in 0..<30 {
      let pool = try ThreadPoolExecutor(maxWorkers: workers, spinDuration: round % 2 == 0 ? nil : .zero)
      let expected = Atomic<Int>(0)
      let done = Atomic<Int>(0)
      await onThreads(4) { thread in
        for step in 0..<200 {
          let count = (thread + step) % 6 + 1
          do {
            try pool.concurrentPerform(iterations: count, grain: 1) { index in
              done.add(1, ordering: .relaxed)
              guard index == 0 else { return }
              try pool.execute { done.add(1, ordering: .relaxed) }
              expected.add(1, ordering: .relaxed)
            }
            expected.add(count, ordering: .relaxed)
            if thread == 0, step % 20 == 0 { try pool.resize(maxWorkers: step / 20 % 4 + 1) }
          } catch {
            Issue.record(error)
          }
        }
      }
      await pool.shutdown()
      #expect(done.load(ordering: .relaxed) == expected.load(ordering: .relaxed))
    }
  }
}
