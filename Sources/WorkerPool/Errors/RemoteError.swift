/// An error that a task threw in another process and that could not come back as itself.
///
/// An error does come back as itself if its type is ``WireCodable``, or `Codable` in a program that imports
/// `WorkerPoolFoundation`, and is neither private nor declared inside a function.
public struct RemoteError: Error, Hashable, Sendable {
  /// The full name of the error's type, such as `Weather.StationError`.
  public var typeName: String
  /// What `String(describing:)` said of the error, in the worker.
  public var description: String

  public init(typeName: String, description: String) {
    self.typeName = typeName
    self.description = description
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
