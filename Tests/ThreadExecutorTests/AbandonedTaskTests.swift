import CStress
import CWorkerPool
import Glibc
import Testing
import ThreadTestSupport

@testable import WorkerPool

/// Tasks that end in another way than by returning, or that have ended before their turn comes.
@Suite struct AbandonedTaskTests {
  /// `pthread_exit` in a task: the future fails, the pool goes on.
  @Test(.timeLimit(.minutes(5))) func aTaskThatEndsItsThreadFails() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    let called = Counter()
    let future = try pool.submit { () -> Int in pthread_exit(nil) }
    future.addDoneCallback { _ in called.add() }
    let error = #expect(throws: WorkerPoolError.self) { try future.result() }
    #expect(error?.code == .threadEnded)
    #expect(try pool.submit { 3 }.result() == 3)
    pool.shutdown()
    #expect(called.value == 1)
  }

  /// A task that a worker runs since another one waits for it takes both along.
  @Test(.timeLimit(.minutes(5))) func soDoThoseThatWaitForIt() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    let inner = Promise<[Future<Int>]>()
    let outer = try pool.submit {
      let middle = try pool.submit {
        let innermost = try pool.submit { () -> Int in pthread_exit(nil) }
        inner.succeed([innermost])
        return try innermost.result()
      }
      return try middle.result()
    }
    for future in try inner.future.result() + [outer] {
      let error = #expect(throws: WorkerPoolError.self) { try future.result() }
      #expect(error?.code == .threadEnded)
    }
    pool.shutdown()
  }

  /// A callback that ends its thread: those behind it are told all the same.
  @Test(.timeLimit(.minutes(5))) func whatWasLeftToTellIsTold() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    let (gate, called, other) = (Promise<Void>(), Semaphore(), Promise<Int>())
    let future = try pool.submit { try gate.future.result() }
    other.future.addDoneCallback { _ in called.signal() }
    future.addDoneCallback { _ in
      other.succeed(1)
      pthread_exit(nil)
    }
    future.addDoneCallback { _ in called.signal() }
    gate.succeed(())
    called.wait(2)
    pool.shutdown()
  }

  /// In a wait of its own: the pool does not count that any longer.
  @Test(.timeLimit(.minutes(5))) func aTaskThatEndsItsThreadInABlockingCallFails() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 2, maxSpares: 0)
    for _ in 0..<20 {
      let future = try pool.submit { pool.withBlocking { pthread_exit(nil) } }
      let error = #expect(throws: WorkerPoolError.self) { try future.result() }
      #expect(error?.code == .threadEnded)
      // Threads that are blocked beside one another, as far as they are counted.
      let promise = Promise<Int>()
      let first = try pool.submit { try promise.future.result() }
      let second = try pool.submit { try first.result() }
      promise.succeed(1)
      #expect(try second.result() == 1)
    }
    pool.shutdown()
  }

  // MARK: What the engine asks

  @Test func aTaskIsStaleOnceItIsBegun() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    let released = Counter()
    let future = Future<Void>.make(home: pool.engine.pool) { [token = Token(released)] in token.touch() }
    let job = TaskCell { future.answer($0) }.intoJob()
    #expect(!isStaleForeign(nil, job))
    #expect(!isStaleForeign(nil, ClosureCell {}.intoJob()))
    #expect(future.begin())
    #expect(isStaleForeign(nil, job))
    abandonForeign(nil, job)
    let error = #expect(throws: WorkerPoolError.self) { try future.result() }
    #expect(error?.code == .threadEnded)
    #expect(isStaleForeign(nil, job))
    // Its thread owns the closure for ever, as it owns the body; here it is given back.
    withdraw(job)
    #expect(released.value == 0)
  }

  /// Cancelling counts; a shutdown that discards does not.
  @Test func cancellingIsNoted() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    let (began, gate) = (Semaphore(), Semaphore())
    try pool.execute {
      began.signal()
      gate.wait()
    }
    began.wait()
    let futures = try (0..<100).map { number in try pool.submit { number } }
    let before = cs_cancelled_count(UnsafeRawPointer(pool.engine.pool))
    for future in futures { #expect(future.cancel() && future.cancel()) }
    // A pool of another test may have the same counter.
    #expect(cs_cancelled_count(UnsafeRawPointer(pool.engine.pool)) >= before + 100)
    gate.signal()
    pool.shutdown()
  }
}
