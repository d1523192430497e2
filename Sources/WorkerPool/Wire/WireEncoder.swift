import Glibc

/// A growing buffer of bytes that values append themselves to.
///
/// Appending is amortised O(bytes). Not thread-safe: one owner, which is why it cannot be copied.
public struct WireEncoder: ~Copyable {
  @usableFromInline var storage = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  @usableFromInline var end = 0
  @usableFromInline var depth = 0
  /// Whether the storage came from malloc and is ours to free.
  private var ownsStorage = true
  /// Where to go on once there is more than `roomThreshold`.
  private var room: (any WireRoom)?
  /// Memories that what was written refers to.
  var attachments: [SharedMemory] = []

  /// How many bytes are worth being written where they are read.
  static let roomThreshold = 4096

  /// How deep values may nest in each other, for reading and for writing: a chain of a million links would
  /// otherwise end the process by overflowing its stack.
  @inlinable
  public static var maximumDepth: Int { 512 }

  public init() {}

  /// Bytes written so far.
  @inlinable
  public var byteCount: Int { end }

  init(room: any WireRoom) { self.room = room }

  deinit {
    if ownsStorage { free(storage.baseAddress) }
  }

  /// Appends a value.
  ///
  /// Throws what the value's ``WireCodable/encode(into:)`` throws, and `WorkerPoolError` (`.coding`) for values nested
  /// deeper than ``maximumDepth``.
  @inlinable
  public mutating func encode<Value: WireCodable>(_ value: Value) throws {
    try nested(Value.self) { encoder in try value.encode(into: &encoder) }
  }

  /// Appends several values, in order.
  public mutating func encode<First: WireCodable, Second: WireCodable, each Rest: WireCodable>(
    _ first: First, _ second: Second, _ rest: repeat each Rest
  ) throws {
    try encode(first)
    try encode(second)
    repeat try encode(each rest)
  }

  /// Appends bytes as they are, without their number.
  public mutating func append(_ bytes: UnsafeRawBufferPointer) {
    guard let source = bytes.baseAddress, bytes.count > 0 else { return }
    reserve(bytes.count).copyMemory(from: source, byteCount: bytes.count)
    end += bytes.count
  }

  /// Appends the bytes of a trivial value, as they are.
  @inlinable
  public mutating func append<Value: BitwiseCopyable>(bytesOf value: Value) {
    reserve(MemoryLayout<Value>.size).storeBytes(of: value, as: Value.self)
    end += MemoryLayout<Value>.size
  }

  /// Appends a number of elements, then the elements as their type writes them.
  public mutating func encodeArray<Element: WireCodable>(_ elements: UnsafeBufferPointer<Element>) throws {
    append(bytesOf: elements.count)
    try nested(Element.self) { encoder in try Element.encodeElements(elements, into: &encoder) }
  }

  /// Lends what was written. The pointer is valid inside `body` only.
  public borrowing func withUnsafeBytes<Result: ~Copyable>(
    _ body: (UnsafeRawBufferPointer) throws -> Result
  ) rethrows -> Result {
    try body(UnsafeRawBufferPointer(rebasing: storage[..<byteCount]))
  }

  /// Forgets what was written and keeps the memory, up to `limit` bytes of it.
  mutating func reset(keeping limit: Int = 1 << 20) {
    end = 0
    depth = 0
    attachments = []
    guard ownsStorage, storage.count > limit else { return }
    free(storage.baseAddress)
    storage = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  }

  /// Leaves what was written to whoever frees it.
  mutating func disown() { ownsStorage = false }

  @inlinable
  mutating func nested<Value>(_ type: Value.Type, _ body: (inout WireEncoder) throws -> Void) throws {
    guard depth < Self.maximumDepth else { throw tooDeep(type) }
    depth += 1
    defer { depth -= 1 }
    try body(&self)
  }

  @usableFromInline
  func tooDeep(_ type: Any.Type) -> WorkerPoolError {
    WorkerPoolError(
      code: .coding,
      message: "cannot encode \(type) at byte \(byteCount): values nest deeper than \(Self.maximumDepth) levels")
  }

  /// Makes room for `count` more bytes and returns where they go.
  @usableFromInline
  mutating func reserve(_ count: Int) -> UnsafeMutableRawPointer {
    let needed = byteCount + count
    if needed > storage.count, needed > Self.roomThreshold { moveToRoom(for: needed) }
    if needed > storage.count || storage.baseAddress == nil { grow(to: max(needed, storage.count * 2, 128)) }
    // Never empty after the lines above.
    return storage.baseAddress.unsafelyUnwrapped + byteCount
  }

  /// Goes on in the room if there is one and it is large enough.
  private mutating func moveToRoom(for needed: Int) {
    guard let opened = room?.open() else { return }
    room = nil
    guard needed <= opened.count else { return }
    opened.copyMemory(from: UnsafeRawBufferPointer(rebasing: storage[..<byteCount]))
    free(storage.baseAddress)
    storage = opened
    ownsStorage = false
  }

  private mutating func grow(to capacity: Int) {
    // From malloc and not from Swift's allocator: the engine may be left to free it.
    guard let grown = realloc(ownsStorage ? storage.baseAddress : nil, capacity) else {
      fatalError("no memory for \(capacity) bytes of encoded values")
    }
    let storage = UnsafeMutableRawBufferPointer(start: grown, count: capacity)
    if !ownsStorage { storage.copyMemory(from: UnsafeRawBufferPointer(rebasing: self.storage[..<byteCount])) }
    self.storage = storage
    ownsStorage = true
  }
}
