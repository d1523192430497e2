import Glibc

// How the standard library's types cross a process boundary. Numbers are their bytes, containers a count and
// their elements, everything that has invalid bit patterns is checked.

extension Int: BitwiseWireCodable {}
extension Int8: BitwiseWireCodable {}
extension Int16: BitwiseWireCodable {}
extension Int32: BitwiseWireCodable {}
extension Int64: BitwiseWireCodable {}
extension Int128: BitwiseWireCodable {}
extension UInt: BitwiseWireCodable {}
extension UInt8: BitwiseWireCodable {}
extension UInt16: BitwiseWireCodable {}
extension UInt32: BitwiseWireCodable {}
extension UInt64: BitwiseWireCodable {}
extension UInt128: BitwiseWireCodable {}
extension Float: BitwiseWireCodable {}
extension Double: BitwiseWireCodable {}

/// What a task without a result returns, since `Void` can conform to nothing.
public struct NoValue: BitwiseWireCodable, Hashable, Sendable {
  public init() {}
}

extension Bool: WireCodable {
  public func encode(into encoder: inout WireEncoder) throws {
    encoder.append(bytesOf: (self ? 1 : 0) as UInt8)
  }

  public init(decoding decoder: inout WireDecoder) throws { self = try decoder.readBool() }
}

extension WireDecoder {
  fileprivate mutating func readBool() throws -> Bool {
    switch try readBits(of: UInt8.self) {
    case 0: false
    case 1: true
    case let byte: throw invalid("a Bool is 0 or 1, not \(byte)")
    }
  }
}

extension String: WireCodable {
  public func encode(into encoder: inout WireEncoder) throws {
    var copy = self
    copy.withUTF8 { utf8 in
      encoder.append(bytesOf: utf8.count)
      encoder.append(UnsafeRawBufferPointer(utf8))
    }
  }

  public init(decoding decoder: inout WireDecoder) throws {
    let count = try decoder.readBits(of: Int.self)
    let bytes = try decoder.readBytes(count: count, for: String.self)
    // Copied first and checked in the copy: the input may be memory that another process still writes to.
    self = String(unsafeUninitializedCapacity: count) { buffer in
      UnsafeMutableRawBufferPointer(buffer).copyMemory(from: bytes)
      return count
    }
    // The line above repairs bytes that are no UTF-8, and a repaired text is not the one that was sent.
    let (isIntact, runs) = withUTF8 { utf8 in
      var runs = MarkRuns()
      guard utf8.count == count, count > 0, let start = utf8.baseAddress, let sent = bytes.baseAddress else {
        return (utf8.count == count, runs)
      }
      runs.append(utf8: utf8)
      return (memcmp(start, sent, count) == 0, runs)
    }
    guard isIntact else { throw decoder.invalid("the \(count) bytes before this are no UTF-8") }
    try decoder.spend { $0.comparing += runs.cost }
  }
}

extension Character: WireCodable {
  public func encode(into encoder: inout WireEncoder) throws { try encoder.encode(String(self)) }

  public init(decoding decoder: inout WireDecoder) throws {
    let text = try decoder.decode(String.self)
    guard !text.isEmpty, text.index(after: text.startIndex) == text.endIndex else {
      throw decoder.invalid("a Character is one, not \(text.count)")
    }
    self.init(text)
  }
}

/// All durations: some have more seconds than the `Int64` of `components` holds.
extension Duration: WireCodable {
  public func encode(into encoder: inout WireEncoder) throws { encoder.append(bytesOf: attoseconds) }

  public init(decoding decoder: inout WireDecoder) throws {
    self.init(attoseconds: try decoder.readBits(of: Int128.self))
  }
}

// MARK: - Containers

extension Optional: WireCodable where Wrapped: WireCodable {
  public func encode(into encoder: inout WireEncoder) throws {
    try encoder.encode(self != nil)
    if let self { try encoder.encode(self) }
  }

  public init(decoding decoder: inout WireDecoder) throws {
    self = try decoder.readBool() ? .some(try decoder.decode()) : .none
  }
}

extension Result: WireCodable where Success: WireCodable, Failure: WireCodable {
  public func encode(into encoder: inout WireEncoder) throws {
    switch self {
    case .success(let success): try encoder.encode(true, success)
    case .failure(let failure): try encoder.encode(false, failure)
    }
  }

  public init(decoding decoder: inout WireDecoder) throws {
    self = try decoder.decode(Bool.self) ? .success(try decoder.decode()) : .failure(try decoder.decode())
  }
}

extension Array: WireCodable where Element: WireCodable {
  public func encode(into encoder: inout WireEncoder) throws {
    try withUnsafeBufferPointer { elements in try encoder.encodeArray(elements) }
  }

  public init(decoding decoder: inout WireDecoder) throws {
    self = try decoder.decodeArray()
  }
}

extension ContiguousArray: WireCodable where Element: WireCodable {
  public func encode(into encoder: inout WireEncoder) throws {
    try withUnsafeBufferPointer { elements in try encoder.encodeArray(elements) }
  }

  public init(decoding decoder: inout WireDecoder) throws {
    self.init(try decoder.decodeArray(of: Element.self))
  }
}

/// Equal elements are refused, and so are very many elements with the same hash, such as NaNs with equal bits.
extension Set: WireCodable where Element: WireCodable {
  public func encode(into encoder: inout WireEncoder) throws {
    try encoder.encode(Array(self))
  }

  public init(decoding decoder: inout WireDecoder) throws {
    let elements = try decoder.decodeArray(of: Element.self)
    try decoder.checkHashes(of: elements)
    self.init(elements)
    guard count == elements.count else { throw decoder.invalid("a Set has equal elements") }
  }
}

/// Equal keys are refused, and so are very many keys with the same hash, such as NaNs with equal bits.
extension Dictionary: WireCodable where Key: WireCodable, Value: WireCodable {
  public func encode(into encoder: inout WireEncoder) throws {
    try encoder.encode(Array(keys), Array(values))
  }

  public init(decoding decoder: inout WireDecoder) throws {
    let keys = try decoder.decodeArray(of: Key.self)
    let values = try decoder.decodeArray(of: Value.self)
    guard keys.count == values.count else {
      throw decoder.invalid("a Dictionary has \(keys.count) keys and \(values.count) values")
    }
    try decoder.checkHashes(of: keys)
    self.init(zip(keys, values)) { first, _ in first }
    guard count == keys.count else { throw decoder.invalid("a Dictionary has equal keys") }
  }
}

extension Range: WireCodable where Bound: WireCodable {
  public func encode(into encoder: inout WireEncoder) throws {
    try encoder.encode(lowerBound, upperBound)
  }

  public init(decoding decoder: inout WireDecoder) throws {
    let lower = try decoder.decode(Bound.self)
    let upper = try decoder.decode(Bound.self)
    guard lower <= upper else { throw decoder.invalid("a Range from \(lower) up to \(upper) runs backwards") }
    self = lower..<upper
  }
}

extension ClosedRange: WireCodable where Bound: WireCodable {
  public func encode(into encoder: inout WireEncoder) throws {
    try encoder.encode(lowerBound, upperBound)
  }

  public init(decoding decoder: inout WireDecoder) throws {
    let lower = try decoder.decode(Bound.self)
    let upper = try decoder.decode(Bound.self)
    guard lower <= upper else { throw decoder.invalid("a ClosedRange from \(lower) to \(upper) runs backwards") }
    self = lower...upper
  }
}
