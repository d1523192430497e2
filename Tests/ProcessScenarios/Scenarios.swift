import Foundation
import Synchronization
import WorkerPool
import WorkerPoolFoundation

/// What a program does with a process pool, and what it then expects. Each runs in a program of its own, which is
/// how a fork early in `main` comes about, and those that need no fork in the test's own process as well.
package enum Scenario: String, CaseIterable, Sendable {
  case jobs, maps, errors, deaths, mainVariables, refusals, cancel, cancelPending, killFromOutside, lateResult, dropped
  case tooLarge, functions, leftovers, thousandPools
  case containment, promptness, limits, memoryLimit, memoryCgroup
  case output, recycling, initializer, initializerFunction, initializerFailures
  case timeouts, poolTimeout, stopRequests, terminate, retries, shutdownDeadline, stoppedWorker
  case templateLost, templateLostReexecutes
  case sharedArrays, sharedArrayEnds, sharedResults, largeData, outOfDescriptors
  case resize, resizeUnderLoad, placement
  case mixture, waitInCallback
  case signalMasks, signalStorm
  case sandbox, nested, locks
  case longErrors, addressSpace

  package func run(_ method: ProcessPoolExecutor.StartMethod) throws {
    switch self {
    case .jobs: try runJobs(method)
    case .maps: try runMaps(method)
    case .errors: try runErrors(method)
    case .deaths: try runDeaths(method)
    case .mainVariables: try runMainVariables(method)
    case .refusals: try runRefusals(method)
    case .cancel: try runCancel(method)
    case .cancelPending: try runCancelPending(method)
    case .killFromOutside: try runKillFromOutside(method)
    case .lateResult: try runLateResult(method)
    case .dropped: try runDropped(method)
    case .tooLarge: try runTooLarge(method)
    case .functions: try runFunctions(method)
    case .leftovers: try runLeftovers(method)
    case .thousandPools: try runThousandPools(method)
    case .containment: try runContainment(method)
    case .promptness: try runPromptness(method)
    case .limits: try runLimits(method)
    case .memoryLimit: try runMemoryLimit(method)
    case .memoryCgroup: try runMemoryCgroup(method)
    case .output: try runOutput(method)
    case .recycling: try runRecycling(method)
    case .initializer: try runInitializer(method)
    case .initializerFunction: try runInitializerFunction(method)
    case .initializerFailures: try runInitializerFailures(method)
    case .timeouts: try runTimeouts(method)
    case .poolTimeout: try runPoolTimeout(method)
    case .stopRequests: try runStopRequests(method)
    case .terminate: try runTerminate(method)
    case .retries: try runRetries(method)
    case .shutdownDeadline: try runShutdownDeadline(method)
    case .stoppedWorker: try runStoppedWorker(method)
    case .templateLost: try runTemplateLost(method)
    case .templateLostReexecutes: try runTemplateLostReexecutes(method)
    case .sharedArrays: try runSharedArrays(method)
    case .sharedArrayEnds: try runSharedArrayEnds(method)
    case .sharedResults: try runSharedResults(method)
    case .largeData: try runLargeData(method)
    case .outOfDescriptors: try runOutOfDescriptors(method)
    case .resize: try runResize(method)
    case .resizeUnderLoad: try runResizeUnderLoad(method)
    case .placement: try runPlacement(method)
    case .mixture: try runMixture(method)
    case .waitInCallback: try runWaitInCallback(method)
    case .signalMasks: try runSignalMasks(method)
    case .signalStorm: try runSignalStorm(method)
    case .sandbox: try runSandbox(method)
    case .nested: try runNested(method)
    case .locks: try runLocks(method)
    case .longErrors: try runLongErrors(method)
    case .addressSpace: try runAddressSpace(method)
    }
  }

  /// Whether other pools and files of the same process would disturb it, or it would disturb them.
  package var needsOwnProcess: Bool {
    let alone: [Scenario] = [
      .leftovers, .thousandPools, .sharedArrayEnds, .sharedResults, .outOfDescriptors, .signalMasks, .signalStorm,
      .addressSpace,
    ]
    return alone.contains(self)
  }
}

private func runJobs(_ method: ProcessPoolExecutor.StartMethod) throws {
  try withProcessPoolExecutor(maxWorkers: 2, startMethod: method) { pool in
    try expectEqual(pool.maxWorkers, 2)
    if method != .automatic { try expectEqual(pool.startMethod, method) }
    let squares = try (0..<100).map { try pool.submit(Square(number: $0)) }
    try expectEqual(try squares.map { try $0.result() }, (0..<100).map { $0 * $0 })
    try expectEqual(try pool.submit(Shout(words: ["a", "bc"])).result(), ["A", "BC"])
    let echo = Nested<[String: Int]>.Echo(element: ["one": 1])
    try expectEqual(try pool.submit(echo).result(), ["one": 1])
    let worker = try pool.submit(WorkerIdentifier()).result()
    try expect(worker != getpid() && pool.workerProcessIdentifiers.contains(worker))
    try expectEqual(try pool.submit(Blob(count: 5_000_000)).result().count, 5_000_000)
  }
}

private func runMaps(_ method: ProcessPoolExecutor.StartMethod) throws {
  let pool = try ProcessPoolExecutor(maxWorkers: 2, startMethod: method)
  defer { pool.shutdown() }
  let expected = (0..<1000).map { $0 * $0 }
  let jobs = (0..<1000).map { Square(number: $0) }
  try expectEqual(try pool.map(jobs), expected)
  try expectEqual(try pool.map(jobs, chunkSize: 1), expected)
  try expectEqual(try pool.map(jobs, chunkSize: 5000), expected)
  try expectEqual(try pool.map([Square]()), [])
  try expectEqual(try pool.map((0..<1000).lazy.filter { _ in true }.map { Square(number: $0) }), expected)
  try expectError(.invalidArgument, saying: "chunkSize is 0") { try pool.map(jobs, chunkSize: 0) }
  // Pulled as there is room: the source has no end, and its first failure ends it.
  let endless = sequence(first: 0) { $0 + 1 }.lazy.map { FailFrom(number: $0, limit: 5000) }
  try expectEqual(try expectThrown(CodeError.self) { try pool.map(endless) }.code, 5000)
  // Of many errors the first in order, whichever was thrown first.
  let failing = (0..<1000).map { FailFrom(number: $0, limit: 300) }
  try expectEqual(try expectThrown(CodeError.self) { try pool.map(failing, chunkSize: 7) }.code, 300)
  try expectError(.unresolvableType) { try submitHiddenJob(to: pool) }
}

private func runErrors(_ method: ProcessPoolExecutor.StartMethod) throws {
  let pool = try ProcessPoolExecutor(maxWorkers: 1, startMethod: method)
  defer { pool.shutdown() }
  func failure<Failure: Error>(_ kind: Fail.Kind, _ type: Failure.Type) throws -> Failure {
    try expectThrown(type) { try pool.submit(Fail(kind: kind)).result() }
  }
  try expectEqual(try failure(.codable, StationError.self), .unreachable(host: "größer", port: 80))
  try expectEqual(try failure(.wireCodable, CodeError.self), CodeError(code: -7))
  let plain = try failure(.plain, RemoteError.self)
  try expectEqual(plain, RemoteError(typeName: "ProcessScenarios.PlainError", description: "plain as can be"))
  _ = try failure(.cancellation, CancellationError.self)
  let package = try failure(.package, WorkerPoolError.self)
  try expect(package.code == .timedOut && package.message == "too late")
  let error = try expectThrown(CodeError.self) {
    try pool.map([Fail(kind: .wireCodable), Fail(kind: .plain)], chunkSize: 2)
  }
  try expectEqual(error.code, -7)
}

private func runDeaths(_ method: ProcessPoolExecutor.StartMethod) throws {
  let pool = try ProcessPoolExecutor(maxWorkers: 2, startMethod: method)
  defer { pool.shutdown() }
  for way in Die.Way.allCases {
    let future = try pool.submit(Die(way: way))
    let error = try expectError(.workerDied, saying: "while it ran Die") { try future.result() }
    guard let exit = error.workerExit else { throw Unmet("no exit for \(way)") }
    try expect(way.canEnd(with: exit.reason), "\(way): \(error.message)")
    try expect(error.message.contains("worker \(exit.processIdentifier) "), error.message)
    try expectEqual(try pool.submit(Square(number: 3)).result(), 9)
  }
  try expectEqual(try pool.map((0..<100).map { Square(number: $0) }).count, 100)
}

private func runMainVariables(_ method: ProcessPoolExecutor.StartMethod) throws {
  let pool = try ProcessPoolExecutor(maxWorkers: 1, startMethod: method)
  defer { pool.shutdown() }
  if pool.startMethod == .fork {
    try expectEqual(try pool.submit(CountMethods()).result(), 2)
  } else {
    try expectError(.workerDied, saying: "global variable of main.swift") { try pool.submit(CountMethods()).result() }
    let trap = try expectError(.workerDied) { try pool.submit(Die(way: .abort)).result() }
    try expect(!trap.message.contains("main.swift"), trap.message)
  }
}

extension Die.Way {
  func canEnd(with reason: WorkerExit.Reason) -> Bool {
    switch self {
    // What Swift's traps raise depends on the processor.
    case .overflow, .fatalError, .outOfBounds: reason == .signal(SIGILL) || reason == .signal(SIGTRAP)
    case .badPointer, .stackOverflow: reason == .signal(SIGSEGV)
    case .abort: reason == .signal(SIGABRT)
    case .busError: reason == .signal(SIGBUS)
    case .kill: reason == .signal(SIGKILL)
    case .exitZero: reason == .exit(status: 0)
    case .exitThree: reason == .exit(status: 3)
    }
  }
}

private func runRefusals(_ method: ProcessPoolExecutor.StartMethod) throws {
  for count in [0, -1, 1025] {
    try expectError(.invalidArgument, saying: "maxWorkers is \(count)") {
      try ProcessPoolExecutor(maxWorkers: count, startMethod: method)
    }
  }
  try expectError(.invalidArgument, saying: "prefetch is 17") {
    try ProcessPoolExecutor(maxWorkers: 1, startMethod: method, prefetch: 17)
  }
  try expectError(.invalidArgument, saying: "maxPayload is 0") {
    try ProcessPoolExecutor(maxWorkers: 1, startMethod: method, maxPayload: 0)
  }
  let pool = try ProcessPoolExecutor(maxWorkers: 1, startMethod: method)
  try expectError(.unresolvableType, saying: "HiddenJob") { try submitHiddenJob(to: pool) }
  try expectError(.unresolvableType, saying: "LocalJob") { try submitLocalJob(to: pool) }
  let late = FunctionHandle("late") { (number: Int) in number }
  let reason = pool.startMethod == .fork ? "made after the pool" : "re-executing"
  try expectError(.unsupported, saying: reason) { try pool.submit(late, 1) }
  try expectError(.unsupported, saying: "function handle late") { try pool.map(late, [1, 2]) }
  try expectEqual(try pool.submit(Square(number: 2)).result(), 4)
  pool.shutdown()
  pool.shutdown()
  try expectError(.shutDown, saying: "Square") { try pool.submit(Square(number: 2)) }
  try expectError(.shutDown) { try pool.map([Square(number: 2)]) }
  try refuseForkBesideThread()
}

private func refuseForkBesideThread() throws {
  let threads = try ThreadPoolExecutor(maxWorkers: 1, name: "in the way")
  defer { threads.shutdown() }
  let error = try expectError(.unsupported, saying: "startMethod is .fork: ") {
    try ProcessPoolExecutor(maxWorkers: 1, startMethod: .fork)
  }
  for part in ["; the other thread is '", "A way out: make the pool first thing in main", ".reexec"] {
    try expect(error.message.contains(part), error.message)
  }
}

private func runCancel(_ method: ProcessPoolExecutor.StartMethod) throws {
  let pool = try ProcessPoolExecutor(maxWorkers: 1, startMethod: method)
  defer { pool.shutdown() }
  let gate = try Gate()
  defer { gate.remove() }
  let held = try pool.submit(gate.job)
  let worker = try gate.waitUntilHeld()
  try expectEqual(held.state, .running)
  try expect(!held.cancel(), "a running task was cancelled")
  // One of them waits in the worker's own queue, the others in the pool's.
  let waiting = try (0..<4).map { try pool.submit(Square(number: $0)) }
  try expectEqual(waiting.map(\.state), Array(repeating: .pending, count: 4))
  for index in [0, 1, 3] { try expect(waiting[index].cancel(), "task \(index) was not cancelled") }
  try expectEqual(waiting.map(\.state), [.cancelled, .cancelled, .pending, .cancelled])
  _ = try expectThrown(CancellationError.self) { try waiting[0].result() }
  gate.release()
  try expectEqual(try held.result(), worker)
  try expectEqual(try waiting[2].result(), 4)
  try expect(!waiting[2].cancel() && waiting[0].cancel())
}

private func runCancelPending(_ method: ProcessPoolExecutor.StartMethod) throws {
  let pool = try ProcessPoolExecutor(maxWorkers: 1, startMethod: method)
  let gate = try Gate()
  defer { gate.remove() }
  let held = try pool.submit(gate.job)
  let worker = try gate.waitUntilHeld()
  let waiting = try (0..<20).map { try pool.submit(Square(number: $0)) }
  let calls = Mutex(0)
  for future in waiting { future.addDoneCallback { _ in calls.withLock { $0 += 1 } } }
  pool.shutdown(wait: false, cancelPending: true)
  try expectEqual(waiting.map(\.state), Array(repeating: .cancelled, count: 20))
  try expectEqual(calls.withLock { $0 }, 20)
  try expectError(.shutDown) { try pool.submit(Square(number: 1)) }
  gate.release()
  pool.shutdown()
  try expectEqual(held.state, .finished)
  try expectEqual(try held.result(), worker)
}

private func runKillFromOutside(_ method: ProcessPoolExecutor.StartMethod) throws {
  let pool = try ProcessPoolExecutor(maxWorkers: 2, startMethod: method)
  defer { pool.shutdown() }
  let gate = try Gate()
  defer { gate.remove() }
  let others = try (0..<50).map { try pool.submit(Square(number: $0)) }
  let held = try pool.submit(gate.job)
  let more = try (50..<100).map { try pool.submit(Square(number: $0)) }
  let worker = try gate.waitUntilHeld()
  try expect(pool.workerProcessIdentifiers.contains(worker))
  kill(worker, SIGKILL)
  let error = try expectError(.workerDied, saying: "worker \(worker) was ended by SIGKILL while it ran Hold") {
    try held.result()
  }
  try expectEqual(error.workerExit?.processIdentifier, worker)
  try expectEqual(error.workerExit?.reason, .signal(SIGKILL))
  try expectEqual(try (others + more).map { try $0.result() }, (0..<100).map { $0 * $0 })
  try expect(!pool.workerProcessIdentifiers.contains(worker), "the dead worker is still listed")
}

private func runLateResult(_ method: ProcessPoolExecutor.StartMethod) throws {
  let gate = try Gate()
  defer { gate.remove() }
  let future = try withProcessPoolExecutor(maxWorkers: 1, startMethod: method) { pool in
    let future = try pool.submit(gate.job)
    _ = try gate.waitUntilHeld()
    try expectError(.timedOut) { try future.result(timeout: .milliseconds(1)) }
    gate.release()
    return future
  }
  // The scope has waited for it.
  try expectEqual(future.state, .finished)
  // One that throws waits as well.
  var left: [Future<Int>] = []
  _ = try expectThrown(PlainError.self) {
    try withProcessPoolExecutor(maxWorkers: 1, startMethod: method == .fork ? .automatic : method) { pool in
      left = try (0..<20).map { try pool.submit(Square(number: $0)) }
      throw PlainError()
    }
  }
  try expectEqual(left.map(\.state), Array(repeating: .finished, count: 20))
}

/// A pool that is let go of ends what it has accepted, whether anybody holds the futures or not.
private func runDropped(_ method: ProcessPoolExecutor.StartMethod) throws {
  var pool: ProcessPoolExecutor? = try ProcessPoolExecutor(maxWorkers: 1, startMethod: method)
  let gate = try Gate()
  defer { gate.remove() }
  guard let held = try pool?.submit(gate.job) else { throw Unmet("no pool") }
  let worker = try gate.waitUntilHeld()
  let waiting = try (0..<10).map { number in try pool?.submit(Square(number: number)) }
  pool = nil
  gate.release()
  try expectEqual(try held.result(), worker)
  try expectEqual(try waiting.map { try $0?.result() }, (0..<10).map { $0 * $0 })
}

private func runTooLarge(_ method: ProcessPoolExecutor.StartMethod) throws {
  let pool = try ProcessPoolExecutor(maxWorkers: 1, startMethod: method, maxPayload: 64 << 10)
  defer { pool.shutdown() }
  try expectError(.tooLarge, saying: "the pool's limit is 65536") { try pool.submit(Blob(count: 65_530)).result() }
  let input = Nested<[UInt8]>.Echo(element: Array(repeating: 1, count: 70_000))
  try expectError(.tooLarge, saying: "takes 70008 bytes") { try pool.submit(input) }
  try expectEqual(try pool.submit(Blob(count: 65_528)).result().count, 65_528)
}

// MARK: - Functions

private func runFunctions(_ method: ProcessPoolExecutor.StartMethod) throws {
  // With `reexec` there is nothing to see but the refusal, which another scenario looks at.
  guard method == .fork else { return }
  let table = (0..<10_000).map { $0 * 3 }
  let lookUp = FunctionHandle("look up") { (index: Int) -> Int in
    guard table.indices.contains(index) else { throw CodeError(code: index) }
    return table[index]
  }
  let shout = FunctionHandle { (words: [String]) in words.map { $0.uppercased() } }
  let die = FunctionHandle("die") { (status: Int32) -> Void in exit(status) }
  try expect(shout.name.hasPrefix("at ProcessScenarios/Scenarios.swift:"), shout.name)
  let pool = try ProcessPoolExecutor(maxWorkers: 4, startMethod: .automatic)
  defer { pool.shutdown() }
  try expectEqual(pool.startMethod, .fork)
  try expectEqual(try pool.submit(lookUp, 7).result(), 21)
  try expectEqual(try lookUp(7), 21)
  try expectEqual(try pool.map(lookUp, 0..<10_000), table)
  try expectEqual(try pool.map(lookUp, [5, 1, 3, 1], chunkSize: 1), [15, 3, 9, 3])
  try expectEqual(try pool.submit(shout, ["x"]).result(), ["X"])
  try expectEqual(try expectThrown(CodeError.self) { try pool.map(lookUp, 9990..<10_100) }.code, 10_000)
  try expectEqual(try expectThrown(CodeError.self) { try pool.submit(lookUp, -1).result() }.code, -1)
  try expectError(.workerDied, saying: "exited with status 5 while it ran function die") {
    try pool.submit(die, 5).result()
  }
  // The host has threads now: a fork is refused, and says why.
  try expectError(.unsupported, saying: "thread") { try ProcessPoolExecutor(maxWorkers: 1, startMethod: .fork) }
}

// MARK: - What is left

private func runLeftovers(_ method: ProcessPoolExecutor.StartMethod) throws {
  let before = try Traces()
  do {
    let pool = try ProcessPoolExecutor(maxWorkers: 3, startMethod: method)
    _ = try pool.map((0..<100).map { Square(number: $0) })
    try expectError(.workerDied) { try pool.submit(Die(way: .kill)).result() }
    let during = try Traces()
    try expect(during.children.count > before.children.count, "the template is no child")
    try expect(during.descriptors.count > before.descriptors.count, "the pool has no descriptor")
    try expect(during.sharedMappings > before.sharedMappings, "the pool shares no memory")
    pool.shutdown()
  }
  try expectEqual(try Traces(), before)
}

/// What a process holds: children (zombies as well), descriptors, shared mappings.
struct Traces: Equatable {
  var children: [String]
  var descriptors: [String]
  var sharedMappings: Int
  var sharedFiles: [String]

  init() throws {
    let files = FileManager.default
    children = try files.contentsOfDirectory(atPath: "/proc/self/task").flatMap { thread in
      (try? contents(of: "/proc/self/task/\(thread)/children"))?.split(separator: " ").map(String.init) ?? []
    }
    descriptors = try files.contentsOfDirectory(atPath: "/proc/self/fd")
      .compactMap { try? files.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)") }
      .filter { !$0.hasPrefix("/proc/") }.sorted()
    let maps = try contents(of: "/proc/self/maps")
    sharedMappings = maps.split(separator: "\n").count { $0.contains("s ") && $0.contains("memfd:") }
    sharedFiles = (try? files.contentsOfDirectory(atPath: "/dev/shm")) ?? []
  }
}

/// All of a file of /proc, which comes in pieces: Foundation takes the first short one for the end.
func contents(of path: String) throws -> String {
  let file = open(path, O_RDONLY | O_CLOEXEC)
  guard file >= 0 else { throw Unmet("open \(path): \(errno)") }
  defer { close(file) }
  var bytes: [UInt8] = []
  var piece = [UInt8](repeating: 0, count: 4096)
  while case let count = read(file, &piece, piece.count), count > 0 { bytes += piece[..<count] }
  return String(decoding: bytes, as: UTF8.self)
}
