// Runs one scenario: `NumaScenarios shared-arrays`. Exit status 0 when everything was as expected, else 1, with what was not
// on standard output. `NumaScenarios list` names the scenarios. For the emulated machines of Tests/NumaMachine, which say
// in the environment how they were built; so that it runs there, it is linked with the static standard library.
import Glibc

func refuse(_ message: String) -> Never {
  print(message)
  exit(64)
}

guard CommandLine.arguments.count == 2 else { refuse("usage: NumaScenarios list | <scenario>") }
let name = CommandLine.arguments[1]
if name == "list" {
  for scenario in Scenario.allCases { print(scenario.rawValue) }
  exit(0)
}
guard let scenario = Scenario(rawValue: name) else { refuse("\(name): not a scenario; `list` names them") }
do {
  try scenario.run(on: Machine(environment: environment()))
} catch {
  print(error)
  exit(1)
}

func environment() -> [Substring: Substring] {
  var found: [Substring: Substring] = [:]
  var next = environ
  while let variable = next.pointee {
    let parts = String(cString: variable).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    if parts.count == 2 { found[parts[0]] = parts[1] }
    next += 1
  }
  return found
}
