import Foundation
import WorkerPool
import WorkerPoolFoundation

/// What the fuzzer gives a worker's bytes to: each decoder that a host runs on them.
///
/// An input begins with a byte that chooses a type. Bytes are read or refused with `.coding`; a value that was read can be
/// written, and what was written can be read. All else ends the process, and so does whatever takes too long.
public enum FuzzTarget: String, CaseIterable, Sendable {
  /// Types of the standard library, of Foundation and of users.
  case wire
  /// Errors that a task has thrown.
  case errors
  case json
  case propertyList

  public func run(_ input: UnsafeRawBufferPointer) {
    guard let choice = input.first else { return }
    let bytes = UnsafeRawBufferPointer(rebasing: input.dropFirst())
    switch self {
    case .wire: wireTypes[Int(choice) % wireTypes.count](Array(bytes))
    case .errors: checkError(Array(bytes))
    case .json: jsonTypes[Int(choice) % jsonTypes.count](document(Array(bytes)))
    case .propertyList:
      // Damage rarely leaves offsets intact, so that with a large choice they are made to fit.
      let list = choice < 128 ? Array(bytes) : assembledPropertyList(of: Array(bytes))
      propertyListTypes[Int(choice) % propertyListTypes.count](document(list))
    }
  }
}

private typealias Check = @Sendable ([UInt8]) -> Void

private func reader<Value: WireCodable & SendableMetatype>(of type: Value.Type) -> Check {
  { bytes in
    guard let value = read(type, bytes) else { return }
    guard let written = try? write(value) else { return }
    // Not the same bytes: sets and dictionaries have no order, and documents many spellings.
    guard read(type, written) != nil else { fatalError("what \(type) wrote is refused") }
  }
}

private func read<Value: WireCodable>(_ type: Value.Type, _ bytes: [UInt8]) -> Value? {
  do {
    return try bytes.withUnsafeBytes { try WireDecoder.read(type, from: $0) }
  } catch let error as WorkerPoolError where error.code == .coding {
    return nil
  } catch {
    fatalError("\(type) is refused with \(error)")
  }
}

private func write(_ value: some WireCodable) throws -> [UInt8] {
  var encoder = WireEncoder()
  try encoder.encode(value)
  return encoder.withUnsafeBytes { Array($0) }
}

private func checkError(_ bytes: [UInt8]) {
  guard let error = readError(bytes) else { return }
  guard readError(writeError(error)) != nil else { fatalError("what \(type(of: error)) wrote is refused") }
}

private func readError(_ bytes: [UInt8]) -> (any Error)? {
  do {
    return try bytes.withUnsafeBytes { try ErrorCoding.read(from: $0) }
  } catch let error as WorkerPoolError where error.code == .coding {
    return nil
  } catch {
    fatalError("an error is refused with \(error)")
  }
}

private func writeError(_ error: any Error) -> [UInt8] {
  var encoder = WireEncoder()
  ErrorCoding.encode(error, into: &encoder)
  return encoder.withUnsafeBytes { Array($0) }
}

/// A document as it stands on the wire, for a type by itself and, with a count, for an array.
private func document(_ bytes: [UInt8]) -> [UInt8] { withUnsafeBytes(of: bytes.count) { Array($0) } + bytes }

// MARK: - Types

private struct Point: BitwiseWireCodable, Hashable {
  var x: Double
  var tag: Int8
}

private struct Nothing: WireCodable {
  func encode(into encoder: inout WireEncoder) throws {}
  init(decoding decoder: inout WireDecoder) throws {}
}

private enum Color: String, WireCodable, Codable { case red, green }
private enum Level: UInt8, BitwiseWireCodable {
  case low = 3
  case high = 9
}

/// A list of itself.
private final class Tree: WireCodable, Codable {
  let children: [Tree]
  let next: Tree?

  func encode(into encoder: inout WireEncoder) throws { try encoder.encode(children, next) }
  init(decoding decoder: inout WireDecoder) throws {
    children = try decoder.decode()
    next = try decoder.decode()
  }
}

private let wireTypes: [Check] = [
  reader(of: Int.self), reader(of: Bool.self), reader(of: String.self), reader(of: Character.self),
  reader(of: Duration.self), reader(of: [String].self), reader(of: [[Int?]].self), reader(of: Set<Double>.self),
  reader(of: Set<[Double]>.self), reader(of: [String: [Point?]].self), reader(of: Range<String>.self),
  reader(of: ClosedRange<Double>.self), reader(of: Result<Int, RemoteError>.self), reader(of: [[NoValue]].self),
  reader(of: [Nothing].self), reader(of: [Color].self), reader(of: [Level].self), reader(of: Tree.self),
  reader(of: SharedResult<Double>.self), reader(of: URL.self), reader(of: [Date].self), reader(of: Set<UUID>.self),
  reader(of: [Data].self), reader(of: Int???.self), reader(of: [Point].self), reader(of: SharedArray<Int>.self),
  reader(of: WorkerExit.self), reader(of: ContiguousArray<Set<String>>.self), reader(of: [Float: Int128].self),
]

private enum Shape: Codable, Hashable {
  case empty
  case circle(radius: Double)
  case named(String, [Int])
}

private struct JSON: JSONWireCodable {
  var tree: Tree?
  var shapes: [Shape]?
  var words: Set<String>?
  var table: [String: [Int: Color]]?
  var date: Date?
  var url: URL?
  var decimal: Decimal?
  var id: UUID?
  var data: Data?
  var numbers: [Int8: UInt64]?
  var wide: Int128?
  var character: [Float?]?
}

private struct List: PropertyListWireCodable {
  var tree: Tree?
  var shapes: [Shape]?
  var words: Set<String>?
  var table: [String: [Int: Color]]?
  var date: Date?
  var url: URL?
  var decimal: Decimal?
  var id: UUID?
  var data: Data?
  var numbers: [Int8: UInt64]?
  var character: [Float?]?
}

/// One value without keys.
private struct Bare<Value: Codable & SendableMetatype>: JSONWireCodable {
  var value: Value
  init(from decoder: any Decoder) throws { value = try Value(from: decoder) }
  func encode(to encoder: any Encoder) throws { try value.encode(to: encoder) }
}

private struct BareList<Value: Codable & SendableMetatype>: PropertyListWireCodable {
  var value: Value
  init(from decoder: any Decoder) throws { value = try decoder.singleValueContainer().decode(Value.self) }
  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(value)
  }
}

private let jsonTypes: [Check] = [
  reader(of: JSON.self), reader(of: Bare<[[[Int]]]>.self), reader(of: Bare<[String: [String: Double?]]>.self),
  reader(of: Bare<[Shape]>.self), reader(of: Bare<Tree>.self), reader(of: Bare<[Decimal]>.self),
]

private let propertyListTypes: [Check] = [
  reader(of: List.self), reader(of: BareList<[[[Int]]]>.self), reader(of: BareList<[String: [String: Double?]]>.self),
  reader(of: BareList<[Shape]>.self), reader(of: BareList<Tree>.self), reader(of: BareList<[Decimal]>.self),
  reader(of: BareList<[String?]>.self), reader(of: BareList<[Data]>.self), reader(of: BareList<[UInt64]>.self),
  reader(of: BareList<[Date]>.self), reader(of: BareList<[Bool]>.self),
]

/// A property list with these objects, as far as they can be told apart; references take a byte.
private func assembledPropertyList(of objects: [UInt8]) -> [UInt8] {
  var list = Array("bplist00".utf8)
  var offsets: [Int] = []
  var position = 0
  while position < objects.count, offsets.count < 256 {
    let size = Int(objects[position] & 0xF)
    let length: Int
    switch objects[position] >> 4 {
    case 0: length = 1
    case 1, 2, 3: length = 1 + (1 << min(size, 4))
    case 6: length = 1 + 2 * min(size, 14)
    case 13: length = 1 + 2 * min(size, 14)
    default: length = 1 + min(size, 14)
    }
    guard position + length <= objects.count else { break }
    offsets.append(list.count)
    list += objects[position..<(position + length)]
    position += length
  }
  let table = list.count
  for offset in offsets { list += [UInt8(offset >> 8 & 0xFF), UInt8(offset & 0xFF)] }
  func number(_ value: Int) -> [UInt8] { (0..<8).reversed().map { UInt8(value >> (8 * $0) & 0xFF) } }
  return list + [0, 0, 0, 0, 0, 0, 2, 1] + number(offsets.count) + number(0) + number(table)
}
