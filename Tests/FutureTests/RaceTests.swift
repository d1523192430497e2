import Testing
import ThreadTestSupport
import WorkerPool

private let rounds = 100_000
private let batch = 500

/// What happened to one future; each field is added to by several threads.
private final class Tally: Sendable {
  let ran = Counter()
  let released = Counter()
  let won = Counter()
  let cancelled = Counter()
  let callbacks = Counter()
  let awaits = Counter()
}

/// Everything that can happen to a future happens at once: one outcome, and everybody is told once.
@Suite struct RaceTests {
  @Test func tasksOfAPool() async throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 2)
    for _ in 0..<rounds / batch {
      let tallies = (0..<batch).map { _ in Tally() }
      let futures = try tallies.map { tally in
        try pool.submit { [token = Token(tally.released)] in
          token.touch()
          return tally.ran.add()
        }
      }
      await contend(futures, tallies) { index, future in
        if future.cancel() { tallies[index].cancelled.add() }
      }
      for (future, tally) in zip(futures, tallies) {
        let isCancelled = future.state == .cancelled
        let isRight =
          isCancelled
          ? tally.ran.value == 0 && tally.cancelled.value == 1
          : future.state == .finished && tally.ran.value == 1 && tally.cancelled.value == 0
        #expect(isRight && tally.released.value == 1 && tally.callbacks.value == 2 && tally.awaits.value == 2)
      }
    }
    await pool.shutdown()
  }

  @Test func promises() async throws {
    for _ in 0..<rounds / batch {
      let tallies = (0..<batch).map { _ in Tally() }
      let promises = tallies.map { _ in Promise<Int>() }
      await contend(promises.map(\.future), tallies) { index, future in
        let completed =
          index % 3 == 0
          ? promises[index].succeed(1) : index % 3 == 1 ? promises[index].fail(Failure()) : future.cancel()
        if completed { tallies[index].won.add() }
      } rival: { index in
        if promises[index].succeed(2) { tallies[index].won.add() }
      }
      for (promise, tally) in zip(promises, tallies) {
        #expect(promise.future.outcome != nil)
        #expect(tally.won.value == 1 && tally.callbacks.value == 2 && tally.awaits.value == 2)
      }
    }
  }

  /// Lets threads and tasks loose on the futures: `first` and `rival` decide them, others register and wait meanwhile.
  private func contend(
    _ futures: [Future<Int>], _ tallies: [Tally], first: @escaping @Sendable (Int, Future<Int>) -> Void,
    rival: @escaping @Sendable (Int) -> Void = { _ in }
  ) async {
    let called = Semaphore()
    await withTaskGroup { group in
      for (future, tally) in zip(futures, tallies) {
        group.addTask {
          _ = try? await future.value
          tally.awaits.add()
        }
        // A wait of its own, given up at some moment; as a rule before or while the future becomes done.
        let wait = Task.immediate {
          _ = try? await future.value
          tally.awaits.add()
        }
        group.addTask {
          wait.cancel()
          await wait.value
        }
      }
      await onThreads(4) { thread in
        for (index, future) in futures.enumerated() {
          switch thread {
          case 0: first(index, future)
          case 1: rival(index)
          case 2:
            future.addDoneCallback { _ in
              tallies[index].callbacks.add()
              called.signal()
            }
          default:
            _ = try? future.result(timeout: .seconds(600))
            future.addDoneCallback { _ in
              tallies[index].callbacks.add()
              called.signal()
            }
          }
        }
      }
    }
    // A callback may run a moment after the result can be seen.
    await onThreads(1) { _ in called.wait(2 * futures.count) }
  }
}
