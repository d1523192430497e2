import Testing
import ThreadTestSupport
import WorkerPool

/// A worker that waits for several futures runs those of its pool that nobody has begun: on a pool of one thread there is
/// nobody else to do so.
@Suite struct WaitInTaskTests {
  private typealias Sum = @Sendable (ThreadPoolExecutor, Range<Int>) throws -> Int

  /// Sums a range by halves, which `collect` waits for.
  private func sum(
    of count: Int, _ collect: @escaping @Sendable ([Future<Int>]) throws -> [Int]
  ) throws -> Int {
    let pool = try ThreadPoolExecutor(maxWorkers: 1, maxSpares: 0)
    defer { pool.shutdown() }
    @Sendable func sum(_ range: Range<Int>) throws -> Int {
      guard range.count > 2 else { return range.reduce(0, +) }
      let middle = (range.lowerBound + range.upperBound) / 2
      let halves = try [range.lowerBound..<middle, middle..<range.upperBound].map { half in
        try pool.submit { try sum(half) }
      }
      return try collect(halves).reduce(0, +)
    }
    return try pool.submit { try sum(0..<count) }.result()
  }

  @Test(.timeLimit(.minutes(5))) func waitForAll() throws {
    #expect(try sum(of: 10_000) { try wait(for: $0).done.map { try $0.result() } } == 49_995_000)
  }

  @Test(.timeLimit(.minutes(5))) func waitWithATimeout() throws {
    let result = try sum(of: 10_000) { try wait(for: $0, timeout: .seconds(600)).done.map { try $0.result() } }
    #expect(result == 49_995_000)
  }

  @Test(.timeLimit(.minutes(5))) func waitForAnError() throws {
    let result = try sum(of: 10_000) { try wait(for: $0, returnWhen: .firstError).done.map { try $0.result() } }
    #expect(result == 49_995_000)
  }

  @Test(.timeLimit(.minutes(5))) func inTheOrderOfCompletion() throws {
    let result = try sum(of: 10_000) { halves in
      var values: [Int] = []
      for future in asCompleted(halves) { values.append(try future.result()) }
      return values
    }
    #expect(result == 49_995_000)
  }

  @Test(.timeLimit(.minutes(5)), arguments: [1, 2]) func lazyAndStreamedMaps(workers: Int) throws {
    let pool = try ThreadPoolExecutor(maxWorkers: workers, maxSpares: 0)
    let (lazily, streamed) = try pool.submit {
      let lazily = try pool.mapLazily(0..<1000, chunkSize: 3) { $0 }.reduce(0) { try $0 + $1.get() }
      // A sequence, and no collection: chunks are submitted.
      let streamed = try pool.map(sequence(first: 0) { $0 < 999 ? $0 + 1 : nil }, chunkSize: 3) { $0 }
      return (lazily, streamed.reduce(0, +))
    }.result()
    #expect(lazily == 499_500 && streamed == 499_500)
    pool.shutdown()
  }

  /// Two workers and few spares, of which there would have to be thousands if nobody helped.
  @Test(.timeLimit(.minutes(2))) func fewThreadsDoForMany() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 2, maxSpares: 4)
    @Sendable func sum(_ range: Range<Int>) throws -> Int {
      guard range.count > 2 else { return range.reduce(0, +) }
      let middle = (range.lowerBound + range.upperBound) / 2
      let halves = try [range.lowerBound..<middle, middle..<range.upperBound].map { half in
        try pool.submit { try sum(half) }
      }
      return try wait(for: halves).done.map { try $0.result() }.reduce(0, +)
    }
    #expect(try pool.submit { try sum(0..<20_000) }.result() == 199_990_000)
    pool.shutdown()
  }

  // MARK: No more than is asked for

  private struct Failure: Error {}

  private func ran(_ body: @escaping @Sendable ([Future<Int>]) -> Void) throws -> [Int] {
    let pool = try ThreadPoolExecutor(maxWorkers: 1, maxSpares: 0)
    defer { pool.shutdown() }
    let order = Log<Int>()
    try pool.submit {
      let futures = try (0..<4).map { number in
        try pool.submit {
          order.append(number)
          if number == 2 { throw Failure() }
          return number
        }
      }
      body(futures)
      for future in futures { future.cancel() }
    }.result()
    return order.entries
  }

  @Test func untilTheConditionIsMet() throws {
    #expect(try ran { _ = wait(for: $0, returnWhen: .firstCompleted) } == [0])
    #expect(try ran { _ = wait(for: $0, returnWhen: .firstError) } == [0, 1, 2])
    #expect(try ran { _ = wait(for: $0) } == [0, 1, 2, 3])
    #expect(try ran { futures in for _ in AnySequence(asCompleted(futures)).prefix(2) {} } == [0, 1])
  }

  @Test func aTimeoutOfZeroLooksOnce() throws {
    let codes = Log<WorkerPoolError.Code?>()
    let order = try ran { futures in
      #expect(wait(for: futures, timeout: .zero).done.isEmpty)
      for timeout: Duration in [.zero, .seconds(-1)] {
        do { _ = try futures[0].result(timeout: timeout) } catch { codes.append((error as? WorkerPoolError)?.code) }
      }
    }
    #expect(order == [] && codes.entries == [.timedOut, .timedOut])
  }
}
