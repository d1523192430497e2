import CWorkerPool
import Testing
import ThreadTestSupport

@Suite struct ResizeTests {
  @Test func growsAndShrinks() throws {
    let pool = try EnginePool(workers: 2, name: "resized")
    for count in [5, 1, 3, 3, 8, 2] as [UInt32] {
      #expect(wp_thread_pool_resize(pool.pool, count, nil) == WP_OK)
      #expect(wp_thread_pool_worker_count(pool.pool) == count)
      // As many run at once as are wanted.
      let gate = pool.block(Int(count))
      for _ in 0..<count { gate.signal() }
    }
    pool.end()
    #expect(threads(named: "resized-").isEmpty)
    let events = pool.hooks.started.entries.count
    #expect(pool.hooks.stopped.entries.count == events)
    #expect(Set(pool.hooks.started.entries.map(\.worker)) == Set(0..<8))
  }

  /// A shrunk pool runs no more jobs at once than it has workers, once the others have left.
  @Test func surplusWorkersLeave() throws {
    let pool = try EnginePool(workers: 4, name: "surplus")
    let gate = pool.block(4)
    #expect(wp_thread_pool_resize(pool.pool, 1, nil) == WP_OK)
    for _ in 0..<4 { gate.signal() }
    #expect(eventually { threads(named: "surplus-").count == 1 })
    #expect(pool.hooks.stopped.entries.count == 3)
    pool.end()
  }

  /// What stands in the deque of a worker that leaves is run by the others.
  @Test func nothingIsLostWithAWorker() throws {
    for _ in 0..<200 {
      let pool = try EnginePool(workers: 4)
      let marks = Marks(4000)
      let submitted = Semaphore()
      for part in 0..<4 {
        pool.submit {
          for index in 0..<1000 { _ = wp_thread_pool_submit(pool.pool, marks.job(part * 1000 + index)) }
          submitted.signal()
        }
      }
      #expect(wp_thread_pool_resize(pool.pool, 1, nil) == WP_OK)
      submitted.wait(4)
      pool.end()
      #expect(marks.countOnce() == 4000)
    }
  }

  @Test(arguments: [nil, MachineFiles.fourNodes] as [MachineFiles?])
  func manyResizersAndSubmitters(machine: MachineFiles?) throws {
    let pool = try EnginePool(workers: 3, machine: machine)
    let marks = Marks(200_000)
    onThreads(4) { thread in
      for index in stride(from: thread, to: marks.count, by: 4) {
        _ = wp_thread_pool_submit(pool.pool, marks.job(index))
        if index % 2000 < 4 { #expect(wp_thread_pool_resize(pool.pool, UInt32(1 + index / 2000 % 9), nil) == WP_OK) }
      }
    }
    pool.end()
    #expect(marks.countOnce() == 200_000)
  }

  /// Shares are cut by the workers there are at that moment; none may be cut twice or left out.
  @Test func rangesAreCoveredWhileThePoolIsResized() throws {
    let pool = try EnginePool(workers: 8, machine: .fourNodes)
    let marks = Marks(50_000)
    let body = wp_borrowed(first: marks.bytes, second: nil)
    let range = RepeatedRange(pool: pool, body: body, count: marks.count)
    onThreads(2) { thread in
      if thread == 0 {
        for _ in 0..<100 { range.perform() }
      } else {
        for round in 0..<200 { #expect(wp_thread_pool_resize(pool.pool, UInt32(1 + round * 7 % 12), nil) == WP_OK) }
      }
    }
    #expect((0..<marks.count).allSatisfy { marks.bytes[$0] == 100 })
    _ = marks.countOnce()
    pool.end()
  }

  @Test func jobsMayResizeTheirPool() throws {
    let pool = try EnginePool(workers: 2)
    let done = Semaphore()
    pool.submit {
      #expect(wp_thread_pool_resize(pool.pool, 4, nil) == WP_OK)
      #expect(wp_thread_pool_resize(pool.pool, 1, nil) == WP_OK)
      done.signal()
    }
    done.wait()
    #expect(wp_thread_pool_worker_count(pool.pool) == 1)
    pool.end()
  }

  @Test func zeroIsTheGrant() throws {
    let pool = try EnginePool(workers: 7)
    #expect(wp_thread_pool_resize(pool.pool, 0, nil) == WP_OK)
    var topology: OpaquePointer?
    #expect(wp_topology_create(nil, &topology, nil) == WP_OK)
    #expect(Int(wp_thread_pool_worker_count(pool.pool)) == wp_topology_granted(try #require(topology)))
    wp_topology_destroy(topology)
    pool.end()
  }

  @Test func refusals() throws {
    let pool = try EnginePool(workers: 1)
    var error = wp_error()
    #expect(wp_thread_pool_resize(pool.pool, WP_THREAD_POOL_MAX_WORKERS, &error) == WP_INVALID_ARGUMENT)
    #expect(error.call.map { String(cString: $0) } == "worker_count")
    #expect(wp_thread_pool_worker_count(pool.pool) == 1)
    wp_thread_pool_close(pool.pool)
    #expect(wp_thread_pool_resize(pool.pool, 2, &error) == WP_SHUT_DOWN)
    pool.end()
  }
}

private struct RepeatedRange: @unchecked Sendable {
  // SAFETY: the bytes outlive the performs, which come one after another, and in each a byte is written by one call.
  let pool: EnginePool
  let body: wp_borrowed
  let count: Int

  func perform() {
    let status = wp_concurrent_perform(
      pool.pool,
      { bytes, _, begin, end in for index in begin..<end { bytes!.assumingMemoryBound(to: UInt8.self)[index] &+= 1 } },
      body, count, 16)
    #expect(status == WP_OK)
  }
}
