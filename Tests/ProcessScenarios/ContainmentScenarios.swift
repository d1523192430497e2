import Foundation
import WorkerPool
import WorkerPoolFoundation

// What the death of a worker costs, and what is said about it.

private let neighbours = 1000

/// Fails `victim` between two halves of its neighbours, whose results have to be whole, and returns its error.
private func lose<Output>(
  _ code: WorkerPoolError.Code, in pool: ProcessPoolExecutor, _ victim: () throws -> Future<Output>
) throws -> WorkerPoolError {
  let before = try (0..<neighbours / 2).map { try pool.submit(Square(number: $0)) }
  let lost = try victim()
  let after = try (neighbours / 2..<neighbours).map { try pool.submit(Square(number: $0)) }
  let error = try expectError(code) { try lost.result() }
  try expectEqual(try (before + after).map { try $0.result() }, (0..<neighbours).map { $0 * $0 })
  return error
}

private func expectAccount(_ error: WorkerPoolError, of task: String, in pool: ProcessPoolExecutor) throws -> WorkerExit
{
  guard let exit = error.workerExit else { throw Unmet("no exit: \(error)") }
  try expectEqual(exit.taskName, task)
  try expect(error.message.contains("worker \(exit.processIdentifier) "), error.message)
  try expect(error.message.contains(task), error.message)
  try expect(!pool.workerProcessIdentifiers.contains(exit.processIdentifier), "the dead worker is still listed")
  try expect(exit.runDuration > .zero && exit.runDuration < .seconds(60), "ran for \(exit.runDuration)")
  try expect(exit.peakMemory > 1 << 20 && exit.peakMemory < 1 << 40, "peak of \(exit.peakMemory) bytes")
  return exit
}

func runContainment(_ method: ProcessPoolExecutor.StartMethod) throws {
  let pool = try ProcessPoolExecutor(maxWorkers: 2, startMethod: method)
  defer { pool.shutdown() }
  for way in Die.Way.allCases {
    let error = try lose(.workerDied, in: pool) { try pool.submit(Die(way: way)) }
    let exit = try expectAccount(error, of: "Die", in: pool)
    try expect(way.canEnd(with: exit.reason), "\(way): \(error.message)")
    if way == .fatalError {
      try expect(exit.standardError.contains("Fatal error: as asked"), exit.standardError)
      try expect(error.message.contains("Fatal error: as asked"), error.message)
    }
  }
  let error = try lose(.workerDied, in: pool) { try pool.submit(Complain(words: "1\n2\nthree \u{FFFD}ähnlich")) }
  let exit = try expectAccount(error, of: "Complain", in: pool)
  try expectEqual(exit.reason, .exit(status: 7))
  try expect(exit.standardError.hasSuffix("1\n2\nthree \u{FFFD}ähnlich"), exit.standardError)
  try expect(error.message.contains("exited with status 7 while it ran Complain"), error.message)
  try expect(error.message.hasSuffix("2\nthree \u{FFFD}ähnlich"), error.message)
  let gate = try Gate()
  defer { gate.remove() }
  let outside = try lose(.workerDied, in: pool) {
    let held = try pool.submit(gate.job)
    kill(try gate.waitUntilHeld(), SIGKILL)
    return held
  }
  try expectEqual(try expectAccount(outside, of: "Hold", in: pool).reason, .signal(SIGKILL))
}

/// The median of twenty deaths is known to the caller within 50 ms, on a machine that does other things as well.
func runPromptness(_ method: ProcessPoolExecutor.StartMethod) throws {
  let pool = try ProcessPoolExecutor(maxWorkers: 1, startMethod: method)
  defer { pool.shutdown() }
  let gate = try Gate()
  defer { gate.remove() }
  var delays: [Duration] = []
  for _ in 0..<20 {
    let held = try pool.submit(gate.job)
    let worker = try gate.waitUntilHeld()
    let killed = ContinuousClock.now
    kill(worker, SIGKILL)
    try expectError(.workerDied) { try held.result() }
    delays.append(ContinuousClock.now - killed)
  }
  delays.sort()
  try expect(delays[10] < .milliseconds(50), "\(delays)")
}

// MARK: - Limits

func runLimits(_ method: ProcessPoolExecutor.StartMethod) throws {
  try refuseLimits(method)
  var configuration = ProcessPoolExecutor.Configuration()
  configuration.limits = WorkerLimits(openFiles: 40, coreSize: 4096, niceness: 3)
  let nice = Int(getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0))
  let inspected = try withProcessPoolExecutor(
    maxWorkers: 1, startMethod: later(method), configuration: configuration
  ) { try $0.submit(Inspect()).result() }
  try expectEqual(inspected, [4096, 39, min(nice + 3, 19), 500])
  // Another pool, since SIGXCPU is a signal that leaves a core file where there may be one.
  configuration.limits = WorkerLimits(cpuTime: .milliseconds(200))
  let again = method == .fork ? .automatic : method
  let pool = try ProcessPoolExecutor(maxWorkers: 2, startMethod: again, configuration: configuration)
  defer { pool.shutdown() }
  let error = try lose(.cpuTimeExceeded, in: pool) { try pool.submit(Burn()) }
  try expect(error.message.hasPrefix("Burn used more than 0.2 seconds of processor time"), error.message)
  try expectEqual(try expectAccount(error, of: "Burn", in: pool).reason, .signal(SIGXCPU))
  let smaller = TaskOptions(cpuTime: .milliseconds(50))
  let burnt = try lose(.cpuTimeExceeded, in: pool) { try pool.submit(Burn(), options: smaller) }
  try expect(burnt.message.hasPrefix("Burn used more than 0.05 seconds of processor time"), burnt.message)
  // The limit is one task's and not the worker's: together these use far more.
  try expectEqual(
    try (0..<8).map { _ in try pool.submit(Spin(milliseconds: 50)).result() }, Array(repeating: 50, count: 8))
}

private func refuseLimits(_ method: ProcessPoolExecutor.StartMethod) throws {
  func refused(
    _ code: WorkerPoolError.Code, saying part: String, _ change: (inout ProcessPoolExecutor.Configuration) -> Void
  ) throws {
    var configuration = ProcessPoolExecutor.Configuration()
    change(&configuration)
    try expectError(code, saying: part) {
      try ProcessPoolExecutor(maxWorkers: 1, startMethod: later(method), configuration: configuration)
    }
  }
  try refused(.systemCall, saying: "limits.openFiles is 4611686018427387904: setrlimit(RLIMIT_NOFILE) failed") {
    $0.limits.openFiles = 1 << 62
  }
  try refused(.invalidArgument, saying: "limits.memory is 4096: ") { $0.limits.memory = 4096 }
  try refused(.invalidArgument, saying: "limits.memory is 0; it must be at least 1") { $0.limits.memory = 0 }
  try refused(.invalidArgument, saying: "limits.cpuTime is 0.0 seconds") { $0.limits.cpuTime = .zero }
  try refused(.invalidArgument, saying: "limits.openFiles is 3") { $0.limits.openFiles = 3 }
  try refused(.invalidArgument, saying: "limits.coreSize is -1") { $0.limits.coreSize = -1 }
  try refused(.invalidArgument, saying: "limits.niceness is 41") { $0.limits.niceness = 41 }
  try refused(.invalidArgument, saying: "maxTasksPerWorker is 0") { $0.maxTasksPerWorker = 0 }
  try refused(.invalidArgument, saying: "maxWorkerMemory is 0") { $0.maxWorkerMemory = 0 }
  try refused(.invalidArgument, saying: "the limit of standardError is 0") {
    $0.standardError = .capture(limit: 0, echo: true)
  }
}

func runMemoryLimit(_ method: ProcessPoolExecutor.StartMethod) throws {
  let limit = 2 << 30
  var configuration = ProcessPoolExecutor.Configuration()
  configuration.limits.memory = limit
  func makePool() throws -> ProcessPoolExecutor {
    try ProcessPoolExecutor(maxWorkers: 2, startMethod: method, configuration: configuration)
  }
  guard try privateMemory() < limit else {  // a sanitizer's shadow memory
    try expectError(.invalidArgument, saying: "limits.memory is \(limit): ") { try makePool() }
    return
  }
  let pool = try makePool()
  defer { pool.shutdown() }
  // In small pieces to the brim, and with one piece that is too large by far.
  for piece in [8 << 20, 1 << 40] {
    let error = try lose(.memoryLimitExceeded, in: pool) { try pool.submit(Hoard(piece: piece)) }
    let exit = try expectAccount(error, of: "Hoard", in: pool)
    try expect(error.message.hasPrefix("Hoard reached the memory limit of \(limit) bytes; worker "), error.message)
    try expect(error.message.contains("at most \(exit.peakMemory) bytes"), error.message)
  }
  let options = TaskOptions(memory: 1 << 30)
  let error = try lose(.memoryLimitExceeded, in: pool) { try pool.submit(Hoard(piece: 8 << 20), options: options) }
  try expect(error.message.contains("the memory limit of \(1 << 30) bytes"), error.message)
  // What is no matter of memory is not called one.
  for way in [Die.Way.fatalError, .stackOverflow, .badPointer, .abort, .busError, .exitThree] {
    let error = try lose(.workerDied, in: pool) { try pool.submit(Die(way: way)) }
    try expect(way.canEnd(with: try expectAccount(error, of: "Die", in: pool).reason), "\(way): \(error.message)")
  }
}

/// What RLIMIT_DATA counts, of this process.
func privateMemory() throws -> Int {
  let fields = try contents(of: "/proc/self/statm").split(separator: " ")
  return (fields.count > 5 ? Int(fields[5]) ?? 0 : 0) * Int(getpagesize())
}
