// Runs one scenario for so many seconds: `ThreadSoak churn 60`. Exit status 0 when everything was as expected, with what
// was measured on standard output, else 1, with what was not as expected. `ThreadSoak list` names the scenarios. A
// program of its own because what it measures, the memory of a process, is nobody else's.
import Glibc

func refuse(_ message: String) -> Never {
  print(message)
  exit(64)
}

let arguments = CommandLine.arguments.dropFirst()
if arguments.elementsEqual(["list"]) {
  for scenario in Scenario.allCases { print(scenario.rawValue) }
  exit(0)
}
guard arguments.count == 2 else { refuse("usage: ThreadSoak list | <scenario> <seconds>") }
guard let scenario = Scenario(rawValue: arguments[1]) else {
  refuse("\(arguments[1]): not a scenario; `ThreadSoak list` names them")
}
guard let seconds = Double(arguments[2]), seconds > 0, seconds <= 86_400 else {
  refuse("\(arguments[2]): seconds have to be a number above 0, at most 86400")
}
// One that hangs shall not hang the tests.
alarm(UInt32(seconds) + 120)
do {
  print(try scenario.run(for: .seconds(seconds)))
} catch {
  print(error)
  exit(1)
}
