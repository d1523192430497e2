/// What a task's 32-bit code says: which function, and on one input or on an array of them.
@usableFromInline
struct TaskCode {
  static let maximumIndex = UInt32(1) << 30 - 1

  enum Kind { case job, function }

  var kind: Kind
  var isChunk: Bool
  /// Of the interned type name, or in the table of functions.
  var index: UInt32

  init(_ kind: Kind, index: UInt32, isChunk: Bool) {
    self.kind = kind
    self.index = index
    self.isChunk = isChunk
  }

  init(rawValue: UInt32) {
    kind = rawValue >> 31 == 0 ? .job : .function
    isChunk = rawValue >> 30 & 1 == 1
    index = rawValue & Self.maximumIndex
  }

  var rawValue: UInt32 {
    (kind == .job ? 0 : 1 << 31) | (isChunk ? 1 << 30 : 0) | index
  }
}

/// A task in its worker: bytes in, bytes out.
struct WorkerTask: ~Copyable {
  let bytes: UnsafeRawBufferPointer
  /// Finds what the bytes refer to.
  let memory: any WireMemory
  /// What the task is called in errors.
  let name: TaskLabel

  /// Reads the input, runs `body` on it and appends the output.
  func run<Input: WireCodable, Output: WireCodable>(
    _ type: Input.Type, _ encoder: inout WireEncoder, _ body: (Input) throws -> Output
  ) throws {
    let input = try explaining("the input of \(name)") { try WireDecoder.read(type, from: bytes, memory: memory) }
    let output = try body(input)
    try explaining("the result of \(name)") { try encoder.encode(output) }
  }

  /// Runs the parts of a chunk, unless the chunk is asked to stop.
  static func each<Input, Output>(_ inputs: [Input], _ body: (Input) throws -> Output) throws -> [Output] {
    try inputs.map { input in
      try TaskContext.checkStop()
      return try body(input)
    }
  }

  /// Runs a job, or an array of them.
  func run<J: Job>(_ type: J.Type, isChunk: Bool, _ encoder: inout WireEncoder) throws {
    if isChunk {
      try run([J].self, &encoder) { jobs in try Self.each(jobs) { try $0.run() } }
    } else {
      try run(J.self, &encoder) { try $0.run() }
    }
  }
}

/// Says in a coding error which value it is about. Other errors pass.
@inlinable
func explaining<Result>(_ value: @autoclosure () -> String, _ body: () throws -> Result) throws -> Result {
  do {
    return try body()
  } catch var error as WorkerPoolError where error.code == .coding {
    error.message = "\(value()): \(error.message)"
    throw error
  }
}
