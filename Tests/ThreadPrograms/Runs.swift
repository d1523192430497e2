import Glibc
import ThreadTestSupport
import WorkerPool

/// Runs the program of a seed, and looks at what is left of it.
func run(seed: UInt64, exits: Bool = false) {
  noteSeed(seed)
  var generator = Generator(seed: seed, exits: exits)
  let program = generator.make()
  do {
    let execution = try Execution(program)
    current.set(execution)
    execution.run()
    // Who is about to end the process may do so.
    if execution.exits.isSet { while true { pause() } }
    expectNoStacks()
    current.set(nil)
  } catch {
    violated("seed \(seed): \(error)")
  }
}

private func expectNoStacks() {
  guard !runsUnderSanitizer else { return }
  let areGone = eventually {
    progress.add()
    return leakedStacks() == 0
  }
  if !areGone { violated("\(leakedStacks()) stacks of threads are left") }
}

/// Adds an option to a list in the environment, unless it is the last one there.
private func setOption(_ option: String, in name: String) {
  let options = getenv(name).map { String(cString: $0) + " " } ?? ""
  if !options.hasSuffix(option + " ") { setenv(name, options + option, 1) }
}

/// Runs the program of a seed in a process of its own, which one of its tasks ends.
func runExiting(seed: UInt64) {
  fflush(nil)
  let words = [CommandLine.arguments[0], "exit", "\(seed)"]
  let arguments = words.map { strdup($0) } + [nil]
  defer { for argument in arguments { free(argument) } }
  // A process that ends in the middle of a shutdown has threads that have ended and that nobody has joined yet, and objects
  // in use whose weak references a leak checker does not see.
  setOption("report_thread_leaks=0", in: "TSAN_OPTIONS")
  setOption("detect_leaks=0", in: "ASAN_OPTIONS")
  var child: pid_t = 0
  guard posix_spawn(&child, "/proc/self/exe", nil, nil, arguments, environ) == 0 else {
    violated("seed \(seed), with an exit: the process cannot be started")
  }
  var status: Int32 = 0
  while waitpid(child, &status, WNOHANG) == 0 {
    // The child watches over itself, and needs no second watchdog.
    progress.add()
    usleep(200)
  }
  // The strand that was to end the process may never have run.
  if status & 0x7f == 0, [0, Program.exitStatus].contains(status >> 8 & 0xff) { return }
  print("seed \(seed), with an exit: ended with status \(status >> 8 & 0xff), signal \(status & 0x7f)")
  exit(1)
}

/// One in so many seeds runs with an exit, too.
private let exitingShare: UInt64 = 40

func runBoth(seed: UInt64) {
  run(seed: seed)
  if seed % exitingShare == 0 { runExiting(seed: seed) }
}
