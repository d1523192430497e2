import Synchronization
import ThreadTestSupport
import WorkerPool

/// What was expected and did not happen.
struct Unmet: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}

func expect(_ condition: Bool, _ what: @autoclosure () -> String) throws {
  if !condition { throw Unmet(what()) }
}

/// How a task may end.
enum End: String, CaseIterable, Sendable {
  case returned
  case threw = "threw their own error"
  case died = "died"
  case timedOut = "timed out"
  case cancelled
  case terminated
}

/// What the threads of a run count, and the first thing that went wrong in one of them.
final class Ledger: Sendable {
  private let submitted = Counter()
  private let calledBack = Counter()
  private let ends = End.allCases.map { ($0, Counter()) }
  let kills = Counter()
  let stops = Counter()
  let templateKills = Counter()
  let signals = Counter()
  let shortages = Counter()
  private let failures = Log<String>()
  private let isOver = Atomic<Bool>(false)

  /// Has the end of a future counted, by which a second one is found.
  func follow<Value>(_ future: Future<Value>) {
    submitted.add()
    future.addDoneCallback { [calledBack] _ in calledBack.add() }
  }

  func note(_ end: End) {
    for (other, count) in ends where other == end { count.add() }
  }

  /// Runs something on a thread of the load; when it throws, the run is over.
  func watch(_ body: () throws -> Void) {
    do {
      try body()
    } catch {
      failures.append("\(error)")
      isOver.store(true, ordering: .relaxed)
    }
  }

  var goesOn: Bool { !isOver.load(ordering: .relaxed) }

  func expectSound() throws {
    if let failure = failures.entries.first { throw Unmet(failure) }
    try expect(
      eventually { calledBack.value >= submitted.value },
      "\(submitted.value - calledBack.value) of \(submitted.value) tasks have not ended")
    try expect(calledBack.value == submitted.value, "\(submitted.value) tasks, \(calledBack.value) ends")
  }

  var summary: String {
    let ways = ends.map { "\($1.value) \($0.rawValue)" }.joined(separator: ", ")
    return """
      \(ends.reduce(0) { $0 + $1.1.value }) tasks: \(ways); \
      kills: \(kills.value) of workers, \(templateKills.value) of templates; \(stops.value) stopped for a while, \
      \(signals.value) signalled, \(shortages.value) shortages; nothing was lost, doubled or left
      """
  }
}

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): a run can be begun again with the same numbers.
struct Random: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    return mixed ^ mixed >> 31
  }

  mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }
}
