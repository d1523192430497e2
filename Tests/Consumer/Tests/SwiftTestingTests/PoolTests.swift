import ConsumerJobs
import Testing
import WorkerPool

/// A job of the test's own module, which a re-executed test runner has to find.
struct Twice: Job, BitwiseWireCodable {
  var number: Int
  func run() -> Int { number * 2 }
}

struct Trap: Job, BitwiseWireCodable {
  var number: Int
  func run() -> Int { [1][number] }
}

@Test(.timeLimit(.minutes(5))) func aPoolInATest() async throws {
  try await withProcessPoolExecutor(maxWorkers: 2) { pool in
    #expect(pool.startMethod == .reexec)
    let doubles = try await pool.map((0..<100).map(Twice.init))
    #expect(doubles == (0..<100).map { $0 * 2 })
    #expect(try await pool.run(SumOfSquares(upTo: 3)) == 14)
    let error = await #expect(throws: WorkerPoolError.self) { try await pool.run(Trap(number: 1)) }
    #expect(error?.code == .workerDied && error?.workerExit?.taskName == "Trap", "\(String(describing: error))")
    #expect(try await pool.run(Twice(number: 4)) == 8)
  }
}

@Test func aForkInATestIsRefused() {
  let error = #expect(throws: WorkerPoolError.self) { try ProcessPoolExecutor(maxWorkers: 1, startMethod: .fork) }
  #expect(error?.code == .unsupported && error?.message.contains("more than one thread") == true)
}
