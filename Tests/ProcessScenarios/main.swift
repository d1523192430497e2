// Runs one scenario: `ProcessScenarios fork jobs`. Exit status 0 when everything was as expected, else 1, with what
// was not on standard output. A program of its own because pools fork while their host has a single thread.
import Glibc
import WorkerPool

// No scenario takes seconds; one that hangs shall not hang the tests.
alarm(120)
let methods: [String: ProcessPoolExecutor.StartMethod] = ["fork": .fork, "reexec": .reexec]
/// Uses a variable of this file, which has not run in a re-executed worker.
struct CountMethods: Job, BitwiseWireCodable {
  func run() -> Int { methods.count }
}

guard CommandLine.arguments.count == 3, let method = methods[CommandLine.arguments[1]],
  let scenario = Scenario(rawValue: CommandLine.arguments[2])
else {
  print("usage: ProcessScenarios fork|reexec \(Scenario.allCases.map(\.rawValue).joined(separator: "|"))")
  exit(64)
}
do {
  try scenario.run(method)
  print("as expected")
} catch {
  print(error)
  exit(1)
}
