import Foundation
import Testing
import WorkerPoolFoundation

@testable import WorkerPool

@Suite struct ErrorCodingTests {
  private func bytes(of error: any Error) -> [UInt8] {
    var encoder = WireEncoder()
    ErrorCoding.encode(error, into: &encoder)
    return encoder.withUnsafeBytes { Array($0) }
  }

  private func revived(_ bytes: [UInt8]) throws -> any Error {
    try bytes.withUnsafeBytes { try ErrorCoding.read(from: $0) }
  }

  private func roundTrip(_ error: any Error) throws -> any Error { try revived(bytes(of: error)) }

  @Test func theCoderIsFoundByItsName() {
    #expect(_mangledTypeName(CodableErrorCoder.self) == codableErrorCoderName)
    #expect(_typeByName(codableErrorCoderName) == CodableErrorCoder.self)
  }

  @Test func ownTypesComeBack() throws {
    #expect(try roundTrip(WireStationError(code: -5)) as? WireStationError == WireStationError(code: -5))
    let unreachable = StationError.unreachable(host: "h", port: 80)
    #expect(try roundTrip(unreachable) as? StationError == unreachable)
    #expect(try roundTrip(CancellationError()) is CancellationError)
  }

  @Test func thePackagesErrorsComeBack() throws {
    let exit = WorkerExit(
      processIdentifier: 12, reason: .signal(9), taskName: "T", runDuration: .nanoseconds(1_500_000_001),
      peakMemory: 1 << 40, standardError: "größer")
    let error = WorkerPoolError(
      code: .workerDied, message: "m", workerExit: exit,
      systemCall: .init(name: "fork", errno: 11))
    let back = try #require(try roundTrip(error) as? WorkerPoolError)
    #expect(back.code == .workerDied && back.message == "m")
    #expect(back.workerExit == exit && back.systemCall == error.systemCall)
  }

  @Test func otherErrorsAreDescribed() throws {
    let plain = try #require(try roundTrip(PlainError()) as? RemoteError)
    #expect(plain == RemoteError(typeName: "WireTests.PlainError", description: "plain as can be"))
    let hidden = try #require(try roundTrip(makeHiddenError()) as? RemoteError)
    #expect(hidden.typeName.contains("HiddenError") && hidden.description.contains("7"))
    let foreign = try #require(try roundTrip(NSError(domain: "d", code: 3)) as? RemoteError)
    #expect(foreign.description.contains("3"))
  }

  @Test func errorsAreShortenedToFit() throws {
    struct Long: Error, Codable, CustomStringConvertible {
      var text: String
      var description: String { text }
    }
    let long = Long(text: String(repeating: "ä", count: 5000))
    let wire = WireStationError(code: 7)
    for error in [long, wire, PlainError()] as [any Error] {
      for limit in 0...12_000 where limit < 300 || limit % 97 == 0 {
        var encoder = WireEncoder()
        ErrorCoding.encode(error, into: &encoder, limit: limit)
        let bytes = encoder.withUnsafeBytes { Array($0) }
        let back = try revived(bytes)
        guard limit > 40 else { continue }  // less than an error without any text takes
        #expect(bytes.count <= limit)
        guard let described = back as? RemoteError else { continue }
        #expect("\(error)".hasPrefix(described.description.trimmingCharacters(in: ["…", "\u{FFFD}"])), "\(limit)")
        guard limit > 200 else { continue }
        #expect(described.typeName == String(reflecting: type(of: error)))
      }
    }
  }

  @Test func damagedErrorsAreReadDescribedOrRefused() throws {
    for error in [StationError.silent, WireStationError(code: 1), PlainError()] as [any Error] {
      let intact = bytes(of: error)
      for index in intact.indices {
        for value in [0, 1, 2, 0x30, 0xFF] as [UInt8] {
          var damaged = intact
          damaged[index] = value
          _ = try? revived(damaged)
        }
        #expect(throws: WorkerPoolError.self) { try revived(Array(intact[..<index])) }
      }
    }
  }

  @Test func namesWithControlCharactersAreNotFollowed() {
    #expect(TypeName.type(named: "\u{1}abcd") == nil)
    #expect(TypeName.type(named: "") == nil)
    #expect(TypeName.type(named: "Si") == Int.self)
    #expect(TypeName.name(of: [String: Int].self) != nil)
    #expect(TypeName.name(of: type(of: makeHiddenError())) == nil)
    struct Local {}
    #expect(TypeName.name(of: Local.self) == nil)
    #expect(TypeName.name(of: [Local].self) == nil)
  }
}
