import Testing

@testable import WorkerPool

/// An error type that no conformance record names: each argument makes another one.
struct GenericError<Value: WireCodable & Equatable & Sendable>: Error, WireCodable, Equatable {
  var value: Value
  init(value: Value) { self.value = value }
  func encode(into encoder: inout WireEncoder) throws { try encoder.encode(value) }
  init(decoding decoder: inout WireDecoder) throws { value = try decoder.decode() }
}

enum Outer {
  struct NestedError: Error, Codable, Equatable { var number: Int }
  final class ClassError: Error, WireCodable {
    func encode(into encoder: inout WireEncoder) throws {}
    init() {}
    init(decoding decoder: inout WireDecoder) throws {}
  }
}

private struct HiddenWireError: Error, BitwiseWireCodable {}

/// Errors whose bytes a worker has made up.
@Suite struct HostileErrorTests {
  /// An error as ``ErrorCoding`` writes it, with any name.
  private func bytes(named name: String, typeName: String = "T", payload: [UInt8] = [], form: UInt8 = 1) throws
    -> [UInt8]
  {
    var encoder = WireEncoder()
    try encoder.encode(form, typeName, "description", name)
    try encoder.encode(payload)
    return encoder.withUnsafeBytes { Array($0) }
  }

  private func revived(_ bytes: [UInt8]) throws -> any Error {
    try bytes.withUnsafeBytes { try ErrorCoding.read(from: $0) }
  }

  private func roundTrip(_ error: any Error) throws -> any Error {
    var encoder = WireEncoder()
    ErrorCoding.encode(error, into: &encoder)
    return try revived(encoder.withUnsafeBytes { Array($0) })
  }

  @Test(arguments: ["$", "$n1", "$3_", "SiSiQp_t", "SaySi" + String(repeating: "Sg", count: 22) + "G", "\u{1}abcd", ""])
  func aNameIsNotGivenToTheRuntime(_ name: String) throws {
    let clock = ContinuousClock()
    let start = clock.now
    #expect(try revived(bytes(named: name)) is RemoteError)
    #expect(clock.now - start < .seconds(1))
  }

  @Test func aTypeOfTheProgramThatIsNoErrorIsNotMade() throws {
    #expect(try revived(bytes(named: "Si", payload: [0, 0, 0, 0, 0, 0, 0, 0])) is RemoteError)
  }

  @Test func errorsOfTheProgramComeBackUnregistered() throws {
    #expect(try roundTrip(Outer.NestedError(number: 3)) as? Outer.NestedError == Outer.NestedError(number: 3))
    #expect(try roundTrip(Outer.ClassError()) is Outer.ClassError)
    #expect(try roundTrip(RemoteError(typeName: "a", description: "b")) is RemoteError)
  }

  @Test func aGenericErrorComesBackOnceRegistered() throws {
    #expect(try roundTrip(GenericError(value: 5)) is RemoteError)
    try RemoteError.register(GenericError<Int>.self)
    try RemoteError.register(GenericError<Int>.self)
    #expect(try roundTrip(GenericError(value: 5)) as? GenericError<Int> == GenericError(value: 5))
    #expect(try roundTrip(GenericError(value: "x")) is RemoteError)
  }

  @Test func whatNoWorkerCanSendIsNotRegistered() {
    let hidden = #expect(throws: WorkerPoolError.self) { try RemoteError.register(HiddenWireError.self) }
    #expect(hidden?.code == .unresolvableType)
    let plain = #expect(throws: WorkerPoolError.self) { try RemoteError.register(PlainError.self) }
    #expect(plain?.code == .invalidArgument)
  }

  @Test func namesAreBounded() throws {
    let long = String(repeating: "x", count: 1 << 20)
    let error = #expect(throws: WorkerPoolError.self) { try revived(bytes(named: "x", typeName: long)) }
    #expect(error?.code == .coding)
    #expect(throws: WorkerPoolError.self) { try revived(bytes(named: long)) }
    let marks = "e" + String(repeating: "\u{301}\u{316}", count: 500_000)
    #expect(throws: WorkerPoolError.self) { try revived(bytes(named: marks)) }
  }

  @Test func theNameOfADeepTypeIsCut() throws {
    func deepen<T: WireCodable & Equatable & Sendable>(_ value: T, _ levels: Int) -> any Error {
      levels == 0 ? GenericError(value: value) : deepen([value], levels - 1)
    }
    let error = try #require(try roundTrip(deepen(1, 200)) as? RemoteError)
    #expect(error.typeName.hasPrefix("WireTests.GenericError<") && error.typeName.utf8.count <= 1024)
  }
}
