// Runs random programs over thread pools. Each has to come to its end, with the right results:
//
//   ThreadPrograms run 0 1000        the programs of a thousand seeds
//   ThreadPrograms seconds 60        as many as there is time for, from a random seed on; or from a third argument on
//   ThreadPrograms show 17           prints the program of a seed
//   ThreadPrograms exit 17           runs it, with a task that ends the process (status 77)
//
// Exit status 0 when all ended as they should, else 1, with the seed and the state of the program. PATIENCE is the number
// of seconds after which a program without a step counts as hanging. A program of its own because one that hangs has to be
// ended, and because what is left of a pool is nobody else's.
import Glibc
import ThreadTestSupport
import WorkerPool

func refuse(_ message: String) -> Never {
  print(message)
  exit(64)
}

func number<Number: LosslessStringConvertible>(_ argument: String, _ what: String, as type: Number.Type) -> Number {
  guard let number = Number(argument) else { refuse("\(argument): \(what) has to be a whole number") }
  return number
}

let arguments = Array(CommandLine.arguments.dropFirst())
let patience = getenv("PATIENCE").flatMap { Int(String(cString: $0)) } ?? 20
nameSeedOfCrash()

switch (arguments.first, arguments.count) {
case ("show", 2):
  var generator = Generator(seed: number(arguments[1], "a seed", as: UInt64.self))
  print(generator.make())
case ("run", 3):
  let first = number(arguments[1], "a seed", as: UInt64.self)
  let count = number(arguments[2], "a count", as: UInt64.self)
  keepNoStacks()
  startWatchdog(patience: .seconds(patience))
  for seed in first..<first + count { runBoth(seed: seed) }
  print("\(count) programs: \(tally.summary)")
case ("seconds", 2), ("seconds", 3):
  guard let seconds = Double(arguments[1]), seconds > 0, seconds <= 86_400 else {
    refuse("\(arguments[1]): seconds have to be a number above 0, at most 86400")
  }
  let first =
    arguments.count == 3 ? number(arguments[2], "a seed", as: UInt64.self) : UInt64.random(in: 0..<1_000_000_000)
  keepNoStacks()
  startWatchdog(patience: .seconds(patience))
  let end = ContinuousClock.now + .seconds(seconds)
  var seed = first
  while .now < end {
    runBoth(seed: seed)
    seed += 1
  }
  print("\(seed - first) programs from seed \(first) on: \(tally.summary)")
case ("exit", 2):
  startWatchdog(patience: .seconds(patience))
  run(seed: number(arguments[1], "a seed", as: UInt64.self), exits: true)
default: refuse("usage: ThreadPrograms run <seed> <count> | seconds <seconds> [<seed>] | show <seed> | exit <seed>")
}
