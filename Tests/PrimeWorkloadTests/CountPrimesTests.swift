import Testing

@testable import PrimeWorkload

@Suite struct CountPrimesTests {
  @Test(
    arguments: [
      (0, 0), (1, 0), (2, 0), (3, 1), (4, 2), (5, 2), (9, 4), (10, 4), (26, 9), (100, 25), (1000, 168), (50_000, 5133),
    ] as [(UInt32, Int)])
  func countsBelow(limit: UInt32, expected: Int) {
    #expect(countPrimes(below: limit) == expected)
  }

  @Test func countsInARange() {
    #expect(countPrimes(in: 0..<0) == 0)
    #expect(countPrimes(in: 2..<3) == 1)
    #expect(countPrimes(in: 24..<29) == 0)
    #expect(countPrimes(in: 90..<102) == 2)
  }

  /// 4,294,967,291 is the largest prime that fits; the square of its last trial divisor + 1 does not fit.
  @Test func reachesTheTopOfTheRange() {
    #expect(countPrimes(in: 4_294_967_280..<UInt32.max) == 1)
    #expect(isPrime(4_294_967_291))
    #expect(!isPrime(UInt32.max))
  }

  /// A root that is rounded down by one too many would call these prime.
  @Test func squaresOfPrimesAreNotPrime() {
    for prime: UInt32 in [2, 3, 5, 7, 251, 46_337, 65_521] {
      #expect(!isPrime(prime * prime))
    }
  }
}

@Suite struct EqualCostRangesTests {
  @Test(arguments: [0, 1, 2, 3, 10, 1000, 5_000_000, UInt32.max], [1, 2, 3, 7, 64, 1000])
  func partitionsExactly(limit: UInt32, count: Int) {
    let ranges = equalCostRanges(below: limit, count: count)
    #expect(ranges.count <= count)
    #expect(ranges.allSatisfy { !$0.isEmpty })
    #expect(ranges.first?.lowerBound ?? 0 == 0)
    #expect(ranges.last?.upperBound ?? 0 == limit)
    for (range, next) in zip(ranges, ranges.dropFirst()) {
      #expect(range.upperBound == next.lowerBound)
    }
  }

  @Test func costsAreEqual() {
    let limit: UInt32 = 5_000_000
    let ranges = equalCostRanges(below: limit, count: 100)
    let share = primeCountingCost(below: limit) / 100
    #expect(ranges.count == 100)
    for range in ranges {
      let cost = primeCountingCost(below: range.upperBound) - primeCountingCost(below: range.lowerBound)
      #expect(abs(cost / share - 1) < 0.01)
    }
  }

  @Test func sumsToTheWhole() {
    let counts = equalCostRanges(below: 50_000, count: 9).map(countPrimes(in:))
    #expect(counts.reduce(0, +) == 5133)
  }
}
