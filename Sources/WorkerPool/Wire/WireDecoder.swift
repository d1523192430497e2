/// Reads values from bytes that somebody else wrote, and trusts none of them.
///
/// Every read is checked against the end of the input; a failure is a ``WorkerPoolError`` with the code `.coding` that
/// names the byte offset and what was expected there. The types of the standard library are read in time and memory that
/// their number of bytes bounds, and values nest ``WireEncoder/maximumDepth`` deep at most. Valid only inside
/// ``read(_:from:)``, which is why it cannot be made or copied elsewhere.
public struct WireDecoder: ~Copyable {
  @usableFromInline let bytes: UnsafeRawBufferPointer
  @usableFromInline var position = 0
  @usableFromInline var depth = 0
  private var costs = ReadingCosts()
  /// Finds what the bytes refer to.
  @usableFromInline let memory: (any WireMemory)?

  @inlinable
  init(_ bytes: UnsafeRawBufferPointer, _ memory: (any WireMemory)?) {
    self.bytes = bytes
    self.memory = memory
  }

  /// Bytes read so far.
  @inlinable
  public var offset: Int { position }

  /// Bytes that are left.
  @inlinable
  public var remaining: Int { bytes.count - position }

  /// Reads one value, which has to take up all of `bytes`.
  public static func read<Value: WireCodable>(_ type: Value.Type, from bytes: UnsafeRawBufferPointer) throws -> Value {
    try read(type, from: bytes, memory: nil)
  }

  @inlinable
  static func read<Value: WireCodable>(
    _ type: Value.Type, from bytes: UnsafeRawBufferPointer, memory: (any WireMemory)?
  ) throws -> Value {
    try reading(from: bytes, memory: memory) { decoder in try decoder.decode(type) }
  }

  /// Lends a decoder over `bytes` to `body`, which has to read all of them.
  @inlinable
  static func reading<Result>(
    from bytes: UnsafeRawBufferPointer, memory: (any WireMemory)? = nil, _ body: (inout WireDecoder) throws -> Result
  ) throws -> Result {
    var decoder = WireDecoder(bytes, memory)
    let result = try body(&decoder)
    guard decoder.remaining == 0 else { throw decoder.invalid("\(decoder.remaining) bytes are left over") }
    return result
  }

  /// Reads the next value. The type may be left to inference: `name = try decoder.decode()`.
  @inlinable
  public mutating func decode<Value: WireCodable>(_ type: Value.Type = Value.self) throws -> Value {
    try nested(type) { decoder in try Value(decoding: &decoder) }
  }

  /// Reads what ``WireEncoder/encodeArray(_:)`` wrote.
  public mutating func decodeArray<Element: WireCodable>(of type: Element.Type = Element.self) throws -> [Element] {
    let count = try readBits(of: Int.self)
    return try nested([Element].self) { decoder in try Element.decodeElements(count: count, from: &decoder) }
  }

  /// Reads the bytes of a trivial value. Whether they are a value of the type is for the caller to know.
  @inlinable
  public mutating func readBits<Value: BitwiseCopyable>(of type: Value.Type) throws -> Value {
    guard let source = try readBytes(count: MemoryLayout<Value>.size, for: type).baseAddress else {
      // Only a type without bytes gets here, and such a type has one value.
      return unsafeBitCast((), to: Value.self)
    }
    return source.loadUnaligned(as: Value.self)
  }

  /// Takes the next `count` bytes; `type` is for the error. The result is valid as long as the decoder is.
  @inlinable
  public mutating func readBytes<Value>(count: Int, for type: Value.Type) throws -> UnsafeRawBufferPointer {
    guard count >= 0, count <= remaining else {
      throw invalid("\(type) takes \(count) bytes, \(remaining) are left")
    }
    defer { position += count }
    guard count > 0 else { return UnsafeRawBufferPointer(start: nil, count: 0) }
    return UnsafeRawBufferPointer(rebasing: bytes[position..<(position + count)])
  }

  /// Refuses a number of elements that the rest of the input cannot hold: each takes at least one byte.
  public func checkCount<Element>(_ count: Int, of type: Element.Type) throws {
    guard count >= 0, count <= remaining else {
      throw invalid("\(count) elements of \(type) cannot stand in \(remaining) bytes")
    }
  }

  /// Takes down a cost, and refuses the input when that is too much for its length.
  package mutating func spend(_ body: (inout ReadingCosts) throws -> Void) throws {
    try body(&costs)
    if let excess = costs.excess(readingBytes: bytes.count) { throw invalid(excess) }
    if memory?.isOfSandbox == true, let excess = costs.excessOfSandbox { throw invalid(excess) }
  }

  /// An error that says where the reader stands, and the first 1,000 bytes of what is wrong.
  public func invalid(_ what: String) -> WorkerPoolError {
    let what = what.clipped(to: 1000)
    return WorkerPoolError(code: .coding, message: "cannot decode at byte \(offset) of \(bytes.count): \(what)")
  }

  @usableFromInline
  static var stackForSomeLevels: Int { 96 << 10 }

  @inlinable
  mutating func nested<Value>(_ type: Value.Type, _ body: (inout WireDecoder) throws -> Value) throws -> Value {
    guard depth < WireEncoder.maximumDepth else {
      throw invalid("\(type) is nested deeper than \(WireEncoder.maximumDepth) levels")
    }
    // Each time before as many levels as surely fit: whoever waits for a result reads it on a stack of any size.
    guard depth % 16 != 15 || remainingStack() >= Self.stackForSomeLevels else {
      throw invalid("\(type) is nested deeper than the stack of this thread allows")
    }
    depth += 1
    defer { depth -= 1 }
    return try body(&self)
  }
}
