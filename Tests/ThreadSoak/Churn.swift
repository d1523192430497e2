import ThreadTestSupport
import WorkerPool

/// Pools that come and go with work in them: submitted from outside, from workers, stolen, refused, cancelled. Each task
/// has to be accounted for, and threads, descriptors and memory have to be back.
struct Churn: Sendable {
  private enum End: CaseIterable { case drained, cancelled, released }

  /// Tokens that the tasks of a pool captured.
  private struct Tokens: Sendable {
    let made = Counter()
    let released = Counter()

    func make() -> Token {
      made.add()
      return Token(released)
    }
  }

  private let threadsWithoutPool: Int
  private static let warmUp = 30
  private static let rounds = 500

  init() {
    // ThreadSanitizer starts a thread of its own with the first that a program starts.
    let first = Log<Int>()
    RunningThread { first.append(currentThreadID()) }.join()
    threadsWithoutPool = threads(named: "").count { !first.entries.contains($0.id) }
  }

  func run(for duration: Duration) throws -> String {
    let deadline = ContinuousClock.now + duration
    var start = (bytes: 0, descriptors: 0)
    var pools = 0
    while pools < 2 * Self.warmUp || ContinuousClock.now < deadline {
      if pools == Self.warmUp { start = (residentBytes(), openDescriptors()) }
      try onePool(workers: pools % 4 + 1, end: End.allCases[pools % End.allCases.count])
      pools += 1
    }
    try expectEqual(openDescriptors(), start.descriptors, "descriptors")
    // Memory under a sanitizer is the sanitizer's.
    let end = runsUnderSanitizer ? residentBytes() : try expectGivenBack(start.bytes, after: "\(pools) pools")
    return "\(pools) pools; bytes after \(Self.warmUp) \(start.bytes), at the end \(end)"
  }

  private func onePool(workers: Int, end: End) throws {
    let tokens = Tokens()
    var pool: ThreadPoolExecutor? = try ThreadPoolExecutor(maxWorkers: workers, name: "churn")
    let submitters = (0..<2).map { _ in
      RunningThread { [pool] in
        for _ in 0..<Self.rounds {
          // Refused once the pool is shut down.
          guard let pool, (try? submit(to: pool, tokens)) != nil else { return }
        }
      }
    }
    switch end {
    case .drained:
      for submitter in submitters { submitter.join() }
      pool?.shutdown()
    case .cancelled:
      pool?.shutdown(cancelPending: true)
      for submitter in submitters { submitter.join() }
    case .released:
      // Its tasks hold it: one of its own workers lets go of it last.
      for submitter in submitters { submitter.join() }
    }
    pool = nil
    // Of whatever name: one that has just begun has no name of its own yet.
    try expect(
      eventually { threads(named: "").count == threadsWithoutPool }, "threads are left of a pool that was \(end)")
    try expectEqual(tokens.released.value, tokens.made.value, "captures released of a pool that was \(end)")
    if end != .cancelled { try expectEqual(tokens.made.value, 2 * Self.rounds * 4, "tasks of a pool that was \(end)") }
  }

  /// Four tasks with and without futures, two of them submitted by a worker, which forks and blocks besides.
  private func submit(to pool: ThreadPoolExecutor, _ tokens: Tokens) throws {
    let (first, second) = (tokens.make(), tokens.make())
    try pool.submit { first.touch() }
    try pool.execute {
      second.touch()
      let (third, fourth) = (tokens.make(), tokens.make())
      try? pool.execute { third.touch() }
      let future = try? pool.submit { fourth.touch() }
      _ = try? pool.join({ try future?.result() }, { second.touch() })
    }
  }
}
