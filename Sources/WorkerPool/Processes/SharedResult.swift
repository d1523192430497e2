/// A large result that a worker process writes where the program reads it, so that nobody copies it.
///
/// ```swift
/// struct Render: Job, BitwiseWireCodable {
///   var width: Int, height: Int
///   func run() -> SharedResult<Float> {
///     SharedResult(count: width * height) { pixels in … }
///   }
/// }
///
/// let image = try pool.submit(Render(width: 1920, height: 1080)).result()
/// image.withUnsafeBufferPointer { pixels in … }
/// ```
///
/// The program's value keeps a part of the pool's memory lent, as long as there is a copy of it, a future that holds it
/// included; it outlives the worker and the pool. Up to eight results of one worker are lent at a time; more than that
/// are copied when they arrive, and so are results under 4 KiB. Keep what you want to have for long as an `Array`.
///
/// - Important: The worker, and a worker that takes its place, can still write to lent memory. A task that runs wild can
///   so change a result that was delivered, while you look at it: an element may be another one at the second look. If
///   that matters, copy it first: `Array(result)`. (A result that nobody can change any more would need memory of its
///   own, whose fresh pages cost several times as much as the copy.)
///
/// In its worker, a result belongs to the task that made it: it may be read and returned, and not used after the task.
/// Outside of worker processes it is a plain array.
public struct SharedResult<Element: BitwiseCopyable>: Sendable {
  private let memory: SharedMemory
  /// The number of elements. Never changes.
  public let count: Int

  /// Makes a result.
  ///
  /// - Parameters:
  ///   - count: Not negative.
  ///   - initialize: Gives all elements their values; what they hold before is left from earlier tasks. What it throws
  ///     comes out.
  /// - Complexity: O(1) and what `initialize` does. A result over the pool's `maxPayload` fails its task with both sizes.
  public init(
    count: Int, _ initialize: (UnsafeMutableBufferPointer<Element>) throws -> Void
  ) rethrows {
    precondition(count >= 0, "a result has no \(count) elements")
    let (byteCount, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
    precondition(!overflow, "\(count) elements of \(Element.self) exceed the address space")
    self.count = count
    memory = SharedMemory.forResult(byteCount: byteCount, alignment: MemoryLayout<Element>.alignment)
    let start = memory.address.assumingMemoryBound(to: Element.self)
    try initialize(UnsafeMutableBufferPointer(start: start, count: count))
  }

  /// Lends the elements. The pointer is valid inside `body` only.
  public func withUnsafeBufferPointer<Result>(
    _ body: (UnsafeBufferPointer<Element>) throws -> Result
  ) rethrows -> Result {
    precondition(memory.isCurrent, "a SharedResult belongs to the task that made it")
    return try withExtendedLifetime(memory) { memory in
      try body(UnsafeBufferPointer(start: memory.address.assumingMemoryBound(to: Element.self), count: count))
    }
  }
}

extension SharedResult: RandomAccessCollection {
  public var startIndex: Int { 0 }
  public var endIndex: Int { count }

  /// One element. O(1).
  public subscript(index: Int) -> Element {
    precondition(index >= 0 && index < count, "index \(index) is not in 0..<\(count)")
    return withUnsafeBufferPointer { $0[index] }
  }

  public func withContiguousStorageIfAvailable<Result>(
    _ body: (UnsafeBufferPointer<Element>) throws -> Result
  ) rethrows -> Result? {
    try withUnsafeBufferPointer(body)
  }
}

extension SharedResult: WireCodable {
  /// Appends where the elements stand if that is in the result of the task that runs now, else the elements.
  public func encode(into encoder: inout WireEncoder) throws {
    encoder.append(bytesOf: count)
    let offset = memory.blockOffset
    try encoder.encode(offset != nil)
    if let offset {
      encoder.append(bytesOf: offset)
    } else {
      withUnsafeBufferPointer { encoder.append(UnsafeRawBufferPointer($0)) }
    }
  }

  public init(decoding decoder: inout WireDecoder) throws {
    let (count, byteCount) = try decoder.decodeCount(of: Element.self)
    self.count = count
    if try decoder.decode(Bool.self) {
      memory = try decoder.decodeBlock(byteCount: byteCount)
    } else {
      let bytes = try decoder.readBytes(count: byteCount, for: Self.self)
      memory = SharedMemory.onHeap(byteCount: byteCount, alignment: MemoryLayout<Element>.alignment)
      if let start = bytes.baseAddress { memory.address.copyMemory(from: start, byteCount: byteCount) }
    }
  }
}
