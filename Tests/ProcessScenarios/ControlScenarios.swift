import Foundation
import Synchronization
import WorkerPool
import WorkerPoolFoundation

// Tasks that take too long, are asked to stop, ended, or run again.

func runTimeouts(_ method: ProcessPoolExecutor.StartMethod) throws {
  let nap = FunctionHandle("nap") { (_: Int) -> Int in try AwaitStop().run() }
  let pool = try ProcessPoolExecutor(maxWorkers: 1, startMethod: method)
  defer { pool.shutdown() }
  // Given all the time it wants to answer.
  let asked = TaskOptions(timeout: .milliseconds(30), gracePeriod: .seconds(60))
  let stopped = try expectError(.taskTimedOut, saying: "over its timeout of 0.03 seconds, and stopped when asked to") {
    try pool.submit(AwaitStop(), options: asked).result()
  }
  try expect(stopped.message.hasPrefix("AwaitStop ran for 0.") && stopped.workerExit == nil, stopped.message)
  try expectEqual(try pool.submit(AwaitStop(answer: .result), options: asked).result(), 7)
  let own = try expectThrown(CodeError.self) { try pool.submit(AwaitStop(answer: .ownError), options: asked).result() }
  try expectEqual(own.code, 5)
  if method == .fork {
    try expectError(.taskTimedOut, saying: "function nap ran for") { try pool.submit(nap, 1, options: asked).result() }
    try expectError(.taskTimedOut) { try pool.map(nap, [1, 2], options: asked) }
  }
  // Killed. What waits behind it, in its worker's slot and in the queue, does not notice.
  let worker = try pool.submit(WorkerIdentifier()).result()
  let stubborn = try pool.submit(
    Stubborn(), options: TaskOptions(timeout: .milliseconds(30), gracePeriod: .milliseconds(10)))
  let neighbours = try (0..<100).map { try pool.submit(Square(number: $0)) }
  let killed = try expectError(.taskTimedOut, saying: "had to be killed with its worker \(worker)") {
    try stubborn.result()
  }
  try expectEqual(killed.workerExit?.reason, .signal(SIGKILL))
  try expectEqual(try neighbours.map { try $0.result() }, (0..<100).map { $0 * $0 })
  // Waiting does not count: this one waits longer than it may run.
  let gate = try Gate()
  defer { gate.remove() }
  let held = try pool.submit(gate.job)
  _ = try gate.waitUntilHeld()
  let waiting = try pool.submit(TellContext(), options: TaskOptions(timeout: .milliseconds(300)))
  try expectError(.timedOut) { try waiting.result(timeout: .milliseconds(400)) }
  gate.release()
  _ = try held.result()
  let told = try waiting.result()
  try expect(told[0] == 0 && told[1] == 0 && (1...300).contains(told[2]), "\(told)")
  try expect(TaskContext.current == nil, "the host runs no task")
  try TaskContext.checkStop()
}

func runPoolTimeout(_ method: ProcessPoolExecutor.StartMethod) throws {
  var configuration = ProcessPoolExecutor.Configuration()
  let refused: [(TaskOptions, String)] = [
    (TaskOptions(timeout: .zero), "timeout is 0.0 seconds; it must be positive"),
    (TaskOptions(gracePeriod: .seconds(-1)), "gracePeriod is -1.0 seconds; it must be zero or positive"),
    (TaskOptions(retries: -1), "retries is -1; it must be between 0 and"),
  ]
  for (options, rule) in refused {
    configuration.taskOptions = options
    try expectError(.invalidArgument, saying: rule) {
      try ProcessPoolExecutor(maxWorkers: 1, startMethod: method, configuration: configuration)
    }
  }
  configuration.taskOptions = TaskOptions(timeout: .milliseconds(40))
  let pool = try ProcessPoolExecutor(maxWorkers: 2, startMethod: method, configuration: configuration)
  defer { pool.shutdown() }
  for (options, rule) in refused {
    try expectError(.invalidArgument, saying: rule) { try pool.submit(TellContext(), options: options) }
  }
  try expectError(.taskTimedOut, saying: "timeout of 0.04 seconds") { try pool.submit(AwaitStop()).result() }
  try expectError(.taskTimedOut) { try pool.map([AwaitStop(), AwaitStop()]) }
  // A task's own options replace the pool's, all of them.
  try expectEqual(try pool.submit(TellContext(), options: TaskOptions()).result().last, -1)
  let left = try pool.submit(TellContext(), options: TaskOptions(timeout: .seconds(60))).result()
  try expect((30_000...60_000).contains(left[2]), "\(left)")
  // The timeout is each job's, unless the caller makes chunks.
  let jobs = (0..<50).map { Square(number: $0) }
  let generous = TaskOptions(timeout: .seconds(60))
  try expectEqual(try pool.map(jobs, options: generous), jobs.map { $0.run() })
  try expectEqual(try pool.map(jobs, chunkSize: 7, options: generous), jobs.map { $0.run() })
}

func runStopRequests(_ method: ProcessPoolExecutor.StartMethod) throws {
  let pool = try ProcessPoolExecutor(maxWorkers: 1, startMethod: method)
  defer { pool.shutdown() }
  let running = try pool.submit(AwaitStop())
  let next = try pool.submit(TellContext())
  waitUntilRunning(running)
  try expect(!running.cancel(), "a running task was cancelled")
  _ = try expectThrown(CancellationError.self) { try running.result() }
  try expectEqual(running.state, .finished)
  try expectEqual(try next.result(), [0, 0, -1])
  // The rest of a chunk that is asked to stop does not begin.
  let jobs = [AwaitStop(answer: .result), AwaitStop(answer: .result)]
  let options = TaskOptions(timeout: .milliseconds(30), gracePeriod: .seconds(60))
  try expectError(.taskTimedOut) { try pool.map(jobs, chunkSize: 2, options: options) }
}

func runTerminate(_ method: ProcessPoolExecutor.StartMethod) throws {
  let pool = try ProcessPoolExecutor(maxWorkers: 1, startMethod: method)
  defer { pool.shutdown() }
  let worker = try pool.submit(WorkerIdentifier()).result()
  let running = try pool.submit(Stubborn(), options: TaskOptions(retries: 3))
  let waiting = try (0..<10).map { try pool.submit(Square(number: $0)) }
  waitUntilRunning(running)
  try expect(pool.terminate(waiting[0]) && pool.terminate(waiting[9]))
  try expectEqual([waiting[0].state, waiting[9].state], [.cancelled, .cancelled])
  try expect(!pool.terminate(waiting[0]), "it is done")
  try expect(!pool.terminate(Promise<Int>().future), "it is no task of this pool")
  try expect(pool.terminate(running))
  let error = try expectError(.terminated, saying: "by killing its worker \(worker)") { try running.result() }
  try expect(error.message.hasPrefix("Stubborn was terminated after it had run for "), error.message)
  try expectEqual(error.workerExit?.reason, .signal(SIGKILL))
  try expectEqual(try waiting[1..<9].map { try $0.result() }, (1..<9).map { $0 * $0 })
  try expect(!pool.terminate(running) && !pool.terminate(waiting[1]), "they have ended")
}

func runRetries(_ method: ProcessPoolExecutor.StartMethod) throws {
  let pool = try ProcessPoolExecutor(maxWorkers: 2, startMethod: method)
  defer { pool.shutdown() }
  func attempts(deaths: Int, retries: Int) throws -> Int {
    let gate = try Gate()  // for its directory
    defer { gate.remove() }
    return try pool.submit(
      KillWorkers(directory: gate.directory, times: deaths), options: TaskOptions(retries: retries)
    ).result()
  }
  try expectEqual(try attempts(deaths: 0, retries: 0), 1)
  try expectEqual(try attempts(deaths: 1, retries: 1), 2)
  try expectEqual(try attempts(deaths: 2, retries: 2), 3)
  let neighbours = try (0..<100).map { try pool.submit(Square(number: $0)) }
  let once = try expectError(.workerDied, saying: "was ended by SIGKILL while it ran KillWorkers") {
    try attempts(deaths: 1, retries: 0)
  }
  try expect(!once.message.contains("workers have died"), once.message)
  try expectError(.workerDied, saying: "2 workers have died of this task") { try attempts(deaths: 2, retries: 1) }
  try expectError(.workerDied, saying: "3 workers have died of this task") { try attempts(deaths: 9, retries: 2) }
  try expectEqual(try neighbours.map { try $0.result() }, (0..<100).map { $0 * $0 })
}

func runShutdownDeadline(_ method: ProcessPoolExecutor.StartMethod) throws {
  let clock = ContinuousClock()
  // Without work there is nothing to wait for; draining is all that a long deadline does.
  let idle = try ProcessPoolExecutor(maxWorkers: 2, startMethod: method)
  let took = clock.measure { try? expectEqual(idle.shutdown(deadline: .seconds(60)), ShutdownReport()) }
  try expect(took < .seconds(10), "an idle pool took \(took)")
  try expectEqual(idle.shutdown(deadline: .zero), ShutdownReport())
  let draining = try ProcessPoolExecutor(maxWorkers: 2, startMethod: .automatic)
  let squares = try (0..<200).map { try draining.submit(Square(number: $0)) }
  let drained = draining.shutdown(deadline: .now + .seconds(60))
  try expectEqual([drained.cancelled, drained.askedToStop, drained.killed], [0, 0, 0])
  try expect(drained.finished <= 200)
  try expectEqual(try squares.map { try $0.result() }, (0..<200).map { $0 * $0 })
  // One that listens, one that does not, and what has not begun.
  let pool = try ProcessPoolExecutor(maxWorkers: 2, startMethod: .automatic)
  let listening = try pool.submit(AwaitStop(answer: .result))
  let stubborn = try pool.submit(Stubborn())
  waitUntilRunning(listening)
  waitUntilRunning(stubborn)
  let waiting = try (0..<10).map { try pool.submit(Square(number: $0)) }
  let report = pool.shutdown(deadline: .milliseconds(10), gracePeriod: .milliseconds(200))
  try expectEqual([report.finished, report.cancelled, report.askedToStop, report.killed], [1, 10, 2, 1])
  try expectEqual(try listening.result(), 7)
  try expectEqual(waiting.map(\.state), Array(repeating: .cancelled, count: 10))
  try expectError(.terminated, saying: "Stubborn was terminated") { try stubborn.result() }
  try expect(pool.workerProcessIdentifiers.isEmpty)
  try expectError(.shutDown) { try pool.submit(Square(number: 1)) }
}

func runStoppedWorker(_ method: ProcessPoolExecutor.StartMethod) throws {
  let pool = try ProcessPoolExecutor(maxWorkers: 2, startMethod: method)
  defer { pool.shutdown() }
  let gate = try Gate()
  defer { gate.remove() }
  let timeout = TaskOptions(timeout: .seconds(2), gracePeriod: .milliseconds(20))
  let held = try pool.submit(gate.job, options: timeout)
  let worker = try gate.waitUntilHeld()
  kill(worker, SIGSTOP)
  let neighbours = try (0..<100).map { try pool.submit(Square(number: $0)) }
  try expectEqual(try neighbours.map { try $0.result() }, (0..<100).map { $0 * $0 })
  // Not dead: it is still there, and nothing has failed.
  try expect(!held.isDoneNow && pool.workerProcessIdentifiers.contains(worker))
  try expectError(.taskTimedOut, saying: "had to be killed with its worker \(worker)") { try held.result() }
  try expectEqual(try pool.map((0..<100).map { Square(number: $0) }).count, 100)
}

func runTemplateLost(_ method: ProcessPoolExecutor.StartMethod) throws {
  let breaks = Atomic(0)
  var configuration = ProcessPoolExecutor.Configuration()
  configuration.onBreak = { _ in breaks.add(1, ordering: .relaxed) }
  let pool = try ProcessPoolExecutor(maxWorkers: 1, startMethod: method, configuration: configuration)
  defer { pool.shutdown() }
  let gate = try Gate()
  defer { gate.remove() }
  let held = try pool.submit(gate.job)
  let worker = try gate.waitUntilHeld()
  let waiting = try (0..<10).map { try pool.submit(Square(number: $0)) }
  kill(try parent(of: worker), SIGKILL)
  if pool.startMethod == .fork {
    let reason = "the template process ended, and a forked one cannot be replaced"
    try expectError(.brokenPool, saying: reason) { try held.result() }
    for future in waiting { try expectError(.brokenPool, saying: reason) { try future.result() } }
    try expectError(.brokenPool) { try pool.submit(Square(number: 1)) }
    try expect(pool.isBroken)
    while breaks.load(ordering: .relaxed) == 0 { sched_yield() }
  } else {
    try expectError(.workerDied, saying: "the template process ended") { try held.result() }
    try expectEqual(try waiting.map { try $0.result() }, (0..<10).map { $0 * $0 })
    try expectEqual(try pool.submit(Square(number: 5)).result(), 25)
    try expect(!pool.isBroken)
  }
}

/// A pool that needs nothing of the program's memory goes on without its forked template.
func runTemplateLostReexecutes(_ method: ProcessPoolExecutor.StartMethod) throws {
  let double = FunctionHandle("double") { (number: Int) in 2 * number }
  var configuration = ProcessPoolExecutor.Configuration()
  configuration.onTemplateLoss = .reexecute
  configuration.initializer = .function(double, 1)
  try expectError(.unsupported, saying: "onTemplateLoss") {
    try ProcessPoolExecutor(maxWorkers: 1, startMethod: method, configuration: configuration)
  }
  configuration.initializer = .job(Square(number: 1))
  let pool = try ProcessPoolExecutor(maxWorkers: 1, startMethod: method, configuration: configuration)
  defer { pool.shutdown() }
  let gate = try Gate()
  defer { gate.remove() }
  if pool.startMethod == .fork { try expectEqual(try pool.submit(double, 4).result(), 8) }
  let held = try pool.submit(gate.job)
  let worker = try gate.waitUntilHeld()
  let waiting = try (0..<10).map { try pool.submit(Square(number: $0)) }
  let call = pool.startMethod == .fork ? try pool.submit(double, 5) : nil
  kill(try parent(of: worker), SIGKILL)
  try expectError(.workerDied, saying: "the template process ended") { try held.result() }
  try expectEqual(try waiting.map { try $0.result() }, (0..<10).map { $0 * $0 })
  if let call { try expectError(.unsupported, saying: "fewer function handles") { try call.result() } }
  try expectEqual(pool.startMethod, .reexec)
  try expectError(.unsupported, saying: "double cannot run") { try pool.submit(double, 6) }
  try expectEqual(try pool.submit(Square(number: 5)).result(), 25)
  try expect(!pool.isBroken)
}

private func waitUntilRunning(_ future: Future<Int>) {
  while future.state != .running { sched_yield() }
}

extension Future {
  fileprivate var isDoneNow: Bool { state == .finished || state == .cancelled }
}

func parent(of process: Int32) throws -> Int32 {
  // The name may hold anything but ends with the last parenthesis; state and parent follow.
  let line = try String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
  let fields = line[(line.lastIndex(of: ")") ?? line.startIndex)...].split(separator: " ")
  guard fields.count > 2, let parent = Int32(fields[2]) else { throw Unmet("no parent in \(line)") }
  return parent
}

/// A callback of a pool that waits for another task of the pool would wait for itself.
func runWaitInCallback(_ method: ProcessPoolExecutor.StartMethod) throws {
  let pool = try ProcessPoolExecutor(maxWorkers: 2, startMethod: method)
  defer { pool.shutdown() }
  let gates = try (Gate(), Gate())
  defer {
    gates.0.remove()
    gates.1.remove()
  }
  let first = try pool.submit(gates.0.job)
  let second = try pool.submit(gates.1.job)
  _ = try (gates.0.waitUntilHeld(), gates.1.waitUntilHeld())
  let told = Promise<[WorkerPoolError.Code?]>()
  first.addDoneCallback { _ in
    let waits: [() throws -> Void] = [
      { _ = try second.result() }, { _ = try second.result(timeout: .seconds(600)) },
      { _ = try pool.map([Square(number: 1)]) }, { _ = try pool.submit(Square(number: 1)) },
    ]
    told.succeed(
      waits.map { wait in
        do {
          try wait()
          return nil
        } catch {
          return (error as? WorkerPoolError)?.code
        }
      })
  }
  // What does not throw returns.
  let left = Promise<[Bool]>()
  first.addDoneCallback { _ in
    let (ended, notDone) = wait(for: [first, second])
    left.succeed([ended.count == 1, notDone.count == 1] + asCompleted([first, second]).map { $0.outcome != nil })
  }
  gates.0.release()
  try expectEqual(try told.future.result(), [.wouldDeadlock, .wouldDeadlock, .wouldDeadlock, nil])
  try expectEqual(try left.future.result(), [true, true, true, false])
  // One that has ended is no reason to wait.
  let again = Promise<Int32?>()
  let third = try pool.submit(Square(number: 3))
  third.addDoneCallback { _ in again.succeed(try? first.result()) }
  try expect(try again.future.result() == first.result())
  gates.1.release()
  _ = try second.result()
}
