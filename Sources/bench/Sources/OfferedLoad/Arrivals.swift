import Foundation

/// When the requests of a Poisson process arrive, counted from its start: the gaps are exponential, with this mean. The
/// same seed gives the same arrivals.
public func poissonArrivals(_ count: Int, meanGap: Double, seed: UInt64) -> [Double] {
  precondition(meanGap > 0, "meanGap is \(meanGap), but it must be positive")
  var random = SplitMix64(state: seed)
  var time = 0.0
  return (0..<count).map { _ in
    // By inversion. 1 - u is never 0.
    time -= meanGap * log(1 - random.nextUnit())
    return time
  }
}

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): the standard library's generator cannot be given a seed.
private struct SplitMix64 {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var bits = state
    bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
    bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
    return bits ^ (bits >> 31)
  }

  /// At least 0 and less than 1.
  mutating func nextUnit() -> Double { Double(next() >> 11) * 0x1p-53 }
}
