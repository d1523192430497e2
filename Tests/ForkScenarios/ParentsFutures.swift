import Glibc
import WorkerPool

/// Futures that are made before the fork: of a pool whose only worker is held up, and of promises.
final class ParentsFutures: Sendable {
  private let pool: ThreadPoolExecutor
  private let gate: Promise<Void>
  private let done: Future<Int>
  private let running: Future<Void>
  private let pending: Future<Int>
  private let promise = Promise<Int>()

  init() throws {
    let gate = Promise<Void>()
    let pool = try ThreadPoolExecutor(maxWorkers: 1, maxSpares: 0)
    done = try pool.submit { 1 }
    _ = try done.result()
    running = try pool.submit { try gate.future.result() }
    pending = try pool.submit { 3 }
    while running.state != .running { sched_yield() }
    self.gate = gate
    self.pool = pool
  }

  /// In the parent.
  func end() {
    gate.succeed(())
    pool.shutdown()
  }

  /// In the child. Returns its exit status.
  func check() -> Int32 {
    do {
      try checkBlocking()
      try checkSequences()
      try checkAsync()
      try checkTheChildsOwn()
      return 0
    } catch {
      print(error)
      fflush(nil)
      return 1
    }
  }

  private var notDone: [Future<Int>] { [pending, promise.future] }
  private var all: [Future<Int>] { [done] + notDone }

  private func checkBlocking() throws {
    try expect(try done.result() == 1, "what was done is done")
    for future in notDone {
      try expectForked { _ = try future.result() }
      try expectForked { _ = try future.result(timeout: .seconds(600)) }
    }
    try expectForked { _ = try running.result() }
    try expectForked { try pool.submit {} }
    for condition: WaitCondition in [.allCompleted, .firstError] {
      let (ended, rest) = wait(for: all, returnWhen: condition)
      try expect(ended.count == 1 && rest.count == 2, "\(condition) returns with what is done")
    }
    try expect(wait(for: notDone, returnWhen: .firstCompleted).done.isEmpty, "firstCompleted returns")
    try expect(wait(for: notDone, timeout: .seconds(600)).done.isEmpty, "with a timeout, too")
  }

  private func checkSequences() throws {
    var yielded: [Future<Int>] = []
    for future in asCompleted(all) { yielded.append(future) }
    try expect(yielded.count == 3 && yielded[0] === done, "each comes out once, the done one first")
    try expectForked { _ = try yielded[1].result() }
    var failures = 0
    for result in try pool.mapLazily(0..<4, chunkSize: 1, { $0 }) {
      try expectForked { _ = try result.get() }
      failures += 1
    }
    try expect(failures == 1, "a lazy map ends with one failure")
  }

  private func checkAsync() throws {
    let ended = Promise<String>()
    // Runs here up to where it suspends, which it must not.
    Task.immediate { [self] in
      do {
        for future in notDone {
          do {
            _ = try await future.value
            throw Unmet("value returned")
          } catch let error as WorkerPoolError where error.code == .forked {}
        }
        try expect(await wait(for: all).notDone.count == 2, "an async wait returns")
        var count = 0
        for await _ in asCompleted(all) { count += 1 }
        try expect(count == 3, "an async sequence yields all")
        ended.succeed("")
      } catch {
        ended.succeed("\(error)")
      }
    }
    let message = try ended.future.outcome?.get() ?? "an await suspends"
    try expect(message.isEmpty, message)
  }

  /// What the child makes and completes itself works as ever.
  private func checkTheChildsOwn() throws {
    let own = try ThreadPoolExecutor(maxWorkers: 1)
    try expect(try own.submit { 7 }.result() == 7, "a pool of the child's works")
    let late = Promise<Int>()
    try own.execute { late.succeed(8) }
    let (ended, _) = wait(for: [pending, late.future], returnWhen: .firstCompleted)
    try expect(ended.count == 1 && ended[0] === late.future, "the child's own is waited for")
    let called = Promise<Int>()
    promise.future.addDoneCallback { called.complete(with: $0.outcome!) }
    promise.succeed(9)
    try expect(try called.future.result() == 9 && promise.future.result() == 9, "the child may complete a promise")
    try expect(pending.cancel(), "the child may cancel")
    own.shutdown()
  }
}

struct Unmet: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}

private func expect(_ condition: Bool, _ message: String, line: Int = #line) throws {
  if !condition { throw Unmet("line \(line): not so: \(message)") }
}

private func expectForked(line: Int = #line, _ body: () throws -> Void) throws {
  do {
    try body()
  } catch let error as WorkerPoolError where error.code == .forked {
    return
  }
  throw Unmet("line \(line): nothing was thrown")
}
