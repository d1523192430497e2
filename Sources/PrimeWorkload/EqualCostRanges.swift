import Glibc

/// What it costs to count the primes below `limit`, in arbitrary units: limit·√limit.
///
/// The divisions per number grow as its root; that primes thin out (another 1/ln) changes the ranges too little to
/// matter.
public func primeCountingCost(below limit: UInt32) -> Double {
  Double(limit) * Double(limit).squareRoot()
}

/// Cuts `0..<limit` into at most `count` ranges that take equally long to search.
///
/// As the cost up to n grows as n^(3/2), the i-th of k boundaries stands at limit·(i/k)^(2/3).
///
/// - Parameter count: How many ranges are wanted; a limit smaller than that gives fewer. Must be positive.
/// - Returns: Ranges that are not empty, ascend, and together are exactly `0..<limit`.
public func equalCostRanges(below limit: UInt32, count: Int) -> [Range<UInt32>] {
  precondition(count > 0, "count is \(count), but it must be positive")
  var ranges: [Range<UInt32>] = []
  var lower: UInt32 = 0
  for index in 1...count {
    let share = Double(index) / Double(count)
    let upper = index == count ? limit : min(limit, UInt32(Double(limit) * cbrt(share * share)))
    if lower < upper {
      ranges.append(lower..<upper)
      lower = upper
    }
  }
  return ranges
}
