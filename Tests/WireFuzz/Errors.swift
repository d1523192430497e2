import WorkerPool

/// Errors for the fuzzer to name: the corpus has one of each.
public enum FuzzedError: Error, Codable {
  case silent
  case unreachable(host: String, port: Int)
}

public struct FuzzedWireError: Error, WireCodable {
  var codes: [Int32]
  var text: String?

  public init() { (codes, text) = ([1, 2], "größer") }
  public func encode(into encoder: inout WireEncoder) throws { try encoder.encode(codes, text) }
  public init(decoding decoder: inout WireDecoder) throws {
    (codes, text) = (try decoder.decode(), try decoder.decode())
  }
}
