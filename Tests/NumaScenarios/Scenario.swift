import WorkerPool

/// What the program can do.
enum Scenario: String, CaseIterable, Sendable {
  case affinities
  case refusals
  case placedBuffers = "placed-buffers"
  case sharedArrays = "shared-arrays"
  case firstTouch = "first-touch"
  case processes
  case nearestFirst = "nearest-first"
  case localMap = "local-map"

  func run(on machine: Machine) throws {
    switch self {
    case .affinities: try checkAffinities(machine)
    case .refusals: try checkRefusals(machine)
    case .placedBuffers: try checkPlacedBuffers(machine)
    case .sharedArrays: try checkSharedArrays(machine)
    case .firstTouch: try checkFirstTouch(machine)
    case .processes: try checkProcesses(machine)
    case .nearestFirst: try checkNearestFirst(machine)
    case .localMap: try checkLocalMap(machine)
    }
  }
}

/// What was expected and did not happen.
struct Unmet: Error, CustomStringConvertible {
  var description: String
  init(_ description: String, fileID: String = #fileID, line: Int = #line) {
    self.description = "\(fileID):\(line): \(description)"
  }
}

func expect(
  _ condition: Bool, _ what: @autoclosure () -> String, fileID: String = #fileID, line: Int = #line
) throws {
  if !condition { throw Unmet(what(), fileID: fileID, line: line) }
}

func expectEqual<Value: Equatable>(
  _ found: Value, _ expected: Value, _ what: String, fileID: String = #fileID, line: Int = #line
) throws {
  if found != expected { throw Unmet("\(what): \(found), not \(expected)", fileID: fileID, line: line) }
}

/// Runs `body`, which has to be refused with an error that has this in its message.
func expectRefused<Result>(
  naming part: String, fileID: String = #fileID, line: Int = #line, _ body: () throws -> Result
) throws {
  do {
    let result = try body()
    throw Unmet("\(result), though \(part) cannot be had", fileID: fileID, line: line)
  } catch let error as WorkerPoolError {
    try expectEqual(error.code, .invalidArgument, part, fileID: fileID, line: line)
    try expect(error.message.contains(part), "\(error.message), without \(part)", fileID: fileID, line: line)
  }
}
