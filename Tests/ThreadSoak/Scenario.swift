import ThreadTestSupport

/// What the program can do. Each goes on for a given time, and at least once.
package enum Scenario: String, CaseIterable, Sendable {
  case outrun
  case outrunWithFutures = "outrun-with-futures"
  case workerOutruns = "worker-outruns"
  case workerOutrunsWithFutures = "worker-outruns-with-futures"
  case pending
  case pendingWithFutures = "pending-with-futures"
  case churn

  /// What it saw.
  func run(for duration: Duration) throws -> String {
    switch self {
    case .outrun: try Surge(on: .outsideThread, withFutures: false).run(for: duration)
    case .outrunWithFutures: try Surge(on: .outsideThread, withFutures: true).run(for: duration)
    case .workerOutruns: try Surge(on: .worker, withFutures: false).run(for: duration)
    case .workerOutrunsWithFutures: try Surge(on: .worker, withFutures: true).run(for: duration)
    case .pending: try measurePending(withFutures: false, limit: 96, for: duration)
    case .pendingWithFutures: try measurePending(withFutures: true, limit: 256, for: duration)
    case .churn: try Churn().run(for: duration)
    }
  }
}

/// What was expected and did not happen.
struct Unmet: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}

func expect(_ condition: Bool, _ what: @autoclosure () -> String) throws {
  if !condition { throw Unmet(what()) }
}

func expectEqual<Value: Equatable>(_ found: Value, _ expected: Value, _ what: String) throws {
  if found != expected { throw Unmet("\(what): \(found), not \(expected)") }
}

/// How far above its start the memory may end. The pool keeps a spare segment and the rings of its deques, which the
/// warm-up has made; the rest is the allocator's: malloc_trim leaves the top of every heap but the first, about 1 MiB.
/// If no segment of the injector came back, three times as much would be missing after the shortest run.
let keptAtMost = 4 << 20

/// Waits for it: workers free what they hold in their own time, such as the cells of tasks that ran where they were
/// awaited. Returns the bytes at the end.
func expectGivenBack(_ start: Int, after what: String) throws -> Int {
  var end = 0
  let isBack = eventually {
    end = residentBytes()
    return end - start <= keptAtMost
  }
  try expect(
    isBack,
    "\(end - start) bytes are left after \(what), more than \(keptAtMost): \(start) at the start, \(end) at the end")
  return end
}
