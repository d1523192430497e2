import Foundation
import WorkerPool
import WorkerPoolFoundation

struct Point: BitwiseWireCodable, Equatable {
  var x: Double
  var tag: Int8
}

struct Empty: WireCodable, Equatable {
  func encode(into encoder: inout WireEncoder) throws {}
  init(decoding decoder: inout WireDecoder) throws {}
  init() {}
}

enum Color: String, WireCodable { case red, green }
enum Level: UInt8, BitwiseWireCodable {
  case low = 3
  case high = 9
}

struct Named: WireCodable, Equatable {
  var name: String
  var points: [Point]
  var note: String?

  init(name: String, points: [Point], note: String?) {
    self.name = name
    self.points = points
    self.note = note
  }

  func encode(into encoder: inout WireEncoder) throws { try encoder.encode(name, points, note) }

  init(decoding decoder: inout WireDecoder) throws {
    name = try decoder.decode()
    points = try decoder.decode()
    note = try decoder.decode()
  }
}

/// A chain, to see how deep values may nest.
struct Chain: WireCodable {
  var next: [Chain]

  init(length: Int) {
    var chain = Chain(next: [])
    for _ in 1..<length { chain = Chain(next: [chain]) }
    self = chain
  }

  init(next: [Chain]) { self.next = next }
  func encode(into encoder: inout WireEncoder) throws { try encoder.encode(next) }
  init(decoding decoder: inout WireDecoder) throws { next = try decoder.decode() }
}

struct Settings: JSONWireCodable, Equatable {
  var name: String
  var ratios: [Double]
}

struct Archive: PropertyListWireCodable, Equatable {
  var blob: Data
  var title: String
}

enum Fruit: String, JSONWireCodable { case apple, pear }

enum StationError: Error, Codable, Equatable {
  case unreachable(host: String, port: Int)
  case silent
}

struct WireStationError: Error, BitwiseWireCodable, Equatable { var code: Int32 }

struct PlainError: Error, CustomStringConvertible {
  var description: String { "plain as can be" }
}

private struct HiddenError: Error, Codable { var number: Int }

func makeHiddenError() -> any Error { HiddenError(number: 7) }

// MARK: - Helpers

func wireBytes(_ value: some WireCodable) throws -> [UInt8] {
  var encoder = WireEncoder()
  try encoder.encode(value)
  return encoder.withUnsafeBytes { Array($0) }
}

func decoded<Value: WireCodable>(_ type: Value.Type, _ bytes: [UInt8]) throws -> Value {
  try bytes.withUnsafeBytes { try WireDecoder.read(type, from: $0) }
}

func roundTrip<Value: WireCodable>(_ value: Value) throws -> Value {
  try decoded(Value.self, wireBytes(value))
}
