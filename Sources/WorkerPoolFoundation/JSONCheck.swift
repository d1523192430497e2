import Foundation
import WorkerPool

/// Looks through JSON before Foundation does, which itself refuses documents that are nested deeper than 512 levels.
///
/// What is left to see is that the text is UTF-8, as the encoder writes it and not one of the encodings that Foundation
/// guesses, and what comparing its texts costs: the keys of every object are hashed, whether the type has them or not.
enum JSONCheck {
  /// Throws a `DocumentFlaw`, and adds to `costs`.
  static func check(_ bytes: UnsafeRawBufferPointer, _ costs: inout ReadingCosts) throws {
    guard let first = bytes.first, first < 0x80, bytes[...].firstIndex(of: "\0") == nil else {
      throw DocumentFlaw("it is no JSON in UTF-8")
    }
    var runs = MarkRuns()
    var rest = bytes[...]
    while let backslash = rest.firstIndex(of: "\\") {
      runs.append(utf8: rest[..<backslash])
      // A sequence takes two bytes, or six with four digits.
      let escape = rest[backslash...].prefix(6)
      if let value = scalarValue(of: escape) {
        runs.append(isMark: value >= MarkRuns.firstMark)
        rest = rest[(backslash + 6)...]
      } else {
        runs.end()
        rest = rest[min(backslash + 2, rest.endIndex)...]
      }
    }
    runs.append(utf8: rest)
    costs.comparing += runs.cost
    costs.nans += numberOfNaNs(in: bytes)
    addStructure(of: bytes, to: &costs)
  }

  /// How deep arrays and objects nest, and how many values there are: each begins the document, or follows one of `[{,:`.
  private static func addStructure(of bytes: UnsafeRawBufferPointer, to costs: inout ReadingCosts) {
    var depth = 0
    var deepest = 0
    var values = 1
    var isInString = false
    var isEscaped = false
    for byte in bytes {
      switch byte {
      case _ where isEscaped: isEscaped = false
      case UInt8(ascii: "\\"): isEscaped = isInString
      case UInt8(ascii: "\""): isInString.toggle()
      case _ where isInString: break
      case UInt8(ascii: "["), UInt8(ascii: "{"):
        depth += 1
        values += 1
      case UInt8(ascii: ","), UInt8(ascii: ":"): values += 1
      case UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
      default: break
      }
      deepest = max(deepest, depth)
    }
    costs.values += values
    // Foundation refuses what is deeper.
    costs.depth = max(costs.depth, min(deepest, PropertyListCheck.maximumDepth))
  }

  /// How often the text has a string "nan", some letter of which may be escaped.
  private static func numberOfNaNs(in bytes: UnsafeRawBufferPointer) -> Int {
    var rest = bytes[...]
    var count = 0
    while let quote = rest.firstIndex(of: "\"") {
      rest = rest[(quote + 1)...]
      if rest.starts(with: "nan\"".utf8) || rest.starts(with: "\\u".utf8) || rest.starts(with: "n\\u".utf8)
        || rest.starts(with: "na\\u".utf8)
      {
        count += 1
      }
    }
    return count
  }

  /// The value of an escape sequence with four digits. Half of a pair counts as a mark, which it may be.
  private static func scalarValue(of escape: Slice<UnsafeRawBufferPointer>) -> UInt32? {
    guard escape.count == 6, escape.dropFirst().first == UInt8(ascii: "u") else { return nil }
    return UInt32(String(decoding: escape.dropFirst(2), as: UTF8.self), radix: 16)
  }
}

extension Slice<UnsafeRawBufferPointer> {
  /// As fast in a debug build.
  fileprivate func firstIndex(of character: Unicode.Scalar) -> Int? {
    let bytes = UnsafeRawBufferPointer(rebasing: self)
    guard let start = bytes.baseAddress, let found = memchr(start, Int32(character.value), bytes.count) else {
      return nil
    }
    return startIndex + (UnsafeRawPointer(found) - start)
  }
}

extension MarkRuns {
  mutating func append(utf8 bytes: Slice<UnsafeRawBufferPointer>) {
    UnsafeRawBufferPointer(rebasing: bytes).withMemoryRebound(to: UInt8.self) { append(utf8: $0) }
  }
}
