import Testing
import ThreadTestSupport
import WorkerPool

@Suite struct CallbackTests {
  @Test func callbacksRunInOrderOnTheCompletingWorker() throws {
    let (pool, gate) = try blockedPool()
    let future = try pool.submit { currentThreadID() }
    let order = Log<Int>()
    let threads = Log<Int>()
    let called = Semaphore()
    for index in 0..<100 {
      future.addDoneCallback { done in
        #expect(done === future)
        #expect(done.state == .finished)
        #expect(pool.currentWorkerIndex == 0)
        order.append(index)
        threads.append(currentThreadID())
        called.signal()
      }
    }
    #expect(order.entries.isEmpty)
    gate.signal()
    called.wait(100)
    #expect(order.entries == Array(0..<100))
    #expect(Set(threads.entries) == [try future.result()])
    pool.shutdown()
  }

  @Test func callbacksOfACancelledTaskRunOnTheCancellingThread() throws {
    let (pool, gate) = try blockedPool()
    let future = try pool.submit {}
    let threads = Log<Int>()
    for _ in 0..<3 {
      future.addDoneCallback { done in
        #expect(done.state == .cancelled)
        threads.append(currentThreadID())
      }
    }
    future.cancel()
    #expect(threads.entries == [Int](repeating: currentThreadID(), count: 3))
    future.cancel()
    #expect(threads.entries.count == 3)
    gate.signal()
    pool.shutdown()
  }

  @Test func whenDoneACallbackRunsAtOnce() {
    let promise = Promise<Int>()
    promise.succeed(1)
    let threads = Log<Int>()
    promise.future.addDoneCallback { _ in threads.append(currentThreadID()) }
    #expect(threads.entries == [currentThreadID()])
    let cancelled = Promise<Int>()
    cancelled.future.cancel()
    cancelled.future.addDoneCallback { _ in threads.append(currentThreadID()) }
    #expect(threads.entries.count == 2)
  }

  @Test func callbacksMayUseTheFuture() {
    let promise = Promise<Int>()
    let order = Log<String>()
    promise.future.addDoneCallback { future in
      order.append("outer")
      future.addDoneCallback { _ in order.append("inner") }
      #expect(!future.cancel())
      #expect((try? future.result()) == 1)
      #expect(!promise.succeed(2))
    }
    promise.future.addDoneCallback { _ in order.append("next") }
    promise.succeed(1)
    #expect(order.entries == ["outer", "inner", "next"])
  }

  /// Notifying is a loop, not a recursion: neither the calls nor the release of the list may need a deep stack.
  @Test func aMillionCallbacks() {
    let promise = Promise<Int>()
    let called = Counter()
    for _ in 0..<1_000_000 { promise.future.addDoneCallback { _ in called.add() } }
    promise.succeed(1)
    #expect(called.value == 1_000_000)
  }

  @Test func callbacksOfOneFutureAreRegisteredFromManyThreads() {
    for _ in 0..<200 {
      let promise = Promise<Int>()
      let called = Counter()
      onThreads(4) { thread in
        if thread == 0 { promise.succeed(1) }
        for _ in 0..<50 { promise.future.addDoneCallback { _ in called.add() } }
      }
      #expect(called.value == 200)
    }
  }
}
