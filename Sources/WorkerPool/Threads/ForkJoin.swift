import Synchronization

extension ThreadPoolExecutor {
  /// Runs two closures, at once if a worker is free, and returns both results.
  ///
  /// The closures are borrowed: they may use the caller's variables, and nothing is allocated for them. Made for divide
  /// and conquer, in recursions of any depth:
  ///
  /// ```swift
  /// func sum(_ values: ArraySlice<Int>) throws -> Int {
  ///   guard values.count > 1000 else { return values.reduce(0, +) }
  ///   let middle = values.startIndex + values.count / 2
  ///   let (left, right) = try pool.join({ try sum(values[..<middle]) }, { try sum(values[middle...]) })
  ///   return left + right
  /// }
  /// ```
  ///
  /// Callable from anywhere. From outside the pool the calling thread takes the place of a worker that sleeps, so that none
  /// has to be woken for what it can begin itself; ``currentWorkerIndex`` is that worker's meanwhile, and no more closures
  /// run at once than the pool has workers. If none sleeps, if all that sleep ran last on the caller's CPU, or if the
  /// pool's workers differ from other threads (pinned, on one of several nodes, with more stack, with `onWorkerStart` or
  /// `onWorkerStop`), workers do all of it and the calling thread sleeps. A worker that waits for a stolen half runs parts
  /// of it, and nothing else.
  ///
  /// - Throws: what `a` threw, else what `b` threw; both have ended by then. ``WorkerPoolError`` with
  ///   ``WorkerPoolError/Code/shutDown``, from outside the pool only; neither was run then.
  /// - Complexity: O(1); a fork that nobody steals costs about as much as two atomic stores.
  @inlinable
  @available(*, noasync, message: "blocks a thread of the cooperative pool")
  public func join<A: Sendable, B: Sendable>(
    _ a: @Sendable () throws -> A, _ b: @Sendable () throws -> B
  ) throws -> (A, B) {
    var first: Result<A, any Error>?
    var second: Result<B, any Error>?
    try engine.join({ _, _ in first = Result { try a() } }, { _, _ in second = Result { try b() } })
    guard let first, let second else { preconditionFailure("join returned before its closures") }
    return (try first.get(), try second.get())
  }

  /// Calls `body` with every number in 0..<iterations, several calls at once, and returns when all have returned.
  ///
  /// Calls are made in runs of neighbouring numbers. A run is halved whenever a worker is hungry, so that calls of very
  /// different cost even out. The closure is borrowed, as in ``join(_:_:)``.
  ///
  /// - Parameters:
  ///   - iterations: How many calls; none or fewer: returns at once.
  ///   - grain: The shortest run that is worth a thief's while, at least 1; nil for a 128th of a worker's share.
  ///   - body: Called once for each number.
  /// - Throws: one of the errors that `body` threw; calls that had not begun by then are left out. ``WorkerPoolError``
  ///   as ``join(_:_:)``, and with ``WorkerPoolError/Code/invalidArgument``.
  @inlinable
  @available(*, noasync, message: "blocks a thread of the cooperative pool")
  public func concurrentPerform(
    iterations: Int, grain: Int? = nil, _ body: @Sendable (Int) throws -> Void
  ) throws {
    let failure = FirstFailure()
    let grain = try checkedSize(grain, "grain") ?? defaultGrain(count: iterations)
    try engine.perform(count: max(0, iterations), grain: grain) { begin, end in
      guard !failure.happened(before: begin) else { return }
      do {
        for index in begin..<end { try body(index) }
      } catch {
        failure.record(error, at: 0)
      }
    }
    try failure.rethrow()
  }

  /// A 128th of a worker's share: short enough to even out, long enough not to notice.
  @usableFromInline
  func defaultGrain(count: Int) -> Int { max(1, count / (128 * maxWorkers)) }
}

/// The failure at the lowest position of a range that is worked on in parallel.
@usableFromInline
final class FirstFailure: Sendable {
  private let position = Atomic<Int>(.max)
  private let error = Locked<(any Error)?>(nil)

  @usableFromInline init() {}

  /// Whether what begins at `begin` is of no interest any more.
  @usableFromInline
  func happened(before begin: Int) -> Bool { position.load(ordering: .relaxed) <= begin }

  @usableFromInline
  func record(_ error: any Error, at index: Int) {
    self.error.withLock { stored in
      guard index < position.load(ordering: .relaxed) else { return }
      position.store(index, ordering: .relaxed)
      stored = error
    }
  }

  @usableFromInline
  func rethrow() throws {
    if let error = error.withLock({ $0 }) { throw error }
  }
}
