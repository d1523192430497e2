// Placement in Swift, in a process of its own, where no notice has been said and a filter may be in force:
//
//     MemoryScenarios placed|denied|silenced|printed
import Glibc
import WorkerPool

struct Unmet: Error {
  var what: String
}

func expect(_ condition: Bool, _ what: @autoclosure () -> String, line: Int = #line) throws {
  if !condition { throw Unmet(what: "line \(line): \(what())") }
}

func expectRefused(_ node: Int, _ body: () throws -> Void) throws {
  do {
    try body()
    throw Unmet(what: "node \(node) is not refused")
  } catch let error as WorkerPoolError {
    try expect(error.code == .invalidArgument && error.message.contains("node \(node):"), error.message)
  }
}

/// Squares computed by a pool's tasks in a buffer, checked in a shared array.
func use(_ placement: MemoryPlacement) throws {
  let buffer = try PlacedBuffer<Int>(count: 10_000, placement: placement)
  try withThreadPoolExecutor(maxWorkers: 4) { pool in
    _ = try pool.map(0..<100) { chunk in
      buffer.withUnsafeMutableBufferPointer { elements in
        for index in chunk * 100..<(chunk + 1) * 100 { elements[index] = index * index }
      }
    }
  }
  let shared = try SharedArray(buffer, placement: placement)
  try expect(shared.enumerated().allSatisfy { $0.element == $0.offset * $0.offset }, "wrong elements")
}

func run(_ scenario: String) throws {
  switch scenario {
  case "placed":
    PlacementNotice.handler = { print($0.message) }
    for placement in [MemoryPlacement.firstTouch, .nodes([0]), .interleaved(), .interleaved(over: [0])] {
      try use(placement)
    }
    try expectRefused(777) { try use(.nodes([0, 777])) }
  case "denied", "silenced", "printed":
    if scenario == "denied" { PlacementNotice.handler = { print("\($0.kind) \($0.errno ?? 0): \($0)") } }
    if scenario == "silenced" { PlacementNotice.handler = nil }
    if scenario == "printed" { PlacementNotice.handler = PlacementNotice.printToStandardError }
    try use(.firstTouch)
    for _ in 0..<10 { for placement in [MemoryPlacement.nodes([0]), .interleaved()] { try use(placement) } }
    try expectRefused(777) { try use(.nodes([777])) }
    do {
      _ = try PlacedBuffer(0..<10).nodeOfEachPage()
      throw Unmet(what: "the filter is not in force")
    } catch let error as WorkerPoolError where error.systemCall?.name == "move_pages" {}
  default: throw Unmet(what: "no scenario \(scenario)")
  }
}

do {
  try run(CommandLine.arguments.last ?? "")
} catch {
  print(error)
  exit(1)
}
