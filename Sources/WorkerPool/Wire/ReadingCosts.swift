/// What reading hostile bytes costs beyond their length, added up for one input.
///
/// Two kinds of input would cost more than a constant times their length. Their costs are bounded by it, with an allowance
/// that no honest input uses up.
package struct ReadingCosts {
  /// Steps of sorting combining marks.
  ///
  /// To hash or to compare a text that is not ASCII, the standard library sorts the marks that follow each character, by
  /// insertion: "e" and a mebibyte of marks take minutes. A character with 2,000 marks may always be read.
  package var comparing = 0
  /// Bytes that are copied because something refers to them: a property list has an object once for all its places.
  package var copying = 0

  /// Values in documents that Foundation decodes, a document counting as ``valuesOfDocument``.
  ///
  /// Each takes Foundation up to three microseconds. How many there are is bounded only where the sender may mean harm.
  package var values = 0
  package static let maximumValues = 1 << 15
  package static let valuesOfDocument = 8

  /// NaNs among them.
  ///
  /// A `Set` that decodes itself compares each NaN with all others. An honest array may have any number.
  package var nans = 0
  package static let maximumNaNs = 4096

  /// How deep the deepest document nests.
  package var depth = 0

  package init() {}

  /// Why these are too much for an input of so many bytes, nil when they are not.
  package func excess(readingBytes count: Int) -> String? {
    if comparing > max(1 << 22, count.multipliedClamped(by: 4)) {
      return "its characters have too many combining marks"
    }
    if copying > 1 << 26 + count.multipliedClamped(by: 64) {
      return "it refers again and again to the same data, and would take \(copying) bytes"
    }
    if depth > 16, remainingStack() < WireDecoder.stackForSomeLevels + ((depth * 3) << 10) {
      return "it is nested deeper than the stack of this thread allows"
    }
    return nil
  }

  /// Why these are too much for a sender who may mean harm.
  package var excessOfSandbox: String? {
    let what =
      nans > Self.maximumNaNs
      ? "\(Self.maximumNaNs) NaNs" : values > Self.maximumValues ? "\(Self.maximumValues) values" : nil
    return what.map { "a sandboxed worker may send up to \($0) that Foundation decodes" }
  }
}

extension Int {
  fileprivate func multipliedClamped(by factor: Int) -> Int {
    let (product, overflow) = multipliedReportingOverflow(by: factor)
    return overflow ? .max >> 1 : Swift.min(product, .max >> 1)
  }
}

/// Follows a text and adds up, for each long run of combining marks, the square of its length.
///
/// What a short run costs is linear in its bytes, so that its scalars are not looked up: a text is read ten times faster.
package struct MarkRuns {
  package private(set) var cost = 0
  /// Scalars since the last that is certain to be no mark.
  private var run = 0
  private static let longestShortRun = 16

  package init() {}

  /// The next scalar of the text.
  package mutating func append(_ scalar: Unicode.Scalar) {
    guard scalar.value >= MarkRuns.firstMark else { return end() }
    guard run >= MarkRuns.longestShortRun else { return append(isMark: true) }
    let properties = scalar.properties
    // The second finds the few that are none themselves and are made of marks, as U+0F73.
    append(isMark: properties.canonicalCombiningClass != .notReordered || properties.isGraphemeExtend)
  }

  package mutating func append(isMark: Bool) {
    guard isMark else { return end() }
    run += 1
    // The sum of 1, 3, 5, … is a square.
    if run > MarkRuns.longestShortRun { cost += 2 * run - 1 }
  }

  package mutating func end() { run = 0 }

  package static let firstMark: UInt32 = 0x300
  /// No mark begins with a smaller byte in UTF-8.
  package static let firstLead: UInt8 = 0xCC

  /// Follows UTF-8, which may be invalid; its last scalar may be cut off.
  package mutating func append(utf8 bytes: UnsafeBufferPointer<UInt8>) {
    var index = 0
    while index < bytes.count {
      if index + 8 <= bytes.count, UnsafeRawBufferPointer(bytes).isASCII(at: index) {
        end()
        index += 8
        continue
      }
      let byte = bytes[index]
      guard byte >= MarkRuns.firstLead else {
        // Bytes between 0x80 and 0xC0 continue a scalar that was no mark.
        end()
        index += 1
        continue
      }
      let length = byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4
      var value = UInt32(byte) & (0x7F >> UInt32(length))
      for offset in 1..<length where index + offset < bytes.count {
        value = value << 6 | UInt32(bytes[index + offset]) & 0x3F
      }
      if let scalar = Unicode.Scalar(value) { append(scalar) } else { end() }
      index += length
    }
  }
}

extension UnsafeRawBufferPointer {
  /// Whether all bytes are below 0x80.
  package var isASCII: Bool {
    let words = count / 8 * 8
    return stride(from: 0, to: words, by: 8).allSatisfy(isASCII(at:)) && self[words...].allSatisfy { $0 < 0x80 }
  }

  /// Whether the eight bytes from there are.
  fileprivate func isASCII(at index: Int) -> Bool {
    loadUnaligned(fromByteOffset: index, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
  }
}
