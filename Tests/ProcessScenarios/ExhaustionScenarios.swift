import Glibc
import WorkerPool

// What does not fit: errors into a pool's payloads, pools into an address space.

private struct LongError: Error, CustomStringConvertible {
  var length: Int
  var description: String { "it began " + String(repeating: "x", count: length) }
}

struct FailAtLength: Job, BitwiseWireCodable {
  var length: Int
  var isWire = false

  func run() throws -> Int {
    if isWire { throw LengthyError(length: length) }
    throw LongError(length: length)
  }
}

struct LengthyError: Error, WireCodable, Equatable {
  var text: String
  init(length: Int) { text = String(repeating: "y", count: length) }
  func encode(into encoder: inout WireEncoder) throws { try encoder.encode(text) }
  init(decoding decoder: inout WireDecoder) throws { text = try decoder.decode() }
}

func runLongErrors(_ method: ProcessPoolExecutor.StartMethod) throws {
  let limit = 64 << 10
  do {
    let pool = try ProcessPoolExecutor(maxWorkers: 1, startMethod: method, maxPayload: limit)
    defer { pool.shutdown() }
    for length in [limit - 1000, limit, 2 << 20] {
      let error = try expectThrown(RemoteError.self) { try pool.submit(FailAtLength(length: length)).result() }
      try expect(error.typeName.contains("LongError"), error.typeName)
      try expect(error.description.hasPrefix("it began xxx"), "\(error.description.prefix(40))")
      try expect(error.description.utf8.count > limit - 2000, "\(error.description.utf8.count) bytes")
    }
    // Half of the limit and more: the text beside the error itself is not what makes it too large.
    let whole = FailAtLength(length: limit - 8000, isWire: true)
    let error = try expectThrown(LengthyError.self) { try pool.submit(whole).result() }
    try expectEqual(error, LengthyError(length: limit - 8000))
    let cut = try expectThrown(RemoteError.self) { try pool.submit(FailAtLength(length: limit, isWire: true)).result() }
    try expect(cut.typeName.contains("LengthyError"), cut.typeName)
    try expectEqual(try pool.submit(Square(number: 3)).result(), 9)
  }
  var configuration = ProcessPoolExecutor.Configuration()
  configuration.initializer = .job(FailAtLength(length: 2 << 20))
  try expectError(.brokenPool, saying: "it began xxx") {
    try ProcessPoolExecutor(maxWorkers: 1, startMethod: later(method), configuration: configuration)
  }
}

func runAddressSpace(_ method: ProcessPoolExecutor.StartMethod) throws {
  guard try privateMemory() < 1 << 40 else { return }  // a sanitizer's shadow memory
  var before = rlimit()
  getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &before)
  var limit = before
  defer { setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &before) }
  limit.rlim_cur = 8 << 30
  setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit)
  try withProcessPoolExecutor(maxWorkers: 2, startMethod: method) { pool in
    try expectEqual(try pool.map((0..<100).map { Square(number: $0) }), (0..<100).map { $0 * $0 })
    try expectError(.systemCall, saying: "three payloads of the largest size") { try pool.resize(maxWorkers: 16) }
  }
  try expectError(.systemCall, saying: "maxPayload is \(8 << 30): mmap(payload buffers) failed: ") {
    try ProcessPoolExecutor(maxWorkers: 1, startMethod: later(method), maxPayload: 8 << 30)
  }
}
