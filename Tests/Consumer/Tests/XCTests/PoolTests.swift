import ConsumerJobs
import WorkerPool
import XCTest

/// A job of the test's own module, which a re-executed test runner has to find.
struct Thrice: Job, BitwiseWireCodable {
  var number: Int
  func run() -> Int { number * 3 }
}

struct Trap: Job, BitwiseWireCodable {
  var number: Int
  func run() -> Int { [1][number] }
}

final class PoolTests: XCTestCase {
  /// Whichever way the test runner's threads allow.
  func testAutomatic() throws { try use(.automatic) }

  func testReexec() throws { try use(.reexec) }

  func testAsync() async throws {
    try await withProcessPoolExecutor(maxWorkers: 1) { pool in
      let tripled = try await pool.run(Thrice(number: 5))
      XCTAssertEqual(tripled, 15)
    }
  }

  private func use(_ method: ProcessPoolExecutor.StartMethod) throws {
    try withProcessPoolExecutor(maxWorkers: 2, startMethod: method) { pool in
      if method != .automatic { XCTAssertEqual(pool.startMethod, method) }
      XCTAssertEqual(try pool.map((0..<100).map(Thrice.init)), (0..<100).map { $0 * 3 })
      XCTAssertEqual(try pool.submit(SumOfSquares(upTo: 3)).result(), 14)
      let crash = try pool.submit(Trap(number: 1))
      XCTAssertThrowsError(try crash.result()) { error in
        let error = error as? WorkerPoolError
        XCTAssertEqual(error?.code, .workerDied)
        XCTAssertEqual(error?.workerExit?.taskName, "Trap")
      }
      XCTAssertEqual(try pool.submit(Thrice(number: 4)).result(), 12)
    }
  }
}
