// Disturbs a pool of processes for so many seconds: `ProcessChaos fork 60`. Exit status 0 when everything was as
// expected, with counts of what happened on standard output, else 1, with what was not as expected. A third argument
// begins the random numbers of an earlier run again. A program of its own because pools fork while their host has a
// single thread, and because what is left of a pool is nobody else's.
import Glibc
import ThreadTestSupport
import WorkerPool

func refuse(_ message: String) -> Never {
  print(message)
  exit(64)
}

let arguments = CommandLine.arguments
let methods: [String: ProcessPoolExecutor.StartMethod] = ["fork": .fork, "reexec": .reexec]
guard 3...4 ~= arguments.count, let method = methods[arguments[1]] else {
  refuse("usage: ProcessChaos fork|reexec <seconds> [<seed>]")
}
guard let seconds = Double(arguments[2]), seconds > 0, seconds <= 86_400 else {
  refuse("\(arguments[2]): seconds have to be a number above 0, at most 86400")
}
guard let seed = arguments.count == 4 ? UInt64(arguments[3]) : .random(in: 0...999_999) else {
  refuse("\(arguments[3]): a seed has to be a whole number")
}
// Before anything else, so that it is known of a run that hangs; which shall not hang the tests.
print("seed \(seed), ", terminator: "")
fflush(nil)
alarm(UInt32(seconds) + 120)
// A limit on processes binds a user that is not root.
leaveRoot()
// Workers whose template was killed become children of this process, where a living one is found at the end.
adoptOrphans()
let before = Remains()
do {
  let summary = try Chaos(method, seed: seed).run(for: .seconds(seconds))
  try before.expectNothingElse()
  print(summary)
} catch {
  print(error)
  exit(1)
}
