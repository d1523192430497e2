import PrimeWorkload

/// One task: a range of the numbers below one of the limits.
struct Piece: Sendable {
  /// Which limit it belongs to.
  var limitIndex: Int
  var range: Range<UInt32>
  /// In the units of `primeCountingCost`.
  var cost: Double
}

/// The limits, cut into pieces that balance.
///
/// A small limit stays one task. A large one becomes so many pieces of equal cost that the last piece of a run is
/// a small part of it, however many workers there are; it takes about 3 ms by the scalar kernel and a tenth of that by
/// wide vectors, long beside the microseconds of a task's way to a worker and back.
struct Plan: Sendable {
  /// The cost of a piece, unless that made more than `mostPieces` of a limit.
  static let pieceCost = 2.5e7
  static let mostPieces = 16_384

  let limitCount: Int
  let kernel: PrimeKernel
  /// In the order of the limits, ascending within each.
  let pieces: [Piece]
  let cost: Double

  init(limits: [UInt32], kernel: PrimeKernel) {
    limitCount = limits.count
    self.kernel = kernel
    pieces = limits.enumerated().flatMap { index, limit in
      let count = (primeCountingCost(below: limit) / Plan.pieceCost).rounded(.up)
      let ranges = equalCostRanges(below: limit, count: Int(min(max(count, 1), Double(Plan.mostPieces))))
      return ranges.map { range in
        let cost = primeCountingCost(below: range.upperBound) - primeCountingCost(below: range.lowerBound)
        return Piece(limitIndex: index, range: range, cost: cost)
      }
    }
    cost = pieces.reduce(0) { $0 + $1.cost }
  }

  /// Indices into `pieces`, the most expensive first, so that what runs last is short.
  var largestFirst: [Int] {
    // `sorted` promises no order among equals: the index settles ties.
    pieces.indices.sorted { (pieces[$0].cost, $1) > (pieces[$1].cost, $0) }
  }

  /// How many numbers are looked at.
  var numbers: Int {
    pieces.reduce(0) { $0 + $1.range.count }
  }
}
