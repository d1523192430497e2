/// A function that workers of a ``ProcessPoolExecutor`` can run, with everything that it captures.
///
/// Functions cannot be sent to another process; a fork inherits them. So a handle has to be made *before* the
/// pool, and the pool has to be forked, which happens when it is made while the program has a single thread:
/// first thing in `main`. A pool refuses other handles when they are submitted. Where that cannot be arranged,
/// use a ``Job``.
///
/// ```swift
/// let table = loadTable()  // inherited by all workers, copied by none until written to
/// let lookUp = FunctionHandle { (key: String) in table[key] ?? 0 }
/// let pool = try ProcessPoolExecutor(maxWorkers: 4)
/// let values = try pool.map(lookUp, keys)
/// ```
///
/// Workers have a copy of the program's memory and nothing else of it: no threads, and no open files but the three
/// standard streams.
///
/// Handles are entries of a table that only grows, and never freed: make them once, as globals or at the start,
/// and not in a loop. A lazy global has to be touched before the pool is made.
public struct FunctionHandle<Input: WireCodable & Sendable, Output: WireCodable & Sendable>: Sendable {
  /// What error messages call the function.
  public let name: String
  private let body: @Sendable (Input) throws -> Output
  let index: UInt32

  /// Registers a function. O(1), thread-safe.
  ///
  /// - Parameters:
  ///   - name: For error messages.
  ///   - body: Runs in a worker, on its only thread. What it captures is as it was when the pool was made.
  public init(_ name: String, _ body: @escaping @Sendable (Input) throws -> Output) {
    self.name = name
    self.body = body
    index = FunctionTable.add(name) { task, isChunk, encoder in
      if isChunk {
        try task.run([Input].self, &encoder) { inputs in try WorkerTask.each(inputs, body) }
      } else {
        try task.run(Input.self, &encoder, body)
      }
    }
  }

  /// Registers a function that error messages call by the place of this call.
  public init(fileID: String = #fileID, line: Int = #line, _ body: @escaping @Sendable (Input) throws -> Output) {
    self.init("at \(fileID):\(line)", body)
  }

  /// Runs the function here and now, in this process.
  public func callAsFunction(_ input: Input) throws -> Output { try body(input) }
}

extension FunctionHandle where Output == NoValue {
  /// Registers a function that returns nothing.
  public init(_ name: String, _ body: @escaping @Sendable (Input) throws -> Void) {
    self.init(name) { input in
      try body(input)
      return NoValue()
    }
  }

  /// Registers a function that returns nothing, called by the place of this call in error messages.
  public init(fileID: String = #fileID, line: Int = #line, _ body: @escaping @Sendable (Input) throws -> Void) {
    self.init("at \(fileID):\(line)", body)
  }
}

/// All handles of this program, in the order in which they were made. A forked worker has a copy, in which the same
/// index means the same function as long as the entry was there at the time of the fork.
enum FunctionTable {
  /// Reads the input of a task, runs it and appends its output.
  typealias Entry =
    @Sendable (
      _ task: borrowing WorkerTask, _ isChunk: Bool, _ encoder: inout WireEncoder
    ) throws -> Void

  struct Function: Sendable {
    /// Of its handle, for errors.
    var name: String
    var run: Entry
  }

  private static let functions = Locked<[Function]>([])

  static func add(_ name: String, _ run: @escaping Entry) -> UInt32 {
    functions.withLock { functions in
      functions.append(Function(name: name, run: run))
      return UInt32(functions.count - 1)
    }
  }

  static var count: Int { functions.withLock { $0.count } }

  static func function(at index: Int) -> Function? {
    functions.withLock { functions in functions.indices.contains(index) ? functions[index] : nil }
  }
}
