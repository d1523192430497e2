import CWorkerPool
import Testing
import ThreadTestSupport

/// Pools of machines with several nodes. Their workers float, so all of it happens on this machine's CPUs; where memory
/// and threads really are is checked in emulated machines (`make test-numa`).
@Suite struct NodeTests {
  @Test func workersAreDealtToNodes() throws {
    let pool = try EnginePool(workers: 8, machine: .fourNodes)
    #expect(wp_thread_pool_node_count(pool.pool) == 4)
    #expect(counters(pool).map(\.node) == [0, 0, 1, 1, 2, 2, 3, 3])
    pool.end()
  }

  @Test(arguments: [1, 2, 4, 8] as [UInt32])
  func jobsForNodesRunOnce(workers: UInt32) throws {
    let pool = try EnginePool(workers: workers, machine: .fourNodes)
    let marks = Marks(400_000)
    onThreads(4) { thread in
      for index in stride(from: thread, to: marks.count, by: 4)
      where wp_thread_pool_submit_on(pool.pool, Int32(index / 4 % 4), marks.job(index)) != WP_OK {
        Issue.record("job \(index) was refused")
      }
    }
    pool.end()
    #expect(marks.countOnce() == 400_000)
  }

  /// One job at a time, each for a node whose worker sleeps, or not: none may be left lying.
  @Test(arguments: [0, .max] as [UInt64])
  func noWakeIsLost(spin: UInt64) throws {
    let pool = try EnginePool(workers: 4, spin: spin, machine: .fourNodes)
    let done = Semaphore()
    let ends = job({ Unmanaged<Semaphore>.fromOpaque($0!).takeUnretainedValue().signal() }, address(of: done))
    for round in 0..<20_000 {
      for node in 0...(round % 3) {
        #expect(wp_thread_pool_submit_on(pool.pool, Int32((round + node) % 4), ends) == WP_OK)
      }
      done.wait(round % 3 + 1)
    }
    pool.end()
  }

  @Test func aNodeThatTheMachineDoesNotHaveIsRefused() throws {
    let pool = try EnginePool(workers: 2, machine: .withFarMemory)
    let marks = Marks(1)
    for node in [-1, 3, .max] as [Int32] {
      #expect(wp_thread_pool_submit_on(pool.pool, node, marks.job(0)) == WP_INVALID_ARGUMENT)
    }
    // Far memory has no workers; others run what is sent there, also while they have work of their own.
    #expect(wp_thread_pool_submit_on(pool.pool, 2, marks.job(0)) == WP_OK)
    pool.end()
    #expect(marks.countOnce() == 1)
  }

  /// Workers that never run out of their own work still come to a node that has no workers.
  @Test func aNodeWithoutWorkersIsNotForgotten() throws {
    let pool = try EnginePool(workers: 2, machine: .withFarMemory)
    let stop = Counter()
    let gone = Semaphore()
    for _ in 0..<2 { pool.submit { renew(pool, until: stop, then: gone) } }
    #expect(
      wp_thread_pool_submit_on(pool.pool, 2, Closure.job { stop.add() }) == WP_OK)
    gone.wait(2)
    pool.end()
  }

  @Test func countersTellLocalFromRemote() throws {
    let pool = try EnginePool(workers: 4, spin: .max, machine: .fourNodes)
    let count = 1000
    let gate = pool.block(4)
    let marks = Marks(4 * count)
    for index in 0..<marks.count {
      #expect(wp_thread_pool_submit_on(pool.pool, Int32(index % 4), marks.job(index)) == WP_OK)
    }
    for _ in 0..<4 { gate.signal() }
    wp_thread_pool_close(pool.pool)
    wp_thread_pool_join(pool.pool)
    let all = counters(pool)
    #expect(all.reduce(0) { $0 + $1.local + $1.remote } == UInt64(4 * count + 4))
    pool.end()
    #expect(marks.countOnce() == 4 * count)
  }

  // MARK: Ranges

  @Test(arguments: [1, 3, 4, 8] as [UInt32], [1, 7, 8, 1000, 100_000])
  func rangesAreCoveredOnce(workers: UInt32, count: Int) throws {
    let pool = try EnginePool(workers: workers, machine: .fourNodes)
    let marks = Marks(count)
    for grain in [1, 16] {
      marks.bytes.update(repeating: 0, count: count)
      let body = wp_borrowed(first: marks.bytes, second: nil)
      #expect(wp_concurrent_perform(pool.pool, markRange, body, count, grain) == WP_OK)
      #expect((0..<count).allSatisfy { marks.bytes[$0] == 1 })
    }
    _ = marks.countOnce()
    pool.end()
  }

  /// Ranges in ranges: each worker that waits for another node's share leaves its place to a spare.
  @Test func rangesNest() throws {
    let pool = try EnginePool(workers: 4, machine: .fourNodes)
    let ran = Counter()
    let inner: @Sendable () -> Void = { ran.add() }
    let context = NestedRange(pool: pool, body: inner)
    let body = wp_borrowed(first: address(of: context), second: nil)
    #expect(wp_concurrent_perform(pool.pool, performNested, body, 64, 1) == WP_OK)
    #expect(ran.value == 64 * 64)
    pool.end()
  }

  /// A shutdown that discards what waits gives the shares of other nodes back to who waits for them.
  @Test func discardingLeavesNoShareBehind() throws {
    for _ in 0..<50 {
      let pool = try EnginePool(workers: 4, machine: .fourNodes)
      let marks = Marks(10_000)
      let body = wp_borrowed(first: marks.bytes, second: nil)
      let begun = Semaphore()
      let ended = Semaphore()
      let range = BorrowedRange(pool: pool, body: body, count: marks.count)
      pool.submit {
        begun.signal()
        range.perform()
        ended.signal()
      }
      begun.wait()
      wp_thread_pool_close(pool.pool)
      wp_thread_pool_discard_pending(pool.pool)
      ended.wait()
      pool.end()
      #expect(marks.countOnce() == 10_000)
    }
  }

  private func counters(_ pool: EnginePool) -> [wp_worker_counters] {
    (0..<wp_thread_pool_worker_count(pool.pool)).map { index in
      var counters = wp_worker_counters()
      #expect(wp_thread_pool_counters(pool.pool, index, &counters, nil))
      return counters
    }
  }
}

/// Submits itself again, to the worker's own deque, until told to stop.
private func renew(_ pool: EnginePool, until stop: Counter, then gone: Semaphore) {
  if stop.value > 0 || pool.submit({ renew(pool, until: stop, then: gone) }) != WP_OK { gone.signal() }
}

private func address(of object: AnyObject) -> UnsafeMutableRawPointer { Unmanaged.passUnretained(object).toOpaque() }

private let markRange: wp_borrowed_call = { bytes, _, begin, end in
  for index in begin..<end { bytes!.assumingMemoryBound(to: UInt8.self)[index] &+= 1 }
}

private struct BorrowedRange: @unchecked Sendable {
  // SAFETY: the bytes outlive the perform, and each is written by one call.
  let pool: EnginePool
  let body: wp_borrowed
  let count: Int

  func perform() { #expect(wp_concurrent_perform(pool.pool, markRange, body, count, 8) == WP_OK) }
}

private final class NestedRange: Sendable {
  let pool: EnginePool
  let body: @Sendable () -> Void

  init(pool: EnginePool, body: @escaping @Sendable () -> Void) {
    self.pool = pool
    self.body = body
  }
}

private let performNested: wp_borrowed_call = { context, _, begin, end in
  let nested = Unmanaged<NestedRange>.fromOpaque(context!).takeUnretainedValue()
  for _ in begin..<end {
    let body = wp_borrowed(first: context, second: nil)
    let status = wp_concurrent_perform(
      nested.pool.pool,
      { context, _, begin, end in
        let nested = Unmanaged<NestedRange>.fromOpaque(context!).takeUnretainedValue()
        for _ in begin..<end { nested.body() }
      }, body, 64, 1)
    #expect(status == WP_OK)
  }
}
