import Foundation
import WorkerPool

/// A `Codable` type that crosses process boundaries as JSON.
///
/// ```swift
/// struct Resize: Job, JSONWireCodable {
///   var name: String
///   var sizes: [Int]
///   func run() throws -> [String] { … }
/// }
/// ```
///
/// Takes microseconds for a small struct and about a microsecond for each number of an array, where
/// `BitwiseWireCodable` copies. Numbers that JSON cannot spell (infinities, NaN) are kept.
///
/// What a worker sends is looked through first, and then read by Foundation, in time and memory that its length bounds.
/// What the type's own `init(from:)` does with it is the type's affair; note that a `Set` of floating-point numbers, as a
/// part of a `Codable` type, takes quadratic time for NaNs, and that very many small values take longer than their bytes
/// suggest, up to three microseconds each. Of a sandboxed worker, a result with more than 32,768 values in documents, or with
/// more than 4,096 NaNs, is refused; a type that has more conforms to ``WireCodable`` itself.
public protocol JSONWireCodable: WireCodable, Codable {}

/// A `Codable` type that crosses process boundaries as a binary property list: the better choice where a type holds
/// much `Data`, which JSON spells out as text.
///
/// A value with a string "$null", which in a property list means nil, travels as JSON. So does one with the same data in
/// very many places: a property list has it once, and no more than 64 MiB and 64 times its own length is made of it. For
/// what a worker sends, see ``JSONWireCodable``.
public protocol PropertyListWireCodable: WireCodable, Codable {}

extension JSONWireCodable {
  public func encode(into encoder: inout WireEncoder) throws {
    try encoder.appendDocument(of: Self.self) { try JSONEncoder.wire.encode(self) }
  }

  public init(decoding decoder: inout WireDecoder) throws {
    self = try decoder.readDocument(of: Self.self) { try JSONDecoder.wire.decode(Self.self, from: $0) }
  }

  /// One document for the whole array.
  public static func encodeElements(_ elements: UnsafeBufferPointer<Self>, into encoder: inout WireEncoder) throws {
    try encoder.appendDocument(of: [Self].self) { try JSONEncoder.wire.encode(Array(elements)) }
  }

  public static func decodeElements(count: Int, from decoder: inout WireDecoder) throws -> [Self] {
    let elements = try decoder.readDocument(of: [Self].self) { try JSONDecoder.wire.decode([Self].self, from: $0) }
    guard elements.count == count else { throw decoder.invalid("\(elements.count) elements, not \(count)") }
    return elements
  }
}

extension PropertyListWireCodable {
  public func encode(into encoder: inout WireEncoder) throws {
    // In an array: a property list has no bare string or number at its top.
    try encoder.appendDocument(of: Self.self) { try propertyList(of: [self]) }
  }

  public init(decoding decoder: inout WireDecoder) throws {
    let elements = try Self.decodeElements(count: 1, from: &decoder)
    self = elements[0]
  }

  /// One document for the whole array.
  public static func encodeElements(_ elements: UnsafeBufferPointer<Self>, into encoder: inout WireEncoder) throws {
    try encoder.appendDocument(of: [Self].self) { try propertyList(of: Array(elements)) }
  }

  public static func decodeElements(count: Int, from decoder: inout WireDecoder) throws -> [Self] {
    let elements = try decoder.readDocument(of: [Self].self, acceptingPropertyLists: true) { document in
      guard document.isPropertyList else { return try JSONDecoder.wire.decode([Self].self, from: document) }
      return try PropertyListDecoder().decode([Self].self, from: document)
    }
    guard elements.count == count else { throw decoder.invalid("\(elements.count) elements, not \(count)") }
    return elements
  }
}

/// An enum with a raw value has a shorter form than JSON.
extension JSONWireCodable where Self: RawRepresentable, RawValue: WireCodable {
  public func encode(into encoder: inout WireEncoder) throws { try encoder.encode(rawValue) }
  public init(decoding decoder: inout WireDecoder) throws { self = try decoder.decodeRawValue(of: Self.self) }
}

extension PropertyListWireCodable where Self: RawRepresentable, RawValue: WireCodable {
  public func encode(into encoder: inout WireEncoder) throws { try encoder.encode(rawValue) }
  public init(decoding decoder: inout WireDecoder) throws { self = try decoder.decodeRawValue(of: Self.self) }
}

// MARK: - Foundation's own values

extension Data: WireCodable {
  public func encode(into encoder: inout WireEncoder) throws {
    withUnsafeBytes { bytes in
      encoder.append(bytesOf: bytes.count)
      encoder.append(bytes)
    }
  }

  public init(decoding decoder: inout WireDecoder) throws {
    let count = try decoder.decode(Int.self)
    self.init(try decoder.readBytes(count: count, for: Data.self))
  }
}

extension Date: WireCodable {
  public func encode(into encoder: inout WireEncoder) throws { try encoder.encode(timeIntervalSinceReferenceDate) }
  public init(decoding decoder: inout WireDecoder) throws {
    self.init(timeIntervalSinceReferenceDate: try decoder.decode())
  }
}

extension UUID: WireCodable {
  public func encode(into encoder: inout WireEncoder) throws { encoder.append(bytesOf: uuid) }
  public init(decoding decoder: inout WireDecoder) throws {
    self.init(uuid: try decoder.readBits(of: uuid_t.self))
  }
}

extension URL: WireCodable {
  public func encode(into encoder: inout WireEncoder) throws {
    try encoder.encode(relativeString, baseURL?.absoluteString)
  }

  public init(decoding decoder: inout WireDecoder) throws {
    let text = try decoder.decode(String.self)
    let base = try decoder.decode(String?.self)
    guard let url = URL(string: text, relativeTo: base.flatMap { URL(string: $0) }) else {
      throw decoder.invalid("\(text.debugDescription) is no URL")
    }
    self = url
  }
}

// MARK: - Documents

extension WireEncoder {
  fileprivate mutating func appendDocument<Value>(of type: Value.Type, _ body: () throws -> Data) throws {
    do {
      try encode(try body())
    } catch let error as EncodingError {
      throw WorkerPoolError(code: .coding, message: "cannot encode \(type): \(error.explanation)")
    } catch let flaw as DocumentFlaw {
      throw WorkerPoolError(code: .coding, message: "cannot encode \(type): \(flaw.explanation)")
    }
  }
}

/// A binary property list, or JSON where that would be refused or be read as another value.
///
/// Foundation writes nil as the string "$null", so that the one cannot be told from the other any more.
private func propertyList(of elements: [some Encodable]) throws -> Data {
  let list = try PropertyListEncoder.wire.encode(elements)
  var costs = ReadingCosts()
  try list.check(acceptingPropertyLists: true, &costs)
  guard costs.excess(readingBytes: list.count) == nil else { return try JSONEncoder.wire.encode(elements) }
  guard list.range(of: Data("$null".utf8)) != nil else { return list }
  let json = try JSONEncoder.wire.encode(elements)
  return json.range(of: Data("\"$null\"".utf8)) == nil ? list : json
}

extension WireDecoder {
  fileprivate mutating func readDocument<Value>(
    of type: Value.Type, acceptingPropertyLists: Bool = false, _ body: (Data) throws -> Value
  ) throws -> Value {
    let document = try decode(Data.self)
    do {
      try spend { costs in try document.check(acceptingPropertyLists: acceptingPropertyLists, &costs) }
      return try body(document)
    } catch let error as WorkerPoolError {
      throw error
    } catch {
      throw invalid("the \(document.count) bytes before this are no \(type): \(explanation(of: error))")
    }
  }
}

extension Data {
  fileprivate var isPropertyList: Bool { starts(with: PropertyListCheck.magic) }

  /// Throws what is wrong with this document.
  func check(acceptingPropertyLists: Bool, _ costs: inout ReadingCosts) throws {
    costs.values += ReadingCosts.valuesOfDocument
    try withUnsafeBytes { bytes in
      if acceptingPropertyLists, isPropertyList {
        try PropertyListCheck.check(bytes, &costs)
      } else {
        try JSONCheck.check(bytes, &costs)
      }
    }
  }
}

extension JSONEncoder {
  /// Made anew each time: coders may not be used by two threads at once.
  static var wire: JSONEncoder {
    let encoder = JSONEncoder()
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "+inf", negativeInfinity: "-inf", nan: "nan")
    return encoder
  }
}

extension JSONDecoder {
  static var wire: JSONDecoder {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "+inf", negativeInfinity: "-inf", nan: "nan")
    return decoder
  }
}

extension PropertyListEncoder {
  fileprivate static var wire: PropertyListEncoder {
    let encoder = PropertyListEncoder()
    encoder.outputFormat = .binary
    return encoder
  }
}

/// Where in a value the coder stopped, such as "at sizes[3]: expected Int".
private func explain(_ description: String, at path: [any CodingKey]) -> String {
  let place = path.map { key in key.intValue.map { "[\($0)]" } ?? ".\(key.stringValue)" }.joined()
  return place.isEmpty ? description : "at \(place.drop { $0 == "." }): \(description)"
}

private func explanation(of error: any Error) -> String {
  switch error {
  case let error as DecodingError: error.explanation
  case let flaw as DocumentFlaw: flaw.explanation
  default: String(describing: error)
  }
}

extension EncodingError {
  fileprivate var explanation: String {
    switch self {
    case .invalidValue(_, let context): explain(context.debugDescription, at: context.codingPath)
    @unknown default: String(describing: self)
    }
  }
}

extension DecodingError {
  fileprivate var explanation: String {
    switch self {
    case .typeMismatch(_, let context), .valueNotFound(_, let context), .keyNotFound(_, let context),
      .dataCorrupted(let context):
      explain(context.debugDescription, at: context.codingPath)
    @unknown default: String(describing: self)
    }
  }
}
