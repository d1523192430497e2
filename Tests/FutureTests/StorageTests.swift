import Testing
import ThreadTestSupport
import WorkerPool

private struct Wide: Equatable, Sendable {
  var a = 1, b = 2, c = 3, d = 4, e = 5
}

private struct WideError: Error, Equatable { var wide = Wide() }

/// Results of every size go through a future unharmed, and are destroyed once.
@Suite struct StorageTests {
  private func roundTrip<Value: Equatable & Sendable>(_ value: Value) throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    let future = try pool.submit { value }
    #expect(try future.result() == value)
    #expect(try future.result() == value)
    let promise = Promise<Value>()
    #expect(promise.succeed(value))
    #expect(try promise.future.outcome?.get() == value)
    pool.shutdown()
  }

  @Test func everySizeAndAlignment() throws {
    try roundTrip(true)
    try roundTrip(7)
    try roundTrip("a string that is too long for the small form")
    try roundTrip([1, 2, 3])
    try roundTrip(Optional<Int>.none)
    try roundTrip(SIMD2<Double>(1, 2))
    try roundTrip(SIMD8<Float>(repeating: 3))
    try roundTrip(Wide())
    try roundTrip([Wide?](repeating: Wide(), count: 3))
    try roundTrip(InlineArrayLike())
  }

  private struct InlineArrayLike: Equatable, Sendable {
    var text = "text", more = "more text that lives on the heap, certainly", number = 3
  }

  /// With malloc's header a cache line: what goes to and fro with each task.
  @Test func aFutureIsNoLargerThanACacheLine() {
    let future = Promise<Int>().future
    #expect(allocatedBytes(for: future) == 56)
  }

  @Test func nothingIsNoResult() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    try pool.submit {}.result()
    pool.shutdown()
  }

  @Test func errorsOfEverySize() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    let future = try pool.submit { () throws -> Int in throw WideError() }
    #expect(throws: WideError()) { try future.result() }
    #expect(throws: WideError()) { try future.result() }
    pool.shutdown()
  }

  private struct Loud: Sendable {
    let token: Token
    var padding = Wide()
  }

  @Test(arguments: [false, true]) func valuesAreDestroyedOnce(wide: Bool) throws {
    let released = Counter()
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    if wide {
      let future = try pool.submit { Loud(token: Token(released)) }
      _ = try future.result().padding
    } else {
      let future = try pool.submit { Token(released) }
      try future.result().touch()
    }
    pool.shutdown()
    #expect(released.value == 1)
  }

  private struct LoudError: Error { let token: Token }

  @Test func errorsAreDestroyedOnce() throws {
    let released = Counter()
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    do {
      let future = try pool.submit { () throws -> Wide in throw LoudError(token: Token(released)) }
      #expect(throws: LoudError.self) { try future.result() }
      #expect(released.value == 0)
    }
    pool.shutdown()
    #expect(released.value == 1)
  }

  @Test func aCancelledTaskAndOneThatNoPoolTookAreDestroyedOnce() throws {
    let released = Counter()
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    let gate = Semaphore()
    try pool.execute { gate.wait() }
    let cancelled = try pool.submit { [token = Token(released)] in token.touch() }
    #expect(cancelled.cancel())
    #expect(released.value == 1)
    gate.signal()
    pool.shutdown()
    #expect(throws: WorkerPoolError.self) { try pool.submit { [token = Token(released)] in token.touch() } }
    #expect(released.value == 2)
  }
}
