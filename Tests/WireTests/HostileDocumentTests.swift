import Foundation
import Testing
import WorkerPoolFoundation

@testable import WorkerPool

/// A list of itself.
private struct Tree: PropertyListWireCodable, Equatable { var k: [Tree] }
private struct Boxes: PropertyListWireCodable {
  var boxes: [[[Int]]]
  init(from decoder: any Decoder) throws { boxes = try decoder.singleValueContainer().decode([[[Int]]].self) }
}
private struct Holder<Value: Codable & Equatable & Sendable>: PropertyListWireCodable, Equatable { var value: Value }

/// Property lists and JSON that no encoder has written.
@Suite struct HostileDocumentTests {
  private func fixture(_ name: String) throws -> Data {
    try Data(contentsOf: URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures/\(name)"))
  }

  private func refusal<Value: WireCodable>(of document: Data, as type: Value.Type) throws -> String {
    let bytes = try wireBytes(document)
    let error = #expect(throws: WorkerPoolError.self) { try decoded(type, bytes) }
    #expect(error?.code == .coding)
    return error?.message ?? ""
  }

  @Test func aCycleIsRefused() throws {
    #expect(try refusal(of: fixture("cycle.bin"), as: Tree.self).contains("more than one place"))
  }

  @Test func anArrayInManyPlacesIsRefused() throws {
    #expect(try refusal(of: fixture("bomb.bin"), as: Boxes.self).contains("more than one place"))
  }

  @Test func otherKindsOfPropertyListsAreRefused() throws {
    for text in ["bplist00abc", "{k = (1, 2);}", "(((((((", "<plist version=\"1.0\"><array/></plist>", "", "x"] {
      _ = try refusal(of: Data(text.utf8), as: Tree.self)
    }
  }

  @Test func corruptPropertyListsAreCodingErrors() throws {
    let value = Holder(value: [["größer", "b"], ["c"], []])
    let intact = try decoded(Data.self, wireBytes(value))
    for index in intact.indices {
      for byte in [0, 1, 0x0F, 0x5F, 0xA1, 0xD1, 0xFF] as [UInt8] {
        var damaged = intact
        damaged[index] = byte
        let bytes = try wireBytes(damaged)
        do { _ = try decoded(Holder<[[String]]>.self, bytes) } catch {
          #expect((error as? WorkerPoolError)?.code == .coding)
        }
      }
    }
  }

  @Test func whatTheEncoderWritesPassesTheCheck() throws {
    func expectRoundTrip<Value: Codable & Equatable & Sendable>(_ value: Value) throws {
      #expect(try roundTrip(Holder(value: value)).value == value)
      #expect(try roundTrip([Holder(value: value), Holder(value: value)]).map(\.value) == [value, value])
    }
    try expectRoundTrip([[Int]](repeating: [], count: 20))
    try expectRoundTrip([[[Int]]](repeating: [[1], [1]], count: 100))
    try expectRoundTrip([[String: Int]](repeating: [:], count: 3))
    try expectRoundTrip(Dictionary(uniqueKeysWithValues: (0..<300).map { ("ключ \($0)", Double($0)) }))
    try expectRoundTrip((0..<70_000).map { $0 })
    try expectRoundTrip([UInt64.max, 0, 255, 256, 65_536, 1 << 32])
    try expectRoundTrip([Int64.min, -1])
    try expectRoundTrip([1.5, -.infinity] as [Float])
    try expectRoundTrip([Data(), Data([1, 2]), Data([1, 2]), Data(count: 100_000)])
    try expectRoundTrip([Date(timeIntervalSinceReferenceDate: 0.25), .distantPast])
    try expectRoundTrip([true, false, nil])
    try expectRoundTrip([String(repeating: "long", count: 100), "e\u{301}\u{316}", "👩‍👩‍👧", ""])
    try expectRoundTrip([UUID()])
    try expectRoundTrip([URL(string: "https://swift.org/a")])
    try expectRoundTrip(Decimal(string: "12345.678901234567890123"))
  }

  @Test func theSameTextInVeryManyPlacesTravels() throws {
    let texts = Holder(value: [String](repeating: String(repeating: "x", count: 100_000), count: 700))
    #expect(try roundTrip(texts) == texts)
  }

  @Test func theStringThatMeansNilIsKept() throws {
    #expect(try roundTrip(Holder(value: String?("$null"))).value == "$null")
    #expect(try roundTrip(Holder(value: ["$null", nil, "x"])).value == ["$null", nil, "x"])
    #expect(try roundTrip(Holder(value: [nil, 1])).value == [nil, 1])
    #expect(try roundTrip([Holder(value: "a"), Holder(value: "$null")]).map(\.value) == ["a", "$null"])
  }

  @Test func theSameDataInVeryManyPlacesIsRefused() throws {
    // An array of 60,000 references to one text of 60,000 bytes.
    var list = Data("bplist00".utf8) + [0xAF, 0x11, 0xEA, 0x60] + Data(repeating: 1, count: 60_000)
    let second = list.count
    list += [0x5F, 0x11, 0xEA, 0x60] + Data(repeating: 0x41, count: 60_000)
    let table = list.count
    func big(_ number: Int, _ size: Int) -> Data {
      Data((0..<size).reversed().map { UInt8(number >> (8 * $0) & 0xFF) })
    }
    list += big(8, 4) + big(second, 4) + [0, 0, 0, 0, 0, 0, 4, 1] + big(2, 8) + big(0, 8) + big(table, 8)
    #expect(try refusal(of: list, as: Strings.self).contains("again and again"))
  }

  @Test func marksWithoutEndAreRefused() throws {
    let marks = String(repeating: "\u{301}\u{316}", count: 250_000)
    let escaped = String(repeating: #"\u0301\u0316"#, count: 80_000)
    for text in [marks, escaped] {
      let document = Data(#"{"value":1,"e\#(text)":2}"#.utf8)
      #expect(try refusal(of: document, as: JSONHolder.self).contains("combining marks"))
    }
    let wide = try PropertyListEncoder.binary.encode([["value": "e" + String(repeating: "\u{301}\u{316}", count: 3000)]]
    )
    #expect(try refusal(of: wide, as: Holder<String>.self).contains("combining marks"))
    #expect(try roundTrip(Holder(value: "e\u{301}\u{316}\u{301}")).value == "e\u{301}\u{316}\u{301}")
  }

  @Test func aSandboxedWorkerSendsFewNaNs() throws {
    let honest = try wireBytes(Settings(name: "s", ratios: [Double](repeating: .nan, count: 5000)))
    #expect(try decoded(Settings.self, honest).ratios.count == 5000)
    let list = try wireBytes(Holder(value: [Double](repeating: .nan, count: 5000)))
    #expect(try decoded(Holder<[Double]>.self, list).value.count == 5000)
    let words = try wireBytes(Settings(name: "nan inf \"nan\"", ratios: [.nan]))
    #expect(throws: WorkerPoolError.self) { try read(Settings.self, honest) }
    #expect(throws: WorkerPoolError.self) { try read(Holder<[Double]>.self, list) }
    #expect(try read(Settings.self, words).ratios.count == 1)
  }

  @Test func aSandboxedWorkerSendsFewValues() throws {
    let many = Settings(name: "s", ratios: [Double](repeating: 1, count: ReadingCosts.maximumValues))
    let fewer = Settings(name: "s", ratios: many.ratios.dropLast(20))
    for value in [many, fewer] { #expect(try roundTrip(value) == value) }
    #expect(try read(Settings.self, wireBytes(fewer)) == fewer)
    #expect(throws: WorkerPoolError.self) { try read(Settings.self, wireBytes(many)) }
    #expect(throws: WorkerPoolError.self) { try read(Holder<[Double]>.self, wireBytes(Holder(value: many.ratios))) }
    // A small document has a price of its own.
    let documents = (0..<ReadingCosts.maximumValues / 8).map { [$0: Settings(name: "", ratios: [])] }
    #expect(throws: WorkerPoolError.self) { try read([[Int: Settings]].self, wireBytes(documents)) }
    #expect(try read([[Int: Settings]].self, wireBytes(Array(documents.prefix(1000)))).count == 1000)
  }

  @Test func deepJSONIsRefused() throws {
    _ = try refusal(of: Data(repeating: 0x5B, count: 1 << 20), as: JSONHolder.self)
    _ = try refusal(of: Data(#"[1]"#.utf16.flatMap { [UInt8($0 & 0xFF), 0] }), as: JSONHolder.self)
  }
}

/// As of a sandboxed worker.
private func read<Value: WireCodable>(_ type: Value.Type, _ bytes: [UInt8]) throws -> Value {
  try bytes.withUnsafeBytes { try WireDecoder.read(type, from: $0, memory: SandboxMemory()) }
}

/// Of a reply from a sandboxed worker.
private final class SandboxMemory: WireMemory {
  var isOfSandbox: Bool { true }
  func sharedMemory(id: UInt64) throws -> SharedMemory? { nil }
  func block(at offset: Int, byteCount: Int) throws -> SharedMemory? { nil }
}

private struct JSONHolder: JSONWireCodable { var value: Int }

private struct Strings: PropertyListWireCodable {
  var value: String
  init(from decoder: any Decoder) throws { value = try decoder.singleValueContainer().decode(String.self) }
}

extension PropertyListEncoder {
  fileprivate static var binary: PropertyListEncoder {
    let encoder = PropertyListEncoder()
    encoder.outputFormat = .binary
    return encoder
  }
}
