/// How an error that a task threw comes back from another process.
///
/// As its own type if that is ``WireCodable``, or `Codable` in a program that links `WorkerPoolFoundation`, and if the
/// reader knows it (``ErrorTypes``); else as a ``RemoteError``. Type name and description travel always, for the case
/// that the rest cannot be read; of an error that travels as itself, the beginning of its description.
package enum ErrorCoding {
  private enum Form: UInt8, WireCodable {
    case described, wireCodable, codable
  }

  /// Of the description of an error that travels as itself.
  private static let longestSpareDescription = 4096

  /// Writes `error` into an empty encoder, in at most `limit` bytes if its type's name fits in there. Cannot fail: what cannot be
  /// encoded, or takes too much, is described, and of a description that takes too much there is the beginning.
  package static func encode(_ error: any Error, into encoder: inout WireEncoder, limit: Int = .max) {
    var message = Message(error)
    message.write(into: &encoder)
    if encoder.byteCount > limit, message.form != .described {
      message.describe(error)
      message.write(into: &encoder)
    }
    if encoder.byteCount > limit {
      message.shorten(by: encoder.byteCount - limit)
      message.write(into: &encoder)
    }
  }

  /// What travels.
  private struct Message {
    private(set) var form: Form
    private var typeName: String
    private var description: String
    private var name: String
    private var bytes: [UInt8]

    init(_ error: any Error) {
      (form, name, bytes) = payload(of: error)
      typeName = String(reflecting: type(of: error)).clipped(to: ErrorTypes.longestName)
      description = String(describing: error)
      if form != .described { description = description.clipped(to: longestSpareDescription) }
    }

    mutating func describe(_ error: any Error) {
      (form, name, bytes) = (.described, "", [])
      description = String(describing: error)
    }

    mutating func shorten(by excess: Int) {
      let rest = excess - description.utf8.count
      description = description.clipped(to: max(0, -rest))
      if rest > 0 { typeName = typeName.clipped(to: max(0, typeName.utf8.count - rest)) }
    }

    func write(into encoder: inout WireEncoder) {
      encoder.reset()
      // None of these throws: they are strings and bytes.
      try? encoder.encode(form, typeName, description, name)
      try? encoder.encode(bytes)
    }
  }

  /// Reads what ``encode(_:into:)`` wrote, which has to take up all of `bytes`. Throws for bytes that nobody wrote.
  package static func read(from bytes: UnsafeRawBufferPointer) throws -> any Error {
    try WireDecoder.reading(from: bytes) { decoder in try decode(from: &decoder) }
  }

  private static func decode(from decoder: inout WireDecoder) throws -> any Error {
    let form = try decoder.decode(Form.self)
    let description = RemoteError(typeName: try decodeName(from: &decoder), description: try decoder.decode())
    let name = try decodeName(from: &decoder)
    let bytes = try decoder.decode([UInt8].self)
    guard form != .described, let type = ErrorTypes.type(named: name) else { return description }
    return (try? revive(type, form, bytes)) ?? description
  }

  private static func decodeName(from decoder: inout WireDecoder) throws -> String {
    let name = try decoder.decode(String.self)
    guard name.utf8.count <= ErrorTypes.longestName else {
      throw decoder.invalid("the name of a type takes \(name.utf8.count) bytes, over \(ErrorTypes.longestName)")
    }
    return name
  }

  private static func payload(of error: any Error) -> (Form, name: String, bytes: [UInt8]) {
    if let error = error as? any Error & WireCodable,
      let name = ErrorTypes.name(of: type(of: error)),
      let bytes = try? wireBytes(of: error)
    {
      return (.wireCodable, name, bytes)
    }
    if let coder = codableErrorCoder, let error = error as? any Error & Codable,
      let name = ErrorTypes.name(of: type(of: error)),
      let bytes = try? coder.encode(error)
    {
      return (.codable, name, bytes)
    }
    return (.described, "", [])
  }

  private static func wireBytes(of value: some WireCodable) throws -> [UInt8] {
    var encoder = WireEncoder()
    try encoder.encode(value)
    return encoder.withUnsafeBytes { Array($0) }
  }

  /// Whether errors of this type can be sent as themselves.
  static func canEncode(_ type: any Error.Type) -> Bool {
    type is any (Error & WireCodable).Type || codableErrorCoder != nil && type is any (Error & Codable).Type
  }

  private static func revive(_ type: any Error.Type, _ form: Form, _ bytes: [UInt8]) throws -> (any Error)? {
    switch form {
    case .described:
      return nil
    case .wireCodable:
      guard let type = type as? any (Error & WireCodable).Type else { return nil }
      return try bytes.withUnsafeBytes { bytes in try WireDecoder.read(type, from: bytes) }
    case .codable:
      guard let type = type as? any (Error & Codable).Type else { return nil }
      return try codableErrorCoder?.decode(type, from: bytes)
    }
  }

  /// Looked up by name, as jobs are, so that linking the module is all it takes, in a program, in its workers and
  /// in a template that was re-executed and has not reached `main`. Rejected: a weak C symbol, which an archive
  /// linker is free not to look for; a registration call, which a re-executed template would never reach.
  private static let codableErrorCoder =
    TypeName.type(named: codableErrorCoderName) as? any CodableErrorCoding.Type
}

/// The mangled name of the type in `WorkerPoolFoundation` that does this.
package let codableErrorCoderName = "20WorkerPoolFoundation17CodableErrorCoderO"

/// Encodes errors that are `Codable`, which takes a coder, which takes Foundation.
package protocol CodableErrorCoding: SendableMetatype {
  static func encode(_ error: any Error & Codable) throws -> [UInt8]
  static func decode(_ type: any (Error & Codable).Type, from bytes: [UInt8]) throws -> any Error
}

extension String {
  /// The beginning of a text that takes at most so many bytes, of which the last three say that there was more. Nothing where
  /// there is no room for that.
  func clipped(to byteCount: Int) -> String {
    guard utf8.count > byteCount else { return self }
    guard byteCount >= 6 else { return "" }
    return String(decoding: Array(utf8.prefix(byteCount - 6)), as: UTF8.self) + "…"
  }
}

// MARK: - The package's own errors

extension CancellationError: WireCodable {
  public func encode(into encoder: inout WireEncoder) throws {}
  public init(decoding decoder: inout WireDecoder) throws { self.init() }
}

extension WorkerPoolError: WireCodable {
  public func encode(into encoder: inout WireEncoder) throws {
    try encoder.encode(code.name, message, workerExit, systemCall)
  }

  public init(decoding decoder: inout WireDecoder) throws {
    self.init(
      code: Code(try decoder.decode()), message: try decoder.decode(), workerExit: try decoder.decode(),
      systemCall: try decoder.decode())
  }
}

extension WorkerPoolError.Code.StaticName: WireCodable {}

extension WorkerPoolError.SystemCall: WireCodable {
  public func encode(into encoder: inout WireEncoder) throws {
    try encoder.encode(name, errno)
  }

  public init(decoding decoder: inout WireDecoder) throws {
    self.init(name: try decoder.decode(), errno: try decoder.decode())
  }
}
