/// What the rounds of one subject in one bench gave. All arrays have a value per round.
public struct Series: Sendable {
  public var subject: String
  public var workers: Int
  /// Operations in a round.
  public var n: Int
  /// Wall time and CPU time per operation.
  public var wall: [Double] = []
  public var cpu: [Double] = []
  /// What else the subject told (`p50_ns`, `p99_ns`, `max_ns`, `bytes`, `switches`).
  public var extras: [String: [Double]] = [:]

  public init(subject: String, workers: Int, n: Int) {
    self.subject = subject
    self.workers = workers
    self.n = n
  }

  /// What subjects are compared by: the time of an operation. A subject that reports its longest latency belongs to a bench
  /// about latency. There all subjects take the same time, and the 99th percentile compares them.
  public var compared: [Double] { extras["max_ns"] == nil ? wall : extras["p99_ns"] ?? [] }

  /// Enters one round, given with the totals that the subject reported.
  public mutating func append(_ reading: [String: Double]) {
    for (key, value) in reading {
      switch key {
      case "wall_ns": wall.append(value / Double(n))
      case "cpu_ns": cpu.append(value / Double(n))
      default: extras[key, default: []].append(value)
      }
    }
  }
}

/// All subjects of one bench, measured in the same rounds.
public struct Comparison: Sendable {
  public var bench: String
  public var series: [Series]
  /// CPUs that the rest of the machine used, per round.
  public var busy: [Double]

  public init(bench: String, series: [Series], busy: [Double]) {
    self.bench = bench
    self.series = series
    self.busy = busy
  }

  /// The name of the subject that the others are compared with.
  public static let ours = "ours"

  /// The series at this width, or where the bench has one width only, of any.
  public func find(_ subject: String, workers: Int? = nil) -> Series? {
    series.first { $0.subject == subject && (workers == nil || $0.workers == workers) }
  }

  public var isAboutLatency: Bool { series.contains { $0.extras["max_ns"] != nil } }

  /// Whether ours runs at several widths here, and is compared with itself.
  public var isAboutWidth: Bool { series.count(where: { $0.subject == Self.ours }) > 1 }

  /// The width that others are compared with where a bench is about width.
  public static let referenceWidth = 2

  /// Ours over this subject. In a bench about width: this width over the reference.
  public func ratio(_ series: Series) -> Double? {
    if isAboutWidth {
      guard let reference = find(Self.ours, workers: Self.referenceWidth) else { return nil }
      return pairedRatio(series.wall, over: reference.wall)
    }
    // Idling takes all subjects the same time.
    guard series.subject != Self.ours, series.extras["switches"] == nil, let ours = find(Self.ours) else { return nil }
    return pairedRatio(ours.compared, over: series.compared)
  }

  /// The peer that ours stands worst against, and ours over it. Relatives of ours (`ours-simd`) are no peers.
  public var bestPeer: (name: String, ratio: Double)? {
    guard !isAboutWidth else { return nil }
    return
      series
      .filter { !$0.subject.hasPrefix(Self.ours) }
      .compactMap { peer in ratio(peer).map { (name: peer.subject, ratio: $0) } }
      .max { $0.ratio < $1.ratio }
  }

  public var rows: [Row] {
    series.map { series in
      Row(
        bench: bench, subject: series.subject, workers: series.workers, n: series.n,
        medianNs: median(series.wall) ?? 0, minNs: series.wall.min() ?? 0, cpuNs: median(series.cpu) ?? 0,
        rounds: series.wall.count, busy: median(busy) ?? 0,
        p50Ns: series.extras["p50_ns"].flatMap(median), p99Ns: series.extras["p99_ns"].flatMap(median),
        maxNs: series.extras["max_ns"].flatMap(median),
        bytes: series.extras["bytes"].flatMap(median), switches: series.extras["switches"]?.max(),
        ratio: ratio(series))
    }
  }
}

/// A line of results.json: one subject in one bench. Times are nanoseconds per operation.
public struct Row: Codable, Equatable, Sendable {
  public var bench: String
  public var subject: String
  public var workers: Int
  public var n: Int
  public var medianNs: Double
  public var minNs: Double
  public var cpuNs: Double
  public var rounds: Int
  public var busy: Double
  public var p50Ns: Double?
  public var p99Ns: Double?
  /// The longest latency of a round. Only benches of latency have one.
  public var maxNs: Double?
  /// Resident memory per pending task.
  public var bytes: Double?
  /// Context switches of an idle pool, in the worst round.
  public var switches: Double?
  /// See ``Comparison/ratio(_:)``.
  public var ratio: Double?

  /// See ``Series/compared``.
  var comparedNs: Double { maxNs == nil ? medianNs : p99Ns ?? medianNs }

  private enum CodingKeys: String, CodingKey {
    case bench, subject, workers, n
    case medianNs = "median_ns"
    case minNs = "min_ns"
    case cpuNs = "cpu_ns"
    case rounds, busy
    case p50Ns = "p50_ns"
    case p99Ns = "p99_ns"
    case maxNs = "max_ns"
    case bytes, switches, ratio
  }
}
