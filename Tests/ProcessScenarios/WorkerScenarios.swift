import Foundation
import Synchronization
import WorkerPool
import WorkerPoolFoundation

// What workers print, when they are replaced, and what they run first.

func runOutput(_ method: ProcessPoolExecutor.StartMethod) throws {
  var configuration = ProcessPoolExecutor.Configuration()
  configuration.standardOutput = .capture(limit: 100, echo: false)
  configuration.standardError = .capture(limit: 1 << 20, echo: false)
  let pool = try ProcessPoolExecutor(maxWorkers: 2, startMethod: method, configuration: configuration)
  defer { pool.shutdown() }
  // Many times what a pipe holds.
  let lines = (0..<50_000).map { "line \($0)\n" }.joined()
  let worker = try pool.submit(Print(descriptor: STDOUT_FILENO, count: 50_000)).result()
  try awaitOutput(String(lines.suffix(100)), from: worker, .standardOutput, in: pool)
  let other = try pool.submit(Print(descriptor: STDERR_FILENO, count: 50_000)).result()
  try awaitOutput(lines, from: other, .standardError, in: pool)
  try expectEqual(pool.capturedOutput(of: 1), "")
  let error = try expectError(.workerDied) { try pool.submit(Complain(words: "\u{1F600} farewell")).result() }
  try expect(error.workerExit?.standardError.hasSuffix("\u{1F600} farewell") == true, error.message)

  configuration.standardOutput = .discard
  configuration.standardError = .discard
  let silent = try ProcessPoolExecutor(
    maxWorkers: 1, startMethod: reexecUnlessSingleThreaded(method), configuration: configuration)
  defer { silent.shutdown() }
  let quiet = try silent.submit(Print(descriptor: STDERR_FILENO, count: 50_000)).result()
  try expectEqual(silent.capturedOutput(of: quiet), "")
  let unsaid = try expectError(.workerDied) { try silent.submit(Complain(words: "unheard")).result() }
  try expectEqual(unsaid.workerExit?.standardError, "")
}

/// Waits until a worker's output has gone through the template.
private func awaitOutput(
  _ expected: String, from worker: Int32, _ stream: WorkerStream, in pool: ProcessPoolExecutor
) throws {
  let deadline = ContinuousClock.now + .seconds(60)
  while pool.capturedOutput(of: worker, stream) != expected {
    if ContinuousClock.now > deadline { throw Unmet("found \(pool.capturedOutput(of: worker, stream).suffix(200))") }
    sched_yield()
  }
}

/// A second pool of a program cannot be forked: the first has threads.
func reexecUnlessSingleThreaded(
  _ method: ProcessPoolExecutor.StartMethod
) -> ProcessPoolExecutor.StartMethod { method == .fork ? .automatic : method }

func runRecycling(_ method: ProcessPoolExecutor.StartMethod) throws {
  var configuration = ProcessPoolExecutor.Configuration()
  configuration.maxTasksPerWorker = 3
  let pool = try ProcessPoolExecutor(maxWorkers: 1, startMethod: method, configuration: configuration)
  let workers = try (0..<30).map { _ in try pool.submit(WorkerIdentifier()) }.map { try $0.result() }
  let counts = Dictionary(workers.map { ($0, 1) }, uniquingKeysWith: +)
  try expectEqual(counts.values.sorted(), Array(repeating: 3, count: 10))
  pool.shutdown()

  configuration.maxTasksPerWorker = nil
  configuration.maxWorkerMemory = 1
  let small = try ProcessPoolExecutor(
    maxWorkers: 1, startMethod: reexecUnlessSingleThreaded(method), configuration: configuration)
  defer { small.shutdown() }
  let others = try (0..<10).map { _ in try small.submit(WorkerIdentifier()) }.map { try $0.result() }
  try expectEqual(Set(others).count, 10)
}

// MARK: - Initializers

func runInitializer(_ method: ProcessPoolExecutor.StartMethod) throws {
  var configuration = ProcessPoolExecutor.Configuration()
  configuration.initializer = .job(Prepare(number: 7))
  let pool = try ProcessPoolExecutor(maxWorkers: 2, startMethod: method, configuration: configuration)
  defer { pool.shutdown() }
  try expectEqual(try pool.map((0..<100).map { _ in Prepared() }, chunkSize: 1), Array(repeating: 7, count: 100))
  try expectError(.workerDied) { try pool.submit(Die(way: .kill)).result() }
  try expectEqual(try pool.submit(Prepared()).result(), 7)
  try expectEqual(try pool.submit(Prepare(number: 3)).result(), 3)
}

func runInitializerFunction(_ method: ProcessPoolExecutor.StartMethod) throws {
  let seed = Mutable(0)
  let prepare = FunctionHandle("prepare") { (number: Int) -> Void in seed.value = number }
  let look = FunctionHandle("look") { (_: NoValue) in seed.value }
  var configuration = ProcessPoolExecutor.Configuration()
  configuration.initializer = .function(prepare, 11)
  if method != .fork {
    try expectError(.unsupported, saying: "the initializer function prepare cannot run") {
      try ProcessPoolExecutor(maxWorkers: 1, startMethod: method, configuration: configuration)
    }
    return
  }
  let pool = try ProcessPoolExecutor(maxWorkers: 2, startMethod: .automatic, configuration: configuration)
  defer { pool.shutdown() }
  try expectEqual(
    try pool.map(look, Array(repeating: NoValue(), count: 50), chunkSize: 1), Array(repeating: 11, count: 50))
  try expectEqual(seed.value, 0)
}

/// What a worker changes is its own.
private final class Mutable: @unchecked Sendable {
  var value: Int
  init(_ value: Int) { self.value = value }
}

func runInitializerFailures(_ method: ProcessPoolExecutor.StartMethod) throws {
  func refused(_ initializer: WorkerInitializer, saying part: String) throws -> WorkerPoolError {
    var configuration = ProcessPoolExecutor.Configuration()
    configuration.initializer = initializer
    return try expectError(.brokenPool, saying: part) {
      try ProcessPoolExecutor(maxWorkers: 2, startMethod: later(method), configuration: configuration)
    }
  }
  let thrown = try refused(.job(Fail(kind: .plain)), saying: "the initializer Fail failed in worker ")
  try expect(thrown.message.hasSuffix("plain as can be"), thrown.message)
  let trapped = try refused(.job(Die(way: .fatalError)), saying: "while it ran the initializer Die")
  try expect(trapped.message.contains("Fatal error: as asked"), trapped.message)
  try expect(trapped.workerExit.map { Die.Way.fatalError.canEnd(with: $0.reason) } == true, "\(trapped)")
  try expectEqual(try refused(.job(Die(way: .exitThree)), saying: "status 3").workerExit?.reason, .exit(status: 3))

  // One that goes on failing breaks the pool: what waits is told, and so is who comes after that.
  let directory = try Gate()
  defer { directory.remove() }
  let path = "\(directory.directory)/begun.failed"
  var configuration = ProcessPoolExecutor.Configuration()
  configuration.initializer = .job(Hesitate(path: path))
  configuration.outageLimit = .milliseconds(200)
  let told = Mutex<WorkerPoolError?>(nil)
  configuration.onBreak = { error in told.withLock { $0 = error } }
  let pool = try ProcessPoolExecutor(maxWorkers: 1, startMethod: later(method), configuration: configuration)
  defer { pool.shutdown() }
  let held = try pool.submit(directory.job)
  let waiting = try (0..<3).map { try pool.submit(Square(number: $0)) }
  let worker = try directory.waitUntilHeld()
  try expect(FileManager.default.createFile(atPath: path, contents: nil))
  kill(worker, SIGKILL)
  try expectError(.workerDied) { try held.result() }
  for future in waiting { try expectError(.brokenPool, saying: "CodeError") { try future.result() } }
  try expectError(.brokenPool, saying: "the initializer Hesitate failed") { try pool.submit(Square(number: 1)) }
  try expect(pool.isBroken)
  while told.withLock({ $0 == nil }) { sched_yield() }
  try expect(told.withLock { $0?.message.contains("the initializer Hesitate failed") == true })
}
