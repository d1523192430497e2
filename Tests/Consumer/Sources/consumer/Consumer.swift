// Exit status 0 when everything was as expected; a trap names the line that was not.
import ConsumerJobs
import Glibc
import WorkerPool

/// Takes its worker down.
struct Crash: Job, BitwiseWireCodable {
  func run() -> Int { abort() }
}

@main struct Consumer {
  static func main() throws {
    // Forks come first, while this process has one thread.
    try processes()
    try onProcesses(.fork)
    try threads()
    try nodes()
    try onThreads()
    try onProcesses(.reexec)
    try blocking { try await async() }
    print("consumer: as expected")
  }

  static func onThreads() throws {
    try withThreadPoolExecutor(maxWorkers: 2) { pool in
      try runJobs(on: pool)
    }
  }

  static func onProcesses(_ method: ProcessPoolExecutor.StartMethod) throws {
    try withProcessPoolExecutor(maxWorkers: 2, startMethod: method) { pool in
      expect(pool.startMethod == method)
      try runJobs(on: pool)
      let crash = try pool.submit(Crash())
      try expect(pool.submit(SumOfSquares(upTo: 3)).result() == 14)
      let error = failure { try crash.result() } as? WorkerPoolError
      expect(error?.code == .workerDied && error?.workerExit?.reason == .signal(SIGABRT))
    }
  }

  static func runJobs(on executor: some JobExecutor) throws {
    try expect(executor.map([1, 2, 3, 10].map(SumOfSquares.init)) == [1, 5, 14, 385])
    let counts = try executor.submit(CountWords(title: "a", text: "to be or not to be")).result()
    expect(counts == ["to": 2, "be": 2, "or": 1, "not": 1])
    let empty = try executor.submit(CountWords(title: "b", text: ""))
    expect(failure { try empty.result() } as? CountWords.NoText == CountWords.NoText(title: "b"))
  }

  /// Runs async code to its end, in a program that begins without.
  static func blocking(_ body: @escaping @Sendable () async throws -> Void) throws {
    let promise = Promise<Void>()
    Task {
      do {
        promise.succeed(try await body())
      } catch {
        promise.fail(error)
      }
    }
    try promise.future.result()
  }
}

func expect(_ condition: @autoclosure () throws -> Bool, line: UInt = #line) rethrows {
  guard try condition() else { fatalError("Consumer.swift:\(line) is not as expected") }
}

func failure<Value>(_ body: () throws -> Value) -> (any Error)? {
  do {
    _ = try body()
    return nil
  } catch {
    return error
  }
}
