import OfferedLoad
import Testing

@Suite struct ArrivalsTests {
  private let gaps: [Double] = {
    let times = poissonArrivals(20_000, meanGap: 5, seed: 1)
    return zip(times, [0] + times).map { $0 - $1 }
  }()

  @Test func timeOnlyGoesOn() {
    #expect(gaps.count == 20_000)
    #expect(gaps.allSatisfy { $0 >= 0 })
  }

  @Test func seedsDecide() {
    let times = poissonArrivals(100, meanGap: 5, seed: 1)
    #expect(times == poissonArrivals(100, meanGap: 5, seed: 1))
    #expect(times != poissonArrivals(100, meanGap: 5, seed: 2))
    #expect(poissonArrivals(0, meanGap: 5, seed: 1) == [])
  }

  /// Of an exponential distribution the deviation is the mean, and 1 - 1/e of all values are below the mean.
  @Test func gapsAreExponential() {
    let mean = gaps.reduce(0, +) / Double(gaps.count)
    let variance = gaps.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(gaps.count)
    #expect(abs(mean / 5 - 1) < 0.03)
    #expect(abs(variance.squareRoot() / mean - 1) < 0.03)
    #expect(abs(Double(gaps.count { $0 < mean }) / Double(gaps.count) - 0.632) < 0.015)
  }

  /// A gap says nothing of the next one.
  @Test func gapsAreIndependent() {
    let pairs = zip(gaps, gaps.dropFirst())
    let covariance = pairs.reduce(0) { $0 + ($1.0 - 5) * ($1.1 - 5) } / Double(gaps.count - 1)
    #expect(abs(covariance / 25) < 0.03)
  }
}
