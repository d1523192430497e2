import Foundation
import WorkerPool

/// A limit that cgroups keep up as well, where they may be made; what could be run is said on standard error.
func runMemoryCgroup(_ method: ProcessPoolExecutor.StartMethod) throws {
  let limit = 512 << 20
  var configuration = ProcessPoolExecutor.Configuration()
  configuration.limits.memoryCgroup = .required
  func withPool(_ body: (ProcessPoolExecutor) throws -> Void) throws {
    let pool = try ProcessPoolExecutor(
      maxWorkers: 2, startMethod: reexecUnlessSingleThreaded(method), configuration: configuration)
    defer { pool.shutdown() }
    try body(pool)
  }
  try expectError(.invalidArgument, saying: "limits.memoryCgroup is .required; that needs limits.memory") {
    try withPool { _ in }
  }
  configuration.limits.memoryCgroup = .automatic
  try withPool { try expectEqual($0.memoryLimitKind, nil) }
  guard try privateMemory() < limit else {  // a sanitizer's shadow memory
    return say("the program has more private memory than the limit: ran the refusal")
  }
  configuration.limits.memory = limit
  configuration.limits.memoryCgroup = .never
  try withPool { pool in
    try expectEqual(pool.memoryLimitKind, .privateMemory)
    try expectEqual(try pool.submit(TouchShared(byteCount: limit + limit / 8)).result(), limit + limit / 8)
  }
  configuration.limits.memoryCgroup = .automatic
  try withPool { pool in
    if pool.memoryLimitKind == .cgroup { return try passCgroup(pool, limit) }
    try expectEqual(pool.memoryLimitKind, .privateMemory)
    try expectEqual(try pool.submit(TouchShared(byteCount: limit + limit / 8)).result(), limit + limit / 8)
    say("no cgroup may be made here: ran RLIMIT_DATA alone")
  }
}

private func passCgroup(_ pool: ProcessPoolExecutor, _ limit: Int) throws {
  for _ in 0..<3 {
    let error = try expectError(.memoryLimitExceeded, saying: "the memory limit of \(limit) bytes") {
      try pool.submit(TouchShared(byteCount: 2 * limit)).result()
    }
    guard let exit = error.workerExit else { throw Unmet("no account of the worker") }
    try expectEqual(exit.reason, .signal(SIGKILL))
    try expect(exit.peakMemory > limit / 2 && exit.peakMemory < limit + limit / 4, "peak of \(exit.peakMemory) bytes")
  }
  try expectEqual(try pool.submit(TouchShared(byteCount: limit / 2)).result(), limit / 2)
  try expectError(.workerDied) { try pool.submit(Die(way: .kill)).result() }
  try expectEqual(try pool.map((0..<100).map { Square(number: $0) }), (0..<100).map { $0 * $0 })
  say("ran RLIMIT_DATA and cgroups")
}

private func say(_ words: String) {
  FileHandle.standardError.write(Data("memoryCgroup: \(words)\n".utf8))
}
