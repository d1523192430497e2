import WorkerPool

/// Uses a pool inside a worker. The inner pool's jobs and shared arrays are others than those with the same numbers outside.
struct Nest: Job {
  var method: ProcessPoolExecutor.StartMethod
  var given: SharedArray<Int>

  init(method: ProcessPoolExecutor.StartMethod, given: SharedArray<Int>) {
    self.method = method
    self.given = given
  }

  func encode(into encoder: inout WireEncoder) throws { try encoder.encode(method == .fork ? 1 : 2, given) }

  init(decoding decoder: inout WireDecoder) throws {
    method = try decoder.decode(Int.self) == 1 ? .fork : .reexec
    given = try decoder.decode()
  }

  func run() throws -> [Int] {
    var configuration = ProcessPoolExecutor.Configuration()
    configuration.initializer = .job(RefuseOuterTask())
    let pool = try ProcessPoolExecutor(maxWorkers: 2, startMethod: later(method), configuration: configuration)
    defer { pool.shutdown() }
    let squares = try pool.map((0..<20).map { Square(number: $0) })
    try expectEqual(squares, (0..<20).map { $0 * $0 })
    // More than the outer pool's cells.
    for round in 0..<40 {
      let array = try SharedArray([round, 2, 3])
      try expectEqual(try sum(pool, UseArray(.sum, array)), round + 5)
    }
    // What was given to the outer task goes no further, and is not taken for something else.
    try expectError(.coding, saying: "was not given to this process") {
      try pool.submit(UseArray(.sum, given)).result()
    }
    try expectError(.workerDied) { try pool.submit(Die(way: .kill)).result() }
    return squares
  }
}

/// The first job of the inner pool, as ``Nest`` is of the outer one.
struct RefuseOuterTask: Job, BitwiseWireCodable {
  func run() throws -> Int {
    guard TaskContext.current == nil else { throw CodeError(code: 9) }
    return 0
  }
}

func runNested(_ method: ProcessPoolExecutor.StartMethod) throws {
  let pool = try ProcessPoolExecutor(maxWorkers: 1, startMethod: method)
  defer { pool.shutdown() }
  let given = try SharedArray(0..<10)
  for inner in [ProcessPoolExecutor.StartMethod.fork, .reexec] {
    try expectEqual(try pool.submit(Nest(method: inner, given: given)).result().last, 361)
    try expectEqual(try sum(pool, UseArray(.sum, given)), 45)
  }
}
