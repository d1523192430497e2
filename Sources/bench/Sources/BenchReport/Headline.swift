/// The seed's main job in our processes and in Python's.
public struct Headline: Sendable {
  /// What the subject is called that ours is compared with.
  public static let python = "python-process"

  private let ours: Double
  private let theirs: Double
  private let factor: Double
  private let limit: Int
  private let workers: Int

  /// Nil if either was not measured.
  public init?(_ comparison: Comparison) {
    guard let ours = comparison.find(Comparison.ours), let python = comparison.find(Self.python),
      let oursPerUnit = median(ours.wall), let pythonPerUnit = median(python.wall),
      let ratio = pairedRatio(python.wall, over: ours.wall)
    else { return nil }
    (limit, workers) = (ours.n, ours.workers)
    (self.ours, theirs) = (oursPerUnit * Double(ours.n), pythonPerUnit * Double(python.n))
    factor = ratio
  }

  public var line: String {
    """
    primes below \(limit), counted 4 times on \(workers) workers: Python's ProcessPoolExecutor \(readableTime(theirs)), \
    ours \(readableTime(ours)), \(readableCount(factor)) times as fast
    """
  }
}
