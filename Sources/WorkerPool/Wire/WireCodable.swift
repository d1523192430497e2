/// A value that can cross a process boundary as bytes.
///
/// How a type is encoded is decided once, in its conformance, and never by a generic layer that guesses. There
/// are four ways to get one:
///
/// - A struct whose bytes are its value (numbers, and structs of numbers): conform to ``BitwiseWireCodable``.
///   It is copied, alone and in arrays.
/// - An `enum` or struct with a raw value that is `WireCodable`: declare the conformance, there is nothing to write.
/// - A `Codable` type, by `JSONWireCodable` or `PropertyListWireCodable` of `WorkerPoolFoundation`. Convenient; an
///   array of doubles takes a thousand times longer than copied.
/// - Anything else, by hand, member after member in the same order on both sides:
///
/// ```swift
/// struct Tile: WireCodable {
///   var name: String
///   var pixels: [Float]
///
///   func encode(into encoder: inout WireEncoder) throws { try encoder.encode(name, pixels) }
///
///   init(decoding decoder: inout WireDecoder) throws {
///     name = try decoder.decode()
///     pixels = try decoder.decode()
///   }
/// }
/// ```
///
/// The bytes are in the machine's own layout and carry no version: both ends are the same program.
public protocol WireCodable {
  /// Appends this value. Errors pass to whoever submits the value, or come back as the task's error.
  func encode(into encoder: inout WireEncoder) throws

  /// Reads a value that ``encode(into:)`` wrote.
  ///
  /// The bytes may be damaged: throw (``WireDecoder/invalid(_:)`` makes the error), never trap.
  init(decoding decoder: inout WireDecoder) throws

  /// Appends all elements of an array, without their number. By default one after another; a type that can do
  /// it in one go says so here.
  static func encodeElements(_ elements: UnsafeBufferPointer<Self>, into encoder: inout WireEncoder) throws

  /// Reads `count` elements that `encodeElements` wrote. `count` comes from the wire:
  /// check it against ``WireDecoder/remaining`` before allocating for it.
  static func decodeElements(count: Int, from decoder: inout WireDecoder) throws -> [Self]
}

extension WireCodable {
  /// One after another. An element without bytes of its own is given one, so that no array has more elements
  /// than bytes, and a damaged count cannot make the reader allocate beyond the size of its input.
  public static func encodeElements(_ elements: UnsafeBufferPointer<Self>, into encoder: inout WireEncoder) throws {
    for element in elements {
      let start = encoder.byteCount
      try element.encode(into: &encoder)
      if encoder.byteCount == start { encoder.append(bytesOf: 0 as UInt8) }
    }
  }

  public static func decodeElements(count: Int, from decoder: inout WireDecoder) throws -> [Self] {
    try decoder.checkCount(count, of: Self.self)
    var elements: [Self] = []
    // In groups: `append` looks the array's type up, which for each element would take longer than to read a small one.
    let room = min(count, 64)
    try withUnsafeTemporaryAllocation(of: Self.self, capacity: room) { group in
      guard let first = group.baseAddress else { return }
      var left = count
      while left > 0 {
        var initialized = 0
        defer { first.deinitialize(count: initialized) }
        while initialized < min(left, room) {
          let start = decoder.offset
          (first + initialized).initialize(to: try Self(decoding: &decoder))
          initialized += 1
          if decoder.offset == start { _ = try decoder.readBytes(count: 1, for: Self.self) }
        }
        elements.append(contentsOf: UnsafeBufferPointer(start: first, count: initialized))
        left -= initialized
      }
    }
    return elements
  }
}

/// A type whose bytes are its value: encoded by copying them, in arrays all at once (memory bandwidth; about
/// 50 µs each way for 100,000 doubles).
///
/// ```swift
/// struct CountPrimes: Job, BitwiseWireCodable {
///   var limit: UInt32
///   func run() -> Int { countPrimes(below: limit) }
/// }
/// ```
///
/// Bytes are not looked at when they are read. A stored `Bool`, an enum or a range has bit patterns that no value
/// has; a worker that overwrites its result with such a pattern before it dies produces an invalid value. Where
/// that matters, write ``WireCodable/encode(into:)`` member by member. Pointers mean nothing in another process.
public protocol BitwiseWireCodable: WireCodable, BitwiseCopyable {}

extension BitwiseWireCodable {
  @inlinable
  public func encode(into encoder: inout WireEncoder) throws {
    encoder.append(bytesOf: self)
  }

  @inlinable
  public init(decoding decoder: inout WireDecoder) throws {
    self = try decoder.readBits(of: Self.self)
  }

  public static func encodeElements(_ elements: UnsafeBufferPointer<Self>, into encoder: inout WireEncoder) throws {
    encoder.append(UnsafeRawBufferPointer(elements))
  }

  public static func decodeElements(count: Int, from decoder: inout WireDecoder) throws -> [Self] {
    try decoder.checkCount(count, of: Self.self)
    let (length, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Self>.stride)
    guard !overflow else { throw decoder.invalid("\(count) elements of \(Self.self) exceed the address space") }
    let bytes = try decoder.readBytes(count: length, for: [Self].self)
    // For no elements the initialiser would write a count of 0 into the empty array that all threads share.
    guard count > 0 else { return [] }
    return Array(unsafeUninitializedCapacity: count) { buffer, initialized in
      UnsafeMutableRawBufferPointer(buffer).copyMemory(from: bytes)
      initialized = count
    }
  }
}

// MARK: - Raw values

extension WireCodable where Self: RawRepresentable, RawValue: WireCodable {
  public func encode(into encoder: inout WireEncoder) throws {
    try encoder.encode(rawValue)
  }

  public init(decoding decoder: inout WireDecoder) throws {
    self = try decoder.decodeRawValue(of: Self.self)
  }
}

/// An enum with a raw value stays checked even when it is declared bitwise.
extension BitwiseWireCodable where Self: RawRepresentable, RawValue: WireCodable {
  public func encode(into encoder: inout WireEncoder) throws {
    try encoder.encode(rawValue)
  }

  public init(decoding decoder: inout WireDecoder) throws {
    self = try decoder.decodeRawValue(of: Self.self)
  }

  public static func encodeElements(_ elements: UnsafeBufferPointer<Self>, into encoder: inout WireEncoder) throws {
    for element in elements { try encoder.encode(element.rawValue) }
  }

  public static func decodeElements(count: Int, from decoder: inout WireDecoder) throws -> [Self] {
    try decoder.checkCount(count, of: Self.self)
    return try (0..<count).map { _ in try decoder.decodeRawValue(of: Self.self) }
  }
}

extension WireDecoder {
  /// Reads a raw value and the case it stands for.
  public mutating func decodeRawValue<Value: RawRepresentable>(of type: Value.Type) throws -> Value
  where Value.RawValue: WireCodable {
    let rawValue = try decode(Value.RawValue.self)
    guard let value = Value(rawValue: rawValue) else { throw invalid("\(rawValue) is no raw value of \(type)") }
    return value
  }
}
