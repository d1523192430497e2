/// The time from a submission to the end of its task. In a closed loop each client waits for its task and then submits the
/// next. In an open one tasks arrive as a Poisson process, whether others have ended or not.
enum LatencyBenchName: String, CaseIterable {
  case closed = "latency-closed"
  case half = "latency-open-0.5"
  case most = "latency-open-0.8"
  case all = "latency-open-1.0"

  /// The rate of the arrivals over the rate that the workers can serve. Nil for the closed loop.
  var load: Double? {
    switch self {
    case .closed: nil
    case .half: 0.5
    case .most: 0.8
    case .all: 1
    }
  }
}

extension Bench {
  /// Side by side: the tasks sleep, and all subjects together use less than a tenth of a CPU.
  private init(_ name: LatencyBenchName) {
    // A round takes 4 s at each load.
    let n = Int(800 * (name.load ?? 1))
    self.init(
      name: name.rawValue, n: n,
      contestants: [.ours, .fifo, .nio, .dispatch].map { Contestant(subject: $0, workers: 2, n: n) },
      programs: .none, isSideBySide: true)
    family = "latency"
    smokeDivisor = 25
  }

  static let latencies = LatencyBenchName.allCases.map { Bench($0) }
}
