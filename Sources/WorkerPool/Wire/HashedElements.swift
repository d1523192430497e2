extension WireDecoder {
  /// Refuses elements of which so many have one hash that to put them into a hash table takes quadratic time: NaNs, which
  /// are equal to none and hash alike, and values of a type that hashes badly.
  ///
  /// On average about 32 elements may share a hash. Values whose hashes are different and yet meet in a table
  /// cannot be made on purpose: each process has a secret of its own, but for a forked worker, which has the program's.
  func checkHashes<Element: Hashable>(of elements: [Element]) throws {
    guard elements.count > 64 else { return }
    let mask = (1 << (Int.bitWidth - elements.count.leadingZeroBitCount + 1)) - 1
    var counts = [UInt32](repeating: 0, count: mask + 1)
    let limit = 16 * elements.count
    var meetings = 0
    for element in elements {
      let slot = element.hashValue & mask
      meetings += Int(counts[slot])
      counts[slot] += 1
      guard meetings <= limit else {
        throw invalid("too many of \(elements.count) \(Element.self)s have the same hash")
      }
    }
  }
}
