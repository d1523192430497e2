import Testing
import ThreadTestSupport

@testable import WorkerPool

/// Whether somebody stands in the future's list of waiters.
private func hasWaiters<Success>(_ future: Future<Success>) -> Bool {
  let list = Mirror(reflecting: future).children.first { $0.label == "waiters" }!.value as! WaiterList
  return !list.isEmpty
}

@Suite struct WaitTests {
  // MARK: wait

  private let promises = (0..<4).map { _ in Promise<Int>() }
  private var futures: [Future<Int>] { promises.map(\.future) }

  private func positions(_ some: [Future<Int>]) -> [Int] {
    some.map { future in futures.firstIndex { $0 === future }! }
  }

  @Test func nothingToWaitFor() async {
    for condition: WaitCondition in [.allCompleted, .firstCompleted, .firstError] {
      let (done, notDone) = blockingWait([], condition, nil)
      #expect(done.isEmpty && notDone.isEmpty)
      let awaited = await wait(for: [Future<Int>](), returnWhen: condition)
      #expect(awaited.done.isEmpty && awaited.notDone.isEmpty)
    }
  }

  @Test func forAll() {
    let completer = RunningThread { [promises] in
      for index in [2, 0, 3, 1] { _ = index == 0 ? promises[index].fail(Failure()) : promises[index].succeed(index) }
    }
    let (done, notDone) = wait(for: futures)
    completer.join()
    #expect(positions(done) == [0, 1, 2, 3])
    #expect(notDone.isEmpty)
  }

  @Test func forTheFirst() {
    promises[2].succeed(0)
    let (done, notDone) = wait(for: futures, returnWhen: .firstCompleted)
    #expect(positions(done) == [2])
    #expect(positions(notDone) == [0, 1, 3])
    #expect(futures.filter { hasWaiters($0) }.isEmpty)
  }

  @Test func forTheFirstThatComesLater() {
    let began = Semaphore()
    let completer = RunningThread { [promises] in
      began.wait()
      promises[1].succeed(0)
    }
    began.signal()
    let (done, notDone) = wait(for: futures, returnWhen: .firstCompleted)
    completer.join()
    #expect(positions(done) == [1])
    #expect(positions(notDone) == [0, 2, 3])
  }

  @Test func forTheFirstError() {
    promises[0].succeed(0)
    let completer = RunningThread { [promises] in
      promises[1].succeed(0)
      promises[3].fail(Failure())
    }
    let (done, notDone) = wait(for: futures, returnWhen: .firstError)
    completer.join()
    #expect(positions(done) == [0, 1, 3])
    #expect(positions(notDone) == [2])
  }

  @Test func aCancelledFutureIsAnError() {
    promises[1].future.cancel()
    #expect(positions(wait(for: futures, returnWhen: .firstError).done) == [1])
  }

  @Test func withoutAnErrorForAll() {
    for promise in promises { promise.succeed(0) }
    #expect(wait(for: futures, returnWhen: .firstError).notDone.isEmpty)
  }

  @Test func untilATimeout() {
    promises[0].succeed(0)
    let clock = ContinuousClock()
    let start = clock.now
    let (done, notDone) = wait(for: futures, timeout: .milliseconds(20))
    #expect(clock.now - start >= .milliseconds(20))
    #expect(positions(done) == [0])
    #expect(positions(notDone) == [1, 2, 3])
    #expect(positions(wait(for: futures, timeout: .zero).done) == [0])
    #expect(positions(wait(for: futures, returnWhen: .firstError, timeout: .milliseconds(1)).done) == [0])
    #expect(futures.filter { hasWaiters($0) }.isEmpty)
  }

  @Test func suspended() async {
    async let all = wait(for: futures)
    promises[3].succeed(3)
    #expect(positions(await wait(for: futures, returnWhen: .firstCompleted).done) == [3])
    promises[2].fail(Failure())
    #expect(positions(await wait(for: futures, returnWhen: .firstError).done) == [2, 3])
    promises[0].succeed(0)
    promises[1].succeed(0)
    #expect(positions(await all.done) == [0, 1, 2, 3])
  }

  @Test func cancellingASuspendedWaitEndsIt() async {
    promises[1].succeed(0)
    let task = Task.immediate { await wait(for: futures) }
    task.cancel()
    let (done, notDone) = await task.value
    #expect(positions(done) == [1])
    #expect(positions(notDone) == [0, 2, 3])
    #expect(futures.filter { hasWaiters($0) }.isEmpty)
  }

  private func blockingWait(
    _ futures: [Future<Int>], _ condition: WaitCondition, _ timeout: Duration?
  ) -> (done: [Future<Int>], notDone: [Future<Int>]) {
    wait(for: futures, returnWhen: condition, timeout: timeout)
  }

  // MARK: asCompleted

  @Test func blockingInTheOrderOfCompletion() {
    promises[2].succeed(0)
    promises[1].succeed(0)
    var iterator: CompletedFutures<Int>.Iterator = asCompleted(futures).makeIterator()
    var seen = [iterator.next()!, iterator.next()!]
    #expect(positions(seen) == [1, 2])  // were done: as passed in
    for index in [3, 0] {
      let completer = RunningThread { [promises] in promises[index].succeed(0) }
      seen = [iterator.next()!]
      completer.join()
      #expect(positions(seen) == [index])
    }
    #expect(iterator.next() == nil)
    #expect(iterator.next() == nil)
  }

  @Test func eachIterationStartsAnew() {
    for promise in promises { promise.succeed(0) }
    let sequence = asCompleted(futures)
    for _ in 0..<2 { #expect(positions(Array(AnySequence(sequence))) == [0, 1, 2, 3]) }
  }

  @Test func suspendingInTheOrderOfCompletion() async {
    promises[3].succeed(0)
    let order = [3, 1, 0, 2]
    var seen: [Int] = []
    for await future in asCompleted(futures) {
      seen += positions([future])
      if seen.count < order.count { promises[order[seen.count]].succeed(0) }
    }
    #expect(seen == order)
  }

  @Test func duplicatesComeOutTwice() async {
    let twice = [futures[0], futures[1], futures[0]]
    promises[1].succeed(0)
    var iterator: CompletedFutures<Int>.AsyncIterator = asCompleted(twice).makeAsyncIterator()
    var seen = positions([await iterator.next()!])
    promises[0].succeed(0)
    while let future = await iterator.next() { seen += positions([future]) }
    #expect(seen == [1, 0, 0])
  }

  @Test func nothingToComplete() async {
    for await _ in asCompleted([Future<Int>]()) { Issue.record("a future out of nowhere") }
    #expect(Array(AnySequence(asCompleted([Future<Int>]()))).isEmpty)
  }

  @Test func leavingEarlyLeavesNothingBehind() async {
    promises[0].succeed(0)
    for await _ in asCompleted(futures) { break }
    #expect(futures.filter { hasWaiters($0) }.isEmpty)
    for _ in AnySequence(asCompleted(futures)) { break }
    #expect(futures.filter { hasWaiters($0) }.isEmpty)
  }

  @Test func cancellingEndsTheSequenceAlone() async {
    promises[0].succeed(0)
    let task = Task.immediate {
      var count = 0
      for await _ in asCompleted(futures) { count += 1 }
      return count
    }
    task.cancel()
    #expect(await task.value <= 1)
    #expect(futures.map(\.state) == [.finished, .pending, .pending, .pending])
    #expect(futures.filter { hasWaiters($0) }.isEmpty)
  }

  @Test func manyFuturesOfAPool() async throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 2)
    let many = try (0..<10_000).map { number in try pool.submit { number } }
    var seen = Set<Int>()
    for await future in asCompleted(many) { seen.insert(try await future.value) }
    #expect(seen == Set(0..<10_000))
    await pool.shutdown()
  }

  // MARK: Waits that are given up

  @Test func aLongLivedFutureDoesNotCollectWaiters() async {
    let promise = Promise<Int>()
    for _ in 0..<100_000 {
      let wait = Task.immediate { try await promise.future.value }
      #expect(hasWaiters(promise.future))
      wait.cancel()
      await #expect(throws: CancellationError.self) { try await wait.value }
    }
    #expect(!hasWaiters(promise.future))
    promise.succeed(1)
  }
}
