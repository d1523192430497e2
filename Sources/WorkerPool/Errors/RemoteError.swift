/// An error that a task threw in another process and that could not come back as itself.
///
/// An error does come back as itself if its type is ``WireCodable``, or `Codable` in a program that imports
/// `WorkerPoolFoundation`, and is neither private nor declared inside a function, and if the program knows the type. It
/// knows all that are not generic and stand in it or in a library that it had loaded when the first error came back;
/// others after ``register(_:)``. A worker cannot make it look for any others.
public struct RemoteError: Error, Hashable, Sendable {
  /// The full name of the error's type, such as `Weather.StationError`; of a longer one the first 1,024 bytes.
  public var typeName: String
  /// What `String(describing:)` said of the error, in the worker.
  public var description: String

  public init(typeName: String, description: String) {
    self.typeName = typeName
    self.description = description
  }

  /// Has errors of this type come back from workers as themselves.
  ///
  /// Needed for generic types alone, each with its arguments, and for types of libraries that are loaded late:
  ///
  /// ```swift
  /// try RemoteError.register(ParsingError<Int>.self)
  /// ```
  ///
  /// To be called in the program that makes the pool. Thread-safe; a second time changes nothing.
  ///
  /// - Throws: `WorkerPoolError` with `.invalidArgument` for a type that is neither ``WireCodable`` nor, in a program that
  ///   imports `WorkerPoolFoundation`, `Codable`; with `.unresolvableType` for one that is private or declared inside a
  ///   function, which a worker cannot name, or whose mangled name takes more than 1,024 bytes.
  public static func register(_ type: any Error.Type) throws {
    guard ErrorCoding.canEncode(type) else {
      throw WorkerPoolError(
        code: .invalidArgument,
        message: """
          errors of \(type) cannot travel as themselves: the type is neither WireCodable nor, with WorkerPoolFoundation, \
          Codable
          """)
    }
    guard let name = ErrorTypes.name(of: type) else {
      throw WorkerPoolError(
        code: .unresolvableType,
        message: """
          a worker cannot name the error type \(type): it is private or fileprivate, or declared inside a function, or its \
          mangled name takes more than \(ErrorTypes.longestName) bytes
          """)
    }
    ErrorTypes.register(type, as: name)
  }
}

extension RemoteError: CustomStringConvertible {}

extension RemoteError: WireCodable {
  public func encode(into encoder: inout WireEncoder) throws {
    try encoder.encode(typeName, description)
  }

  public init(decoding decoder: inout WireDecoder) throws {
    self.init(typeName: try decoder.decode(), description: try decoder.decode())
  }
}
