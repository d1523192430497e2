/// An array that a program and its worker processes have in common: allocated once, and copied for nobody.
///
/// ```swift
/// struct RowSum: Job {
///   var matrix: SharedArray<Double>
///   var row: Range<Int>
///   func encode(into encoder: inout WireEncoder) throws { try encoder.encode(matrix, row.lowerBound, row.upperBound) }
///   init(decoding decoder: inout WireDecoder) throws { … }
///   func run() -> Double { matrix[row].reduce(0, +) }
/// }
///
/// let matrix = try SharedArray(elements)
/// let sums = try pool.map(rows.map { RowSum(matrix: matrix, row: $0) })
/// ```
///
/// A value of this type is a reference: copies have the same elements. As a part of a job, or of a function handle's
/// input, it travels as a number, and the worker that runs the task maps the memory, once. No other worker can see it,
/// and it has no name by which another program could. A job may return an array that it was given. A forked worker does
/// not inherit arrays: one that a function handle captures cannot be used in it, so pass it as input.
///
/// What workers may do is fixed when the array is made. With ``WorkerAccess/readOnly`` the kernel refuses every
/// attempt of a worker to write: a task that does it ends its worker. With ``WorkerAccess/readWrite``, whatever a
/// worker writes is there for all, also when its task fails later.
///
/// The memory goes when the last reference in the program does, which a task holds until it has ended; workers without a
/// task drop it at once, busy ones when their task ends. Costs one descriptor. It counts as shared memory, not as the
/// private memory of a worker. Where it lies is the array's ``MemoryPlacement``, for all who use it: unless told
/// otherwise, where the thread runs that first writes to a page, be it of the program or of a worker.
///
/// - Important: Nothing orders accesses by different threads and processes but the submission of a task, which comes
///   after all that its submitter has done, and its result, which comes after all that the task has done. While a
///   task that writes to an element runs, nobody else may access that element.
public struct SharedArray<Element: BitwiseCopyable>: Sendable {
  /// What worker processes may do with the elements.
  public enum WorkerAccess: Hashable, Sendable {
    case readOnly
    case readWrite
  }

  private let memory: SharedMemory
  /// The number of elements. Never changes.
  public let count: Int

  /// Makes an array of `count` elements.
  ///
  /// - Parameters:
  ///   - count: Not negative.
  ///   - access: What workers may do.
  ///   - placement: Where the pages are to lie. Interleaving is for `initialize` to make good: where shared memory comes
  ///     in huge pages unasked, pages that workers are the first to touch may not be interleaved.
  ///   - initialize: Gets the elements, whose bytes are all zero, and gives them their values. What it throws comes out.
  /// - Throws: `WorkerPoolError` with `.systemCall` when the system has no memory, no descriptor or no address space left;
  ///   with `.invalidArgument` for a node that cannot be had, which its message names, or no node.
  /// - Complexity: O(`count`) where `initialize` writes; pages that nobody has written to take no memory.
  public init(
    count: Int, workers access: WorkerAccess = .readOnly, placement: MemoryPlacement = .firstTouch,
    initializing initialize: (UnsafeMutableBufferPointer<Element>) throws -> Void
  ) throws {
    precondition(count >= 0, "a shared array has no \(count) elements")
    let (byteCount, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
    precondition(!overflow, "\(count) elements of \(Element.self) exceed the address space")
    self.count = count
    memory = try SharedMemory.shared(
      byteCount: byteCount, writableByWorkers: access == .readWrite, placement: placement)
    try withUnsafeMutableBufferPointer(initialize)
  }

  /// Makes an array of `count` equal elements. As ``init(count:workers:placement:initializing:)``.
  public init(
    repeating element: Element, count: Int, workers access: WorkerAccess = .readOnly,
    placement: MemoryPlacement = .firstTouch
  ) throws {
    try self.init(count: count, workers: access, placement: placement) { buffer in
      buffer.initialize(repeating: element)
    }
  }

  /// Makes an array with the elements of a collection. As ``init(count:workers:placement:initializing:)``.
  public init(
    _ elements: some Collection<Element>, workers access: WorkerAccess = .readOnly,
    placement: MemoryPlacement = .firstTouch
  ) throws {
    try self.init(count: elements.count, workers: access, placement: placement) { buffer in
      _ = buffer.initialize(fromContentsOf: elements)
    }
  }

  /// Whether this process may write to the elements: always in the one that made the array.
  public var isWritable: Bool { memory.isWritable }

  /// Lends the elements for reading. The pointer is valid inside `body` only.
  public func withUnsafeBufferPointer<Result>(
    _ body: (UnsafeBufferPointer<Element>) throws -> Result
  ) rethrows -> Result {
    try withExtendedLifetime(memory) { memory in
      try body(UnsafeBufferPointer(start: memory.address.assumingMemoryBound(to: Element.self), count: count))
    }
  }

  /// Lends the elements for writing. The pointer is valid inside `body` only. The array has to be writable here.
  public func withUnsafeMutableBufferPointer<Result>(
    _ body: (UnsafeMutableBufferPointer<Element>) throws -> Result
  ) rethrows -> Result {
    precondition(memory.isWritable, "this shared array is read-only in worker processes")
    return try withExtendedLifetime(memory) { memory in
      try body(UnsafeMutableBufferPointer(start: memory.address.assumingMemoryBound(to: Element.self), count: count))
    }
  }
}

extension SharedArray {
  /// The node that holds each page, in the order of the elements; nil for a page that nobody has written to. In the
  /// program and in workers.
  ///
  /// Asks the kernel. The answer can be old when it arrives, since a system that balances its nodes moves pages.
  ///
  /// - Throws: `WorkerPoolError` with `.systemCall` where the system does not let this be asked.
  /// - Complexity: O(pages).
  public func nodeOfEachPage() throws -> [Int?] {
    try withExtendedLifetime(memory) { memory in
      try pageNodes(of: memory.address, byteCount: count * MemoryLayout<Element>.stride)
    }
  }
}

extension SharedArray: RandomAccessCollection {
  public var startIndex: Int { 0 }
  public var endIndex: Int { count }

  /// One element. Setting it needs an array that is writable here. O(1).
  public subscript(index: Int) -> Element {
    get {
      precondition(index >= 0 && index < count, "index \(index) is not in 0..<\(count)")
      return withUnsafeBufferPointer { $0[index] }
    }
    nonmutating set {
      precondition(index >= 0 && index < count, "index \(index) is not in 0..<\(count)")
      withUnsafeMutableBufferPointer { $0[index] = newValue }
    }
  }

  public func withContiguousStorageIfAvailable<Result>(
    _ body: (UnsafeBufferPointer<Element>) throws -> Result
  ) rethrows -> Result? {
    try withUnsafeBufferPointer(body)
  }
}

extension SharedArray: WireCodable {
  /// Appends the array's number; its memory travels beside the task's bytes. Throws `WorkerPoolError` with
  /// `.invalidArgument` for the 65th array of one task.
  public func encode(into encoder: inout WireEncoder) throws {
    encoder.append(bytesOf: count)
    try encoder.encode(memory)
  }

  public init(decoding decoder: inout WireDecoder) throws {
    let (count, byteCount) = try decoder.decodeCount(of: Element.self)
    self.count = count
    memory = try decoder.decodeSharedMemory(byteCount: byteCount)
  }
}
