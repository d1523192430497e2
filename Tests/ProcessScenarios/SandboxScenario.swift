import Foundation
import Synchronization
import WorkerPool
import WorkerPoolFoundation

extension Scenario {
  /// What its program prints.
  package func output(_ method: String) -> String {
    #if Sandbox
      if self == .sandbox && method == "reexec" { return "a sandboxed worker\nas expected\n" }
    #endif
    return "as expected\n"
  }
}

/// Tasks of a sandboxed pool: what they may not do, and what they may.
func runSandbox(_ method: ProcessPoolExecutor.StartMethod) throws {
  var configuration = ProcessPoolExecutor.Configuration()
  configuration.sandbox = .computeOnly
  #if Sandbox
    guard method != .fork else {
      try expectError(.unsupported, saying: "cannot be forked") {
        try ProcessPoolExecutor(maxWorkers: 1, startMethod: .fork, configuration: configuration)
      }
      return
    }
    // Chosen automatically, it is re-executed: also while the program could still be forked.
    let pool = try ProcessPoolExecutor(maxWorkers: 2, startMethod: .automatic, configuration: configuration)
    defer { pool.shutdown() }
    try expectEqual(pool.startMethod, .reexec)
    try expectForbidden(in: pool)
    try expectAllowed(in: pool)
    try expectLimits()
    try runSharedArrays(.reexec, configuration)
    configuration.initializer = .function(FunctionHandle("prepare") { (_: NoValue) in NoValue() }, NoValue())
    try expectError(.unsupported, saying: "the initializer function prepare cannot run") {
      try ProcessPoolExecutor(maxWorkers: 1, configuration: configuration)
    }
  #else
    try expectError(.unsupported, saying: "trait 'Sandbox'") {
      try ProcessPoolExecutor(maxWorkers: 1, startMethod: method, configuration: configuration)
    }
  #endif
}

private func expectForbidden(in pool: ProcessPoolExecutor) throws {
  for way in Trespass.Way.allCases {
    let neighbours = try (0..<100).map { try pool.submit(Square(number: $0)) }
    let future = try pool.submit(Trespass(way: way))
    let error = try expectError(.forbiddenCall) { try future.result() }
    guard let exit = error.workerExit else { throw Unmet("no exit for \(way)") }
    let call = way.systemCall.map { "called '\($0)', which its sandbox forbids" }
    let message = "worker \(exit.processIdentifier) \(call ?? "made a system call that its sandbox forbids"),"
    try expect(error.message.hasPrefix(message), "\(way): \(error.message)")
    try expect(error.message.contains("while it ran Trespass"), error.message)
    try expectEqual(error.systemCall?.name, way.systemCall)
    try expectEqual(exit.reason, .signal(SIGSYS))
    try expectEqual(exit.taskName, "Trespass")
    try expect(exit.runDuration > .zero && exit.peakMemory > 1 << 20, "\(exit)")
    try expectEqual(try neighbours.map { try $0.result() }, (0..<100).map { $0 * $0 })
  }
}

private func expectAllowed(in pool: ProcessPoolExecutor) throws {
  for way in Compute.Way.allCases {
    let worked = try pool.submit(Compute(way: way))
    do {
      try expectEqual(try worked.result(), way.rawValue, line: #line)
    } catch {
      throw Unmet("\(way): \(error)")
    }
  }
  try expectEqual(try pool.submit(Shout(words: ["ab", "ß"])).result(), ["AB", "SS"])
  try expectEqual(try pool.submit(Blob(count: 5_000_000)).result().count, 5_000_000)
  let thrown = try expectThrown(StationError.self) { try pool.submit(Fail(kind: .codable)).result() }
  try expectEqual(thrown, .unreachable(host: "größer", port: 80))
  for way in [Die.Way.fatalError, .outOfBounds, .abort, .kill, .exitThree] {
    let error = try expectError(.workerDied, saying: "while it ran Die") { try pool.submit(Die(way: way)).result() }
    guard let exit = error.workerExit else { throw Unmet("no exit for \(way)") }
    try expect(way.canEnd(with: exit.reason), "\(way): \(error.message)")
  }
}

/// What the engine itself does in a worker goes on in the sandbox, and the initializer runs before it.
private func expectLimits() throws {
  var configuration = ProcessPoolExecutor.Configuration()
  configuration.sandbox = .computeOnly
  configuration.initializer = .job(Trespass(way: .openFile))
  configuration.limits = WorkerLimits(memory: 2 << 30, cpuTime: .seconds(60))
  configuration.maxWorkerMemory = 1 << 40
  let pool = try ProcessPoolExecutor(maxWorkers: 1, configuration: configuration)
  defer { pool.shutdown() }
  func expectEnd<J: Job>(of job: J, _ code: WorkerPoolError.Code, _ options: TaskOptions? = nil) throws {
    try expectError(code, saying: "\(J.self)") { try pool.submit(job, options: options).result() }
    try expectEqual(try pool.submit(Square(number: 3)).result(), 9)
  }
  let bounded = TaskOptions(cpuTime: .seconds(50), memory: 1 << 30)
  let worker = try pool.submit(WorkerIdentifier(), options: bounded).result()
  try expectEqual(try pool.submit(WorkerIdentifier()).result(), worker)
  try expectEnd(of: Hoard(piece: 8 << 20), .memoryLimitExceeded)
  try expectEnd(of: Hoard(piece: 8 << 20), .memoryLimitExceeded, TaskOptions(memory: 1 << 30))
  let long = Spin(milliseconds: 600_000)
  try expectEnd(of: long, .cpuTimeExceeded, TaskOptions(cpuTime: .milliseconds(50)))
  try expectEnd(of: AwaitStop(), .taskTimedOut, TaskOptions(timeout: .milliseconds(1), gracePeriod: .seconds(60)))
  try expectEnd(of: long, .taskTimedOut, TaskOptions(timeout: .milliseconds(1), gracePeriod: .zero))
  try expectEnd(of: Trespass(way: .openFile), .forbiddenCall, TaskOptions(memory: 1 << 30))
  let again = try expectError(.forbiddenCall, saying: "2 workers have died of this task") {
    try pool.submit(Trespass(way: .socket), options: TaskOptions(retries: 1)).result()
  }
  try expectEqual(again.systemCall?.name, "socket")
  let trapped = try expectError(.workerDied) { try pool.submit(Die(way: .fatalError)).result() }
  try expect(trapped.message.contains("Fatal error: as asked"), trapped.message)

  configuration.maxTasksPerWorker = 1
  let fresh = try ProcessPoolExecutor(maxWorkers: 1, configuration: configuration)
  defer { fresh.shutdown() }
  let workers = try (0..<3).map { _ in try fresh.submit(WorkerIdentifier()) }.map { try $0.result() }
  try expectEqual(Set(workers).count, 3)
}

/// What a sandboxed task may not do, by the functions that a program would call.
package struct Trespass: Job, BitwiseWireCodable {
  package enum Way: UInt8, BitwiseWireCodable, CaseIterable {
    case openFile, readDirectory, environmentOfHost, socket, fork, spawn, exec
    case killHost, trace, writeToHost, raiseLimit, beNicer, mapFile, executableMemory, replaceHandler, terminal

    /// The system call that it comes down to, as far as it can be told: `posix_spawn` blocks signals first.
    var systemCall: String? {
      switch self {
      case .openFile, .readDirectory, .environmentOfHost: "openat"
      case .socket: "socket"
      case .fork: "clone"
      case .spawn: nil
      case .exec: "execve"
      case .killHost: "kill"
      case .trace: "ptrace"
      case .writeToHost: "process_vm_writev"
      case .raiseLimit: "prlimit64"
      case .beNicer: "setpriority"
      case .mapFile, .executableMemory: "mmap"
      case .replaceHandler: "rt_sigaction"
      case .terminal: "ioctl"
      }
    }
  }

  package var way: Way
  package init(way: Way) { self.way = way }

  package func run() -> Int {
    switch way {
    case .openFile: return Int(open("/etc/passwd", O_RDONLY))
    case .readDirectory: return (try? FileManager.default.contentsOfDirectory(atPath: "/").count) ?? 0
    case .environmentOfHost: return fopen("/proc/1/environ", "r") == nil ? 0 : 1
    case .socket: return Int(Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
    case .fork: return call("fork")
    case .spawn: return spawnTrue()
    case .exec: return Int(execv("/bin/true", [nil]))
    case .killHost: return Int(kill(1, SIGCONT))
    case .trace: return call("ptrace", 16, 1)  // PTRACE_ATTACH
    case .writeToHost: return call("process_vm_writev", 1)
    case .raiseLimit:
      var limit = rlimit(rlim_cur: 1 << 20, rlim_max: 1 << 20)
      return Int(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit))
    case .beNicer: return Int(setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 5))
    case .mapFile: return mmap(nil, 4096, PROT_READ, MAP_SHARED, 1, 0) == MAP_FAILED ? 0 : 1
    case .executableMemory:
      return mmap(nil, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? 0 : 1
    case .replaceHandler: return Glibc.signal(SIGSYS, SIG_IGN) == nil ? 0 : 1
    case .terminal:
      var byte: UInt8 = 10
      return Int(ioctl(0, UInt(TIOCSTI), &byte))
    }
  }

  private func spawnTrue() -> Int {
    var child: pid_t = 0
    return Int(posix_spawn(&child, "/bin/true", nil, nil, [nil], nil))
  }
}

/// What a sandboxed task may do. Returns its own number when it could.
package struct Compute: Job, BitwiseWireCodable {
  package enum Way: UInt8, BitwiseWireCodable, CaseIterable {
    case memory, threads, strings, generics, output, clocks, random, json, sorting, sleeping
  }

  package var way: Way
  package init(way: Way) { self.way = way }

  package func run() throws -> UInt8 {
    let done =
      switch way {
      case .memory: allocates()
      case .threads: startsThreads()
      case .strings: (0..<1000).map { "\($0) größer" }.joined().uppercased().hasSuffix("999 GRÖSSER")
      case .generics: "\(deepen(0, 20))".hasPrefix("Wrapped")
      case .output: writes()
      case .clocks: ContinuousClock().measure {} >= .zero && time(nil) > 0 && Date().timeIntervalSince1970 > 0
      case .random: Set((0..<100).map { _ in UInt64.random(in: 0 ... .max) }).count == 100
      case .json: try encodesAndDecodes()
      case .sorting: sorts()
      case .sleeping: usleep(1) == 0 && sched_yield() == 0
      }
    return done ? way.rawValue : .max
  }

  private func allocates() -> Bool {
    var block = malloc(1 << 20)
    for size in [64 << 20, 1 << 10, 128 << 20] {
      block = realloc(block, size)
      guard let block else { return false }
      memset(block, 1, size)
    }
    free(block)
    var table: [String: [Int]] = [:]
    for number in 0..<10_000 { table["\(number % 100)", default: []].append(number) }
    return table.values.allSatisfy { $0.count == 100 }
  }

  /// Large blocks that threads free are what makes glibc look into /proc, if each thread has an arena of its own.
  private func startsThreads() -> Bool {
    let sum = Mutex(0)
    let done = DispatchSemaphore(value: 0)
    for number in 1...4 {
      let thread = Thread {
        for size in [100, 10_000, 100_000, 50_000_000] {
          let blocks = (0..<20).map { _ in malloc(size / 20) }
          for case let block? in blocks { memset(block, 1, size / 20) }
          for block in blocks { free(block) }
        }
        sum.withLock { $0 += number }
        done.signal()
      }
      thread.start()
    }
    for _ in 1...4 { done.wait() }
    return sum.withLock { $0 } == 10
  }

  private func deepen(_ value: any Sendable, _ levels: Int) -> any Sendable {
    levels == 0 ? value : deepen(wrap(value), levels - 1)
  }

  private func wrap<Value: Sendable>(_ value: Value) -> any Sendable { Wrapped(value: value) }

  private func writes() -> Bool {
    FileHandle.standardError.write(Data())
    print("a sandboxed worker")
    return fflush(nil) == 0
  }

  private func encodesAndDecodes() throws -> Bool {
    let value = [["a": 1.5, "b": -2], ["größer": 3]]
    let bytes = try JSONEncoder().encode(value)
    return try JSONDecoder().decode([[String: Double]].self, from: bytes) == value
  }

  private func sorts() -> Bool {
    var numbers = (0..<100_000).map { Int32($0 * 7919 % 100_003) }
    qsort(&numbers, numbers.count, 4) { left, right in
      guard let left, let right else { return 0 }
      return left.load(as: Int32.self) - right.load(as: Int32.self)
    }
    return numbers == numbers.sorted()
  }
}

private struct Wrapped<Value: Sendable>: Sendable { var value: Value }

/// Calls a function that Swift does not import, or not under its name.
private func call(_ name: String, _ first: Int = 0, _ second: Int = 0) -> Int {
  typealias Function = @convention(c) (Int, Int, Int, Int, Int, Int) -> Int
  guard let symbol = dlsym(nil, name) else { return -1 }
  return unsafeBitCast(symbol, to: Function.self)(first, second, 0, 0, 0, 0)
}
