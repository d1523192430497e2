import Testing
import ThreadTestSupport
import WorkerPool

private let length = 100_000

/// A completion that brings another one about, and so on: none may need a stack as deep as the chain is long, on a small
/// stack and without optimisation.
@Suite struct ChainTests {
  private let promises = (0..<length).map { _ in Promise<Int>() }

  @Test func callbacksThatComplete() throws {
    for (promise, next) in zip(promises, promises.dropFirst()) {
      promise.future.addDoneCallback { next.complete(with: $0.outcome!) }
    }
    onSmallStack { [promises] in promises[0].succeed(7) }
    #expect(try promises[length - 1].future.outcome?.get() == 7)
  }

  @Test func callbacksThatCancel() {
    for (promise, next) in zip(promises, promises.dropFirst()) {
      promise.future.addDoneCallback { _ in next.future.cancel() }
    }
    onSmallStack { [promises] in promises[0].future.cancel() }
    #expect(promises[length - 1].future.state == .cancelled)
  }

  @Test func callbacksThatCancelTasks() throws {
    let (pool, gate) = try blockedPool()
    let tasks = try (0..<length).map { number in try pool.submit { number } }
    for (task, next) in zip(tasks, tasks.dropFirst()) { task.addDoneCallback { _ in next.cancel() } }
    onSmallStack { tasks[0].cancel() }
    #expect(tasks.allSatisfy { $0.state == .cancelled })
    gate.signal()
    pool.shutdown()
  }

  /// A task that is cancelled lets go of the promise that it was to keep, whose callback cancels the next task.
  @Test func capturesThatAreLetGo() throws {
    let (pool, gate) = try blockedPool()
    let last = try pool.submit { 0 }
    var next = last
    for _ in 0..<length {
      let promise = Promise<Int>()
      promise.future.addDoneCallback { [next] _ in next.cancel() }
      next = try pool.submit { promise.succeed(1) ? 1 : 0 }
    }
    onSmallStack { [next] in next.cancel() }
    #expect(last.state == .cancelled)
    gate.signal()
    pool.shutdown()
  }

  /// Each callback holds the promise before it, which goes when the callback does.
  @Test func promisesThatAreDropped() {
    let dropped = Counter()
    onSmallStack {
      var promise = Promise<Void>()
      for _ in 0..<length {
        let held = promise
        promise = Promise()
        promise.future.addDoneCallback { done in
          if (done.outcome?.error as? WorkerPoolError)?.code == .promiseDropped { dropped.add() }
          _ = held.future.state
        }
      }
    }
    #expect(dropped.value == length)
  }

  /// Each callback registers the next one, with a future that is done.
  @Test func callbacksOfWhatIsDone() {
    let called = Counter()
    for promise in promises { promise.succeed(1) }
    onSmallStack { [promises] in
      @Sendable func step(_ index: Int) {
        called.add()
        if index < length { promises[index].future.addDoneCallback { _ in step(index + 1) } }
      }
      step(0)
    }
    #expect(called.value == length + 1)
  }

  /// Every callback submits the next task, which is done before its callback is added or soon after.
  @Test func callbacksThatSubmit() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1, stackSize: runsUnderSanitizer ? 1 << 20 : 64 << 10)
    let ended = Semaphore()
    @Sendable func step(_ left: Int) {
      guard left > 0, let next = try? pool.submit({ left }) else { return ended.signal() }
      next.addDoneCallback { _ in step(left - 1) }
    }
    step(length)
    ended.wait()
    pool.shutdown()
  }

  @Test func waitsForMany() throws {
    for (promise, next) in zip(promises, promises.dropFirst()) {
      promise.future.addDoneCallback { next.complete(with: $0.outcome!) }
    }
    let (began, waited) = (Semaphore(), Counter())
    let waiter = RunningThread { [promises] in
      var iterator: CompletedFutures<Int>.Iterator = asCompleted(promises.map(\.future)).makeIterator()
      began.signal()
      while iterator.next() != nil { waited.add() }
    }
    began.wait()
    onSmallStack { [promises] in promises[0].succeed(1) }
    waiter.join()
    #expect(waited.value == length)
  }

  // MARK: Order

  /// What a callback brings about is told after it, and before the next callback.
  @Test func theOrderIsThatOfARecursion() {
    let order = Log<String>()
    let (first, second, third) = (Promise<Int>(), Promise<Int>(), Promise<Int>())
    first.future.addDoneCallback { _ in
      second.succeed(1)
      second.future.addDoneCallback { _ in order.append("2c") }
      third.succeed(1)
      order.append("1a")
    }
    first.future.addDoneCallback { _ in order.append("1b") }
    second.future.addDoneCallback { _ in
      first.future.addDoneCallback { _ in order.append("1c") }
      order.append("2a")
    }
    second.future.addDoneCallback { _ in order.append("2b") }
    third.future.addDoneCallback { _ in order.append("3a") }
    first.succeed(1)
    #expect(order.entries == ["1a", "2a", "1c", "2b", "2c", "3a", "1b"])
    third.future.addDoneCallback { _ in order.append("3b") }
    #expect(order.entries.last == "3b")
  }

  /// A continuation keeps its place among the callbacks.
  @Test func awaitingKeepsItsPlace() async throws {
    for _ in 0..<200 {
      let promise = Promise<Int>()
      let called = Counter()
      for _ in 0..<10 { promise.future.addDoneCallback { _ in called.add() } }
      let waiting = Task.immediate {
        _ = try await promise.future.value
        return called.value
      }
      promise.succeed(1)
      #expect(try await waiting.value == 10)
    }
  }

  // MARK: Blocking in a callback

  /// What was to be told after a callback is told before it blocks.
  @Test(.timeLimit(.minutes(5))) func aCallbackMayWaitForWhatIsToldLater() throws {
    let results = Log<Int>()
    onThreads(1) { _ in
      let (first, second, answer, other) = (Promise<Int>(), Promise<Int>(), Promise<Int>(), Promise<Int>())
      second.future.addDoneCallback { _ in answer.succeed(3) }
      first.future.addDoneCallback { _ in
        second.succeed(1)
        results.append((try? answer.future.result()) ?? 0)
        results.append((try? other.future.result()) ?? 0)
      }
      first.future.addDoneCallback { _ in other.succeed(4) }
      first.succeed(1)
    }
    #expect(results.entries == [3, 4])
  }

  /// A task that a callback waits for, and so runs itself, sees its own callbacks at once.
  @Test(.timeLimit(.minutes(5))) func aTaskOnTopOfACallbackIsOnItsOwn() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    let (order, promise, ended) = (Log<String>(), Promise<Int>(), Semaphore())
    promise.future.addDoneCallback { _ in
      let inner = try? pool.submit {
        let own = Promise<Int>()
        own.future.addDoneCallback { _ in order.append("inner's") }
        own.succeed(1)
        order.append("inner")
      }
      try? inner?.result()
      order.append("outer")
    }
    promise.future.addDoneCallback { _ in
      order.append("next")
      ended.signal()
    }
    try pool.execute { promise.succeed(1) }
    ended.wait()
    #expect(order.entries == ["inner's", "inner", "outer", "next"])
    pool.shutdown()
  }

  /// Callbacks that block one on top of another stop doing so before the stack ends.
  @Test(.timeLimit(.minutes(5))) func manyCallbacksThatBlock() {
    let (promise, gate) = (Promise<Int>(), Promise<Int>())
    let (called, began) = (Counter(), Semaphore())
    for _ in 0..<10_000 {
      promise.future.addDoneCallback { _ in
        began.signal()
        _ = try? gate.future.result()
        called.add()
      }
    }
    let opener = RunningThread {
      began.wait()
      gate.succeed(1)
    }
    onSmallStack { promise.succeed(1) }
    opener.join()
    #expect(called.value == 10_000)
  }
}

extension Result {
  fileprivate var error: Failure? { if case .failure(let error) = self { error } else { nil } }
}
