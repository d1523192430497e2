import Glibc
import Synchronization
import ThreadTestSupport
import WorkerPool

/// A pool whose processes are killed and stopped while threads and Swift tasks give it work of all kinds.
///
/// Each task has to end once, with its value or by a failure that names a reason which there was; the pool has to come
/// back to all of its workers and to what it held before; and at its end nothing may be left of it.
struct Chaos {
  private static let loads = 4
  private static let phases = 4
  /// How far above that of the first phase's end the memory may be at the end of the others.
  private static let keptAtMost = 16 << 20

  private let pool: ProcessPoolExecutor
  private let board: Board
  private let ledger = Ledger()
  private let seed: UInt64

  /// What the seed has made of the pool's settings.
  private let settings: String

  /// Forks or re-executes the pool: the first thing to be done.
  init(_ method: ProcessPoolExecutor.StartMethod, seed: UInt64) throws {
    var random = Random(seed: seed)
    let workers = Int.random(in: 1...6, using: &random)
    let prefetch = [nil, 1, 4, 16].randomElement(using: &random) ?? nil
    var configuration = ProcessPoolExecutor.Configuration()
    configuration.standardError = .capture(limit: 256, echo: false)
    configuration.maxTasksPerWorker = random.chance(30) ? 20 : nil
    configuration.initializer = random.chance(30) ? .job(Square(number: 1)) : nil
    pool = try ProcessPoolExecutor(
      maxWorkers: workers, name: "chaos", startMethod: method, maxPayload: 4 << 20,
      spinDuration: random.chance(30) ? .zero : nil, prefetch: prefetch, configuration: configuration)
    settings = "\(workers) workers, prefetch \(prefetch.map(String.init) ?? "by default")"
    board = try Board(workers: pool.maxWorkers, cells: Self.loads * Load.cells)
    self.seed = seed
  }

  func run(for duration: Duration) throws -> String {
    var first = (bytes: 0, descriptors: 0)
    for phase in 0..<Self.phases {
      try disturb(for: duration / Self.phases, seed: seed &+ UInt64(phase) << 32)
      var descriptors: Int?
      let isBack = eventually {
        descriptors = descriptorsOfWholePool()
        return descriptors != nil && (phase == 0 || descriptors == first.descriptors)
      }
      if phase == 0 { first = (residentBytes(), descriptors ?? 0) }
      try expect(
        isBack,
        """
        the workers are \(pool.workerProcessIdentifiers), and \(descriptors ?? 0) descriptors are open, not \
        \(first.descriptors)
        """)
      try expect(
        runsUnderSanitizer || eventually { residentBytes() - first.bytes <= Self.keptAtMost },
        "\(residentBytes()) bytes, after the first phase \(first.bytes)")
      let squares = try pool.map((0..<1000).map { Square(number: $0) })
      try expect(squares == (0..<1000).map { $0 * $0 }, "wrong squares after all")
    }
    try shutDown()
    return "\(settings): \(ledger.summary)"
  }

  /// Returns when the time is over and all threads have ended, or at the first failure. What the threads have begun
  /// they end without being disturbed: a task that nobody had heard of would be found by the next death.
  private func disturb(for duration: Duration, seed: UInt64) throws {
    let end = ContinuousClock.now + duration
    let loads = (0..<Self.loads).map { index in
      RunningThread { [pool, board, ledger] in
        var load = Load(pool, board, ledger, Random(seed: seed &+ UInt64(index)), index: index)
        ledger.watch {
          while ledger.goesOn, .now < end { try load.round() }
        }
      }
    }
    let awaiting = Promise<Void>()
    Task { [pool, ledger] in
      var load = AsyncLoad(pool, ledger, Random(seed: seed &+ 100))
      do {
        while ledger.goesOn, .now < end { try await load.round() }
      } catch {
        ledger.watch { throw error }
      }
      awaiting.succeed(())
    }
    startMenace(seed) { [ledger] in ledger.goesOn && .now < end }.join()
    for load in loads { load.join() }
    try awaiting.future.result()
    try ledger.expectSound()
  }

  private func startMenace(_ seed: UInt64, while goesOn: @escaping @Sendable () -> Bool) -> RunningThread {
    RunningThread { [pool, board, ledger] in
      var menace = Menace(pool, board, ledger, Random(seed: seed &+ 200))
      menace.run(while: goesOn)
    }
  }

  /// How many descriptors are open when all workers are there, each once, and no other. Nil when they are not, or when
  /// one was replaced while this looked, as those are that have run their number of tasks.
  private func descriptorsOfWholePool() -> Int? {
    let workers = pool.workerProcessIdentifiers.sorted()
    guard workers.count == pool.maxWorkers, let template = parent(of: workers[0]) else { return nil }
    let isWhole = children(of: template).sorted() == workers
    let descriptors = ownDescriptors()
    return isWhole && pool.workerProcessIdentifiers.sorted() == workers ? descriptors : nil
  }

  /// In a bounded time, menaced to the end, from a pool with work.
  private func shutDown() throws {
    let ends = [Work.Manner.answers, .heeds, .ignores]
    let tasks = try (0..<Load.cells).map { cell in
      let future = try pool.submit(Work(board: board, cell: cell, number: 1, manner: ends[cell % ends.count]))
      ledger.follow(future)
      return future
    }
    let isUp = Flag()
    let menace = startMenace(seed &+ 300) { isUp.value }
    let took = ContinuousClock().measure {
      pool.shutdown(deadline: .milliseconds(100), gracePeriod: .milliseconds(20))
    }
    isUp.lower()
    menace.join()
    try expect(took < .seconds(15), "the shutdown took \(took)")
    for task in tasks {
      let state = task.state
      try expect(state == .finished || state == .cancelled, "a task of a pool that is over is \(state)")
      do {
        _ = try task.result()
        ledger.note(.returned)
      } catch is CancellationError {
        ledger.note(.cancelled)
      } catch let error as WorkerPoolError where error.code == .terminated {
        ledger.note(.terminated)
      } catch let error as WorkerPoolError where error.isDeathByMenace {
        ledger.note(.died)
      }
    }
    try ledger.expectSound()
  }
}

private final class Flag: Sendable {
  private let state = Atomic<Bool>(true)
  var value: Bool { state.load(ordering: .relaxed) }
  func lower() { state.store(false, ordering: .relaxed) }
}
