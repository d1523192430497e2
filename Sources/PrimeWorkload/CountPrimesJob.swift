import WorkerPool

/// Counting the primes in a range, as a job for any executor.
public struct CountPrimes: Job, BitwiseWireCodable {
  public var lower: UInt32
  /// Not counted itself.
  public var upper: UInt32

  public init(in range: Range<UInt32>) {
    lower = range.lowerBound
    upper = range.upperBound
  }

  public func run() -> Int {
    countPrimes(in: lower..<upper)
  }
}
