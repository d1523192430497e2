/// Something that ours has to reach before it may be called good.
public struct Floor: Sendable {
  public enum Value: Sendable, Equatable {
    /// Ours over that subject.
    case over(String)
    /// Ours over the peer it stands worst against.
    case overBestPeer
    /// The 99th percentile of ours over that of this subject.
    case p99Over(String)
    /// One subject over another, both named.
    case between(String, String)
    /// Ours at this width over ours at the reference width.
    case width(Int)
    /// Nanoseconds that an operation of ours takes.
    case time
    /// Something else that ours reports, by its key.
    case extra(String)
  }

  public var bench: String
  public var value: Value
  public var atMost: Double

  public init(_ bench: String, _ value: Value, atMost: Double) {
    self.bench = bench
    self.value = value
    self.atMost = atMost
  }
}

public let floors: [Floor] = [
  Floor("fanout", .over("dispatch"), atMost: 0.35),
  Floor("fanout", .over("rayon"), atMost: 0.6),
  Floor("fanout-future", .over("swift-concurrency"), atMost: 0.15),
  Floor("contend", .over("dispatch"), atMost: 0.5),
  Floor("spawn-fib", .over("rayon"), atMost: 3),
  Floor("pingpong", .time, atMost: 3000),
  Floor("pingpong", .overBestPeer, atMost: 0.3),
  Floor("map-uniform", .overBestPeer, atMost: 1.05),
  Floor("map-irregular", .overBestPeer, atMost: 1.05),
  Floor("primes", .overBestPeer, atMost: 1.05),
  Floor("wide", .width(16), atMost: 1.5),
  Floor("wide", .width(64), atMost: 1.5),
  Floor("pending", .extra("bytes"), atMost: 96),
  Floor("pending-future", .extra("bytes"), atMost: 256),
  Floor("task-children", .over("swift-concurrency"), atMost: 1.1),
  Floor("task-awaits", .over("swift-concurrency"), atMost: 1.1),
  Floor("prime-kernel", .over("c-O3"), atMost: 1.1),
  Floor("prime-kernel", .between("ours-simd", "ours"), atMost: 0.4),
  Floor("idle", .extra("switches"), atMost: 0),
  Floor("latency-closed", .p99Over("fifo"), atMost: 1.1),
  Floor("process-pingpong", .extra("p50_ns"), atMost: 3000),
  Floor("process-pingpong-parked", .over("c-loop"), atMost: 1.3),
  Floor("process-fanout", .over("python-process"), atMost: 0.01),
  Floor("process-map", .over("python-process"), atMost: 0.01),
  Floor("process-payload", .over("c-loop"), atMost: 1.5),
  Floor("process-payload", .between("ours-no-copy", "c-loop"), atMost: 1.0),
  Floor("process-respawn", .time, atMost: 5_000_000),
  // Two workers, nine tenths of what two could do at best: of two whole CPUs, and of the two that there are, which may
  // be halves of one.
  Floor("process-primes", .over("sequential"), atMost: 1 / (0.9 * 2)),
  Floor("process-primes", .over("c-loop"), atMost: 1 / 0.9),
]

public struct Judgement: Sendable {
  public var floor: Floor
  public var value: Double
  public var holds: Bool { value <= floor.atMost }
}

extension Floor {
  /// Nil where the run did not measure what the floor is about.
  public func judge(_ comparisons: [Comparison]) -> Judgement? {
    guard let comparison = comparisons.first(where: { $0.bench == bench }), let value = measured(in: comparison)
    else { return nil }
    return Judgement(floor: self, value: value)
  }

  private func measured(in comparison: Comparison) -> Double? {
    let ours = comparison.find(Comparison.ours)
    switch value {
    case .over(let peer): return comparison.find(peer).flatMap(comparison.ratio)
    case .overBestPeer: return comparison.bestPeer?.ratio
    case .width(let workers):
      return comparison.find(Comparison.ours, workers: workers).flatMap(comparison.ratio)
    case .time: return ours.flatMap { median($0.wall) }
    case .extra("switches"): return ours?.extras["switches"]?.max()
    case .extra(let key): return ours?.extras[key].flatMap(median)
    case .p99Over(let peer):
      guard let ours = ours?.extras["p99_ns"], let theirs = comparison.find(peer)?.extras["p99_ns"] else { return nil }
      return pairedRatio(ours, over: theirs)
    case .between(let subject, let other):
      guard let subject = comparison.find(subject), let other = comparison.find(other) else { return nil }
      return pairedRatio(subject.wall, over: other.wall)
    }
  }

  /// What is limited, in words.
  public var subject: String {
    switch value {
    case .over(let peer): "ours over \(peer)"
    case .overBestPeer: "ours over the best peer"
    case .p99Over(let peer): "p99 of ours over \(peer)"
    case .between(let subject, let other): "\(subject) over \(other)"
    case .width(let workers): "\(workers) workers over \(Comparison.referenceWidth)"
    case .time: "time of an operation"
    case .extra("p50_ns"): "median time of an operation"
    case .extra(let key): key
    }
  }

  /// A value of this floor as people read it.
  public func readable(_ value: Double) -> String {
    switch self.value {
    case .time, .extra("p50_ns"): readableTime(value)
    case .extra: readableCount(value)
    default: readableRatio(value)
    }
  }
}
