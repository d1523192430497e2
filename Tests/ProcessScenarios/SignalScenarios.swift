import Glibc
import Synchronization
import ThreadTestSupport
import WorkerPool

// MARK: Masks

/// What the worker blocks and ignores, with a bit for each signal, the lowest for the first.
struct TellSignals: Job, BitwiseWireCodable {
  func run() throws -> [UInt64] { try ["SigBlk", "SigIgn"].map { try signals($0, of: "self") } }
}

/// A line of a process's status.
private func signals(_ field: String, of process: String) throws -> UInt64 {
  let line = try contents(of: "/proc/\(process)/status").split(separator: "\n").first { $0.hasPrefix("\(field):") }
  guard let digits = line?.split(separator: "\t").last, let set = UInt64(digits, radix: 16) else {
    throw Unmet("/proc/\(process)/status tells no \(field)")
  }
  return set
}

private func bits(_ numbers: Int32...) -> UInt64 { numbers.reduce(0) { $0 | 1 << UInt64($1 - 1) } }

/// What the threads of this name block. One that has just begun still blocks everything.
private func masks(_ name: String) -> Set<Set<Int32>> { Set(threads(named: name).map(\.blockedSignals)) }

/// The pool's threads block what the thread blocked that made it; its processes do not.
func runSignalMasks(_ method: ProcessPoolExecutor.StartMethod) throws {
  blockOnly([SIGUSR2, SIGTERM])
  let pool = try ProcessPoolExecutor(maxWorkers: 2, name: "masks", startMethod: method)
  blockOnly([])
  try expectEqual(masks("masks-collect"), [[SIGUSR2, SIGTERM]])
  let found = try pool.submit(TellSignals()).result()
  try expectEqual(found[0], 0)
  try expect(found[1] & bits(SIGINT) != 0, "a worker does not ignore SIGINT")
  let gates = try [Gate(), Gate()]
  defer { for gate in gates { gate.remove() } }
  let held = try gates.map { try pool.submit($0.job) }
  let workers = try gates.map { try $0.waitUntilHeld() }
  try expectEqual(try signals("SigBlk", of: "\(parent(of: workers[0]))"), ~bits(SIGKILL, SIGSTOP, 32, 33))
  // A callback runs on the collector's thread, for which another one waits: not with what the collector blocks by then.
  held[0].addDoneCallback { _ in
    blockOnly([SIGWINCH])
    pool.shutdown(deadline: .seconds(60))
  }
  gates[0].release()
  let waits = eventually { masks("masks-collect") == [[SIGWINCH], [SIGUSR2, SIGTERM]] }
  try expect(waits, "\(threads(named: "masks-"))")
  gates[1].release()
  try expectEqual(try held.map { try $0.result() }, workers)
  pool.shutdown()
}

// MARK: Interruptions

private let handled = Atomic(0)
private let handledByWorker = Atomic(0)
private let handledByCollector = Atomic(0)
private let worker = Atomic(0)
private let collector = Atomic(0)

/// Without SA_RESTART, so that each system call that can be interrupted is.
private func handleWithoutRestart(_ number: Int32) {
  // What is lazy here is so no longer when a signal comes.
  for count in [handled.load(ordering: .relaxed), worker.load(ordering: .relaxed), collector.load(ordering: .relaxed)] {
    precondition(count >= 0)
  }
  _ = (handledByWorker.load(ordering: .relaxed), handledByCollector.load(ordering: .relaxed))
  var action = sigaction()
  action.__sigaction_handler.sa_handler = { _ in
    handled.add(1, ordering: .relaxed)
    let thread = currentThreadID()
    if thread == worker.load(ordering: .relaxed) { handledByWorker.add(1, ordering: .relaxed) }
    if thread == collector.load(ordering: .relaxed) { handledByCollector.add(1, ordering: .relaxed) }
  }
  sigaction(number, &action, nil)
}

/// Sends a signal to the process and to each of its threads, again and again, until `body` has ended.
private func inStorm<R>(of number: Int32, _ body: () throws -> R) rethrows -> R {
  let ends = Counter()
  let sender = RunningThread {
    while ends.value == 0 {
      kill(getpid(), number)
      signalThreads(number)
      usleep(1000)
    }
  }
  defer {
    ends.add()
    sender.join()
  }
  return try body()
}

/// Both kinds of pools at work in a program that handles a signal several hundred times a second on every thread.
func runSignalStorm(_ method: ProcessPoolExecutor.StartMethod) throws {
  let processes = try ProcessPoolExecutor(maxWorkers: 2, name: "stormed", startMethod: method)
  let pool = try ThreadPoolExecutor(maxWorkers: 3, name: "storm")
  worker.store(try pool.submit { currentThreadID() }.result(), ordering: .relaxed)
  collector.store(threads(named: "stormed-collect").first?.id ?? 0, ordering: .relaxed)
  handleWithoutRestart(SIGUSR1)
  try inStorm(of: SIGUSR1) {
    for _ in 0..<5 {
      try useThreads(pool)
      try useProcesses(processes, from: pool)
    }
    // Pools that are made and ended meanwhile.
    for workers in 1..<10 {
      let mapped = try withThreadPoolExecutor(maxWorkers: workers) { try $0.map(0..<100) { $0 + 1 } }
      try expectEqual(mapped, Array(1...100))
    }
    try runMixture(.automatic)
    pool.shutdown()
    processes.shutdown()
  }
  try expect(handledByWorker.load(ordering: .relaxed) > 0, "no worker has run a handler")
  try expect(handledByCollector.load(ordering: .relaxed) > 0, "no collector has run a handler")
  try expect(handled.load(ordering: .relaxed) > 100, "\(handled.load(ordering: .relaxed)) signals")
}

private func useThreads(_ pool: ThreadPoolExecutor) throws {
  @Sendable func fibonacci(_ n: Int) throws -> Int {
    guard n > 1 else { return n }
    let left = try pool.submit { try fibonacci(n - 1) }
    return try fibonacci(n - 2) + left.result()
  }
  try expectEqual(try fibonacci(14), 377)
  try expectEqual(try pool.map(0..<1000) { $0 * 2 }, (0..<1000).map { $0 * 2 })
  // Workers that sleep, with spares in their place, and one that gives up in time.
  let gate = Promise<Int>()
  let waiting = try (0..<8).map { number in try pool.submit { try gate.future.result() + number } }
  try expectError(.timedOut) { try gate.future.result(timeout: .milliseconds(20)) }
  _ = try pool.submit { gate.succeed(1) }.result()
  try expectEqual(try waiting.map { try $0.result() }, Array(1...8))
  try pool.resize(maxWorkers: 5)
  try pool.resize(maxWorkers: 3)
}

private func useProcesses(_ processes: ProcessPoolExecutor, from pool: ThreadPoolExecutor) throws {
  // Threads that wait collect for the pool.
  let squares = try (0..<50).map { number in
    try pool.submit { try processes.submit(Square(number: number)).result() }
  }
  try expectEqual(try squares.map { try $0.result() }, (0..<50).map { $0 * $0 })
  try expectEqual(try processes.submit(Blob(count: 2_000_000)).result().count, 2_000_000)
  let echo = Nested<[UInt8]>.Echo(element: Array(repeating: 3, count: 1_000_000))
  try expectEqual(try processes.submit(echo).result().count, 1_000_000)
  try expectError(.workerDied) { try processes.submit(Die(way: .kill)).result() }
  let stubborn = try processes.submit(
    Stubborn(), options: TaskOptions(timeout: .milliseconds(20), gracePeriod: .milliseconds(1)))
  try expectError(.taskTimedOut) { try stubborn.result() }
  try processes.resize(maxWorkers: 3)
  try processes.resize(maxWorkers: 2)
}
