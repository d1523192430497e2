import Synchronization
import ThreadTestSupport
import WorkerPool

/// A producer that outruns the workers, and then stops: when all has run, the memory has to be back.
struct Surge: Sendable {
  enum Producer: Sendable { case outsideThread, worker }

  /// Tasks that wait when it is enough: more than a deque holds, and many segments of an injector.
  private static let peak = 300_000
  private static let waves = 3

  private let pool: ThreadPoolExecutor
  private let backlog = Backlog()
  private let producer: Producer
  private let withFutures: Bool

  init(on producer: Producer, withFutures: Bool) throws {
    pool = try ThreadPoolExecutor(maxWorkers: 2, name: "surge")
    self.producer = producer
    self.withFutures = withFutures
  }

  func run(for duration: Duration) throws -> String {
    // Threads, their heaps and full deques are there from now on.
    _ = try wave(for: .zero, peak: Self.peak / 10)
    let start = residentBytes()
    var total = Wave()
    for _ in 0..<Self.waves {
      let wave = try wave(for: duration / Self.waves, peak: Self.peak)
      total.submitted += wave.submitted
      total.mostBytes = max(total.mostBytes, wave.mostBytes)
    }
    let end = try expectGivenBack(start, after: "\(total.submitted) tasks")
    pool.shutdown()
    // Two words for the cell alone; without so much at the top there was nothing to give back.
    try expect(
      total.mostBytes - start > 16 * Self.peak, "\(total.mostBytes - start) bytes for \(Self.peak) tasks that wait")
    return "\(total.submitted) tasks; bytes at the start \(start), at most \(total.mostBytes), at the end \(end)"
  }

  private struct Wave: Sendable {
    var submitted = 0
    var mostBytes = 0
  }

  /// Produces for so long, and returns when everything has run.
  private func wave(for duration: Duration, peak: Int) throws -> Wave {
    let wave =
      switch producer {
      case .outsideThread: try produce(for: duration, peak: peak)
      case .worker: try pool.submit { try produce(for: duration, peak: peak) }.result()
      }
    try expect(eventually { backlog.pending == 0 }, "\(backlog.pending) tasks have not run")
    try expectEqual(backlog.takeSum(), wave.submitted * (wave.submitted - 1) / 2, "sum of the tasks' numbers")
    return wave
  }

  private func produce(for duration: Duration, peak: Int) throws -> Wave {
    let deadline = ContinuousClock.now + duration
    var wave = Wave()
    // A future is kept while `peak` younger ones are made.
    var kept = [Future<Int>?](repeating: nil, count: withFutures ? peak : 0)
    repeat {
      backlog.slowDown(true)
      while backlog.pending < peak {
        let number = wave.submitted
        backlog.add()
        if withFutures {
          try checkResult(of: kept[number % peak], number - peak)
          kept[number % peak] = try pool.submit { backlog.run(number) }
        } else {
          try pool.execute { _ = backlog.run(number) }
        }
        wave.submitted += 1
      }
      wave.mostBytes = max(wave.mostBytes, residentBytes())
      backlog.slowDown(false)
      try expect(eventually { backlog.pending <= peak / 2 }, "\(backlog.pending) tasks do not run")
    } while ContinuousClock.now < deadline
    for number in max(0, wave.submitted - kept.count)..<wave.submitted where withFutures {
      try checkResult(of: kept[number % peak], number)
    }
    return wave
  }

  private func checkResult(of future: Future<Int>?, _ number: Int) throws {
    if let future { try expectEqual(future.result(), number, "result") }
  }
}

/// The tasks that wait, and what they do.
private final class Backlog: Sendable {
  private let waiting = Counter()
  private let sum = Atomic<Int>(0)
  private let isSlow = Atomic<Bool>(false)

  var pending: Int { waiting.value }

  func add() { waiting.add() }

  /// While the producer runs, a task takes longer than its submission does, however many workers there are.
  func slowDown(_ slow: Bool) { isSlow.store(slow, ordering: .relaxed) }

  func run(_ number: Int) -> Int {
    if isSlow.load(ordering: .relaxed) {
      let deadline = ContinuousClock.now + .microseconds(20)
      while ContinuousClock.now < deadline {}
    }
    sum.add(number, ordering: .relaxed)
    waiting.add(-1)
    return number
  }

  func takeSum() -> Int { sum.exchange(0, ordering: .relaxed) }
}
