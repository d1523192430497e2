/// Elements in pages of their own, of which it is said, and can be asked, on which NUMA nodes they lie.
///
/// ```swift
/// let buffer = try PlacedBuffer<Double>(count: 1 << 24, placement: .nodes([1]))
/// let sums = try pool.map(ranges) { range in
///   buffer.withUnsafeBufferPointer { $0[range].reduce(0, +) }
/// }
/// ```
///
/// A value of this type is a reference: copies have the same elements. It belongs to this process; ``SharedArray`` is for
/// what worker processes are to see, too. The memory goes with the last reference.
///
/// - Important: A buffer may be used on any thread, and by tasks of a pool that capture it, but nothing orders their
///   accesses save the submission of a task, which comes after all that its submitter has done, and its result, which
///   comes after all that the task has done. While a task writes to an element, nobody else may access that element.
public struct PlacedBuffer<Element: BitwiseCopyable>: Sendable {
  private let memory: PlacedMemory
  /// The number of elements. Never changes.
  public let count: Int

  /// Makes a buffer of `count` elements.
  ///
  /// - Parameters:
  ///   - count: Not negative.
  ///   - placement: Where the pages are to lie.
  ///   - initialize: Gets the elements, whose bytes are all zero, and gives them their values. What it throws comes out.
  ///     Without it none is touched, so that with ``MemoryPlacement/firstTouch`` a page goes to the thread that first
  ///     writes there; nobody may read an element before, unless zeros make a value of its type.
  /// - Throws: `WorkerPoolError` with `.invalidArgument` for a node that cannot be had, which its message names, or no
  ///   node; with `.systemCall` when the system has no address space left.
  /// - Complexity: O(`count`) where `initialize` writes; pages that nobody has written to take no memory.
  public init(
    count: Int, placement: MemoryPlacement = .firstTouch,
    initializing initialize: (UnsafeMutableBufferPointer<Element>) throws -> Void = { _ in }
  ) throws {
    precondition(count >= 0, "a placed buffer has no \(count) elements")
    let (byteCount, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
    precondition(!overflow, "\(count) elements of \(Element.self) exceed the address space")
    self.count = count
    memory = try PlacedMemory(byteCount: byteCount, placement)
    try withUnsafeMutableBufferPointer(initialize)
  }

  /// Makes a buffer of `count` equal elements. As ``init(count:placement:initializing:)``.
  public init(repeating element: Element, count: Int, placement: MemoryPlacement = .firstTouch) throws {
    try self.init(count: count, placement: placement) { buffer in buffer.initialize(repeating: element) }
  }

  /// Makes a buffer with the elements of a collection. As ``init(count:placement:initializing:)``.
  public init(_ elements: some Collection<Element>, placement: MemoryPlacement = .firstTouch) throws {
    try self.init(count: elements.count, placement: placement) { buffer in
      _ = buffer.initialize(fromContentsOf: elements)
    }
  }

  /// Lends the elements for reading. The pointer, which is page aligned, is valid inside `body` only.
  public func withUnsafeBufferPointer<Result>(
    _ body: (UnsafeBufferPointer<Element>) throws -> Result
  ) rethrows -> Result {
    try withExtendedLifetime(memory) { memory in
      try body(UnsafeBufferPointer(start: memory.address.assumingMemoryBound(to: Element.self), count: count))
    }
  }

  /// Lends the elements for writing. The pointer, which is page aligned, is valid inside `body` only.
  public func withUnsafeMutableBufferPointer<Result>(
    _ body: (UnsafeMutableBufferPointer<Element>) throws -> Result
  ) rethrows -> Result {
    try withExtendedLifetime(memory) { memory in
      try body(UnsafeMutableBufferPointer(start: memory.address.assumingMemoryBound(to: Element.self), count: count))
    }
  }

  /// The node that holds each page, in the order of the elements; nil for a page that nobody has written to.
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

extension PlacedBuffer: RandomAccessCollection {
  public var startIndex: Int { 0 }
  public var endIndex: Int { count }

  /// One element. O(1).
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
