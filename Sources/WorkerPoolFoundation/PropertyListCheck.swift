import WorkerPool

/// What is wrong with a document, in words.
struct DocumentFlaw: Error {
  var explanation: String
  init(_ explanation: String) { self.explanation = explanation }
}

/// Looks through a binary property list before Foundation does, which follows references wherever they lead.
///
/// Accepts what Foundation's encoder writes: objects one after the other, in the order of their numbers, without gaps; each
/// array and dictionary in one place. Strings, numbers, dates and data may stand in many places, up to a bound on what
/// that makes of them. Takes time and memory that are linear in the number of bytes, and a constant part of the stack.
///
/// The format: "bplist00"; the objects, each a byte of kind and size and its contents, which in arrays and dictionaries
/// are numbers of objects; the offset of each object; 32 bytes that tell the sizes of these numbers and offsets, how many
/// objects there are, which is the outermost, and where the offsets stand.
struct PropertyListCheck {
  static let magic: [UInt8] = Array("bplist00".utf8)
  /// How deep arrays and dictionaries may nest. Foundation's reader of JSON has the same limit.
  static let maximumDepth = 512

  private enum Kind {
    case scalar
    case nan
    /// Payloads, in bytes.
    case data, text, wideText
    /// Payloads, in references.
    case array, dictionary
  }

  private struct Object {
    var kind: Kind
    var start: Int
    /// Bytes or references.
    var count: Int
  }

  private let bytes: UnsafeRawBufferPointer
  private let referenceSize: Int
  private let top: Int
  private var objects: [Object] = []

  /// Throws a `DocumentFlaw` for bytes that are no such property list, and adds to `costs`.
  static func check(_ bytes: UnsafeRawBufferPointer, _ costs: inout ReadingCosts) throws {
    var check = try PropertyListCheck(bytes)
    try check.readObjects()
    try check.followReferences(&costs)
  }

  private init(_ bytes: UnsafeRawBufferPointer) throws {
    guard bytes.count >= Self.magic.count + 32, bytes.starts(with: Self.magic) else {
      throw DocumentFlaw("it is no binary property list")
    }
    self.bytes = bytes
    let trailer = bytes.count - 32
    offsetSize = Int(bytes[trailer + 6])
    referenceSize = Int(bytes[trailer + 7])
    guard 1...8 ~= offsetSize, 1...8 ~= referenceSize,
      let count = Self.number(in: bytes, at: trailer + 8, size: 8),
      let top = Self.number(in: bytes, at: trailer + 16, size: 8),
      let table = Self.number(in: bytes, at: trailer + 24, size: 8), table <= trailer, count <= trailer - table,
      table + count * offsetSize == trailer, top < count
    else { throw DocumentFlaw("its trailer is wrong") }
    self.top = top
    self.table = table
    self.count = count
  }

  private let offsetSize: Int
  private let table: Int
  private let count: Int

  /// A number as it stands there, most significant byte first; nil for one that no offset and no count can be.
  private static func number(in bytes: UnsafeRawBufferPointer, at start: Int, size: Int) -> Int? {
    var number: UInt64 = 0
    for index in start..<(start + size) { number = number << 8 | UInt64(bytes[index]) }
    return Int(exactly: number)
  }

  // MARK: - Objects

  private mutating func readObjects() throws {
    objects.reserveCapacity(count)
    var position = Self.magic.count
    for index in 0..<count {
      guard Self.number(in: bytes, at: table + index * offsetSize, size: offsetSize) == position else {
        throw DocumentFlaw("object \(index) does not follow the one before")
      }
      objects.append(try readObject(&position))
    }
    guard position == table else { throw DocumentFlaw("its offsets do not follow its last object") }
  }

  private func readObject(_ position: inout Int) throws -> Object {
    let marker = try take(1, &position)
    let size = Int(bytes[marker] & 0xF)
    switch bytes[marker] >> 4 {
    case 0 where size == 8 || size == 9:
      return Object(kind: .scalar, start: position, count: 0)
    case 2 where size == 2 || size == 3:
      let start = try take(1 << size, &position)
      return Object(kind: isNaN(at: start, size: 1 << size) ? .nan : .scalar, start: start, count: 1 << size)
    case 1 where size <= 4, 3 where size == 3:
      return Object(kind: .scalar, start: try take(1 << size, &position), count: 1 << size)
    case 4: return try readPayload(.data, unit: 1, size, &position)
    case 5:
      let object = try readPayload(.text, unit: 1, size, &position)
      guard UnsafeRawBufferPointer(rebasing: bytes[object.start..<position]).isASCII else {
        throw DocumentFlaw("a text is not ASCII")
      }
      return object
    case 6: return try readPayload(.wideText, unit: 2, size, &position)
    case 10: return try readPayload(.array, unit: referenceSize, size, &position)
    case 13: return try readPayload(.dictionary, unit: 2 * referenceSize, size, &position)
    default: throw DocumentFlaw("its object \(objects.count) is of the unknown kind \(bytes[marker])")
    }
  }

  private func isNaN(at start: Int, size: Int) -> Bool {
    if size == 4 {
      return Float(bitPattern: bytes.loadUnaligned(fromByteOffset: start, as: UInt32.self).bigEndian).isNaN
    }
    return Double(bitPattern: bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self).bigEndian).isNaN
  }

  /// A number of units, in the marker or in an integer after it, and the units.
  private func readPayload(_ kind: Kind, unit: Int, _ size: Int, _ position: inout Int) throws -> Object {
    var units = size
    if size == 0xF {
      let marker = bytes[try take(1, &position)]
      guard 0x10...0x13 ~= marker else { throw DocumentFlaw("its object \(objects.count) has no size") }
      let length = 1 << Int(marker & 0xF)
      let start = try take(length, &position)
      guard let number = Self.number(in: bytes, at: start, size: length) else { throw beyondEnd }
      units = number
    }
    guard units <= table / unit else { throw beyondEnd }
    let start = try take(units * unit, &position)
    return Object(kind: kind, start: start, count: units * (kind == .dictionary ? 2 : kind == .wideText ? 2 : 1))
  }

  private func take(_ count: Int, _ position: inout Int) throws -> Int {
    guard count <= table - position else { throw beyondEnd }
    defer { position += count }
    return position
  }

  private var beyondEnd: DocumentFlaw { DocumentFlaw("its object \(objects.count) goes beyond the end") }

  // MARK: - References

  /// Visits each array and dictionary once, and each other object once for each reference to it.
  private func followReferences(_ costs: inout ReadingCosts) throws {
    var isVisited = [Bool](repeating: false, count: objects.count)
    var textCosts: [Int: Int] = [:]
    var open = [(object: top, depth: 1)]
    while let (index, depth) = open.popLast() {
      let object = objects[index]
      costs.values += 1
      switch object.kind {
      case .array, .dictionary:
        guard !isVisited[index] else { throw DocumentFlaw("its object \(index) stands in more than one place") }
        guard depth <= Self.maximumDepth else {
          throw DocumentFlaw("it is nested deeper than \(Self.maximumDepth) levels")
        }
        isVisited[index] = true
        costs.depth = max(costs.depth, depth)
        for reference in 0..<object.count {
          let child = try self.object(at: object.start + reference * referenceSize)
          if object.kind == .dictionary, reference < object.count / 2 { try checkKey(child) }
          open.append((child, depth + 1))
        }
      case .wideText:
        let cost = textCosts[index] ?? self.cost(of: object)
        textCosts[index] = cost
        costs.comparing += cost
        costs.copying += object.count
      case .nan: costs.nans += 1
      case .scalar, .data, .text:
        costs.copying += object.count
      }
    }
  }

  private func object(at position: Int) throws -> Int {
    guard let index = Self.number(in: bytes, at: position, size: referenceSize), index < objects.count else {
      throw DocumentFlaw("it refers to an object that it does not have")
    }
    return index
  }

  private func checkKey(_ index: Int) throws {
    let kind = objects[index].kind
    guard kind == .text || kind == .wideText else { throw DocumentFlaw("a key is no text") }
  }

  /// What comparing a text in UTF-16 costs.
  private func cost(of text: Object) -> Int {
    var runs = MarkRuns()
    var decoder = UTF16()
    var units = stride(from: text.start, to: text.start + text.count, by: 2).lazy
      .map { UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]) }.makeIterator()
    while true {
      switch decoder.decode(&units) {
      case .scalarValue(let scalar): runs.append(scalar)
      case .error: runs.end()
      case .emptyInput: return runs.cost
      }
    }
  }
}
