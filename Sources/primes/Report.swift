import Foundation
import PrimeWorkload

/// Everything that was measured; its JSON form is what `--json` prints.
struct Report: Codable {
  /// All repetitions on one executor.
  struct Run: Codable {
    var executor: ExecutorChoice
    /// How many workers the executor has; those that got work are listed in each repetition.
    var workers: Int
    /// One count for each limit, from the first repetition.
    var results: [Int]
    var medianWallSeconds: Double
    /// Median of the repetitions' speed-ups; absent when nothing ran sequentially.
    var medianSpeedup: Double?
    var medianEndSpread: Double
    var repetitions: [TimedRun]
  }

  var limits: [UInt32]
  /// What every executor tested numbers with: `auto` and `simd` are resolved.
  var kernel: PrimeKernel
  /// Whether all executors and repetitions gave the same results.
  var agree: Bool
  var runs: [Run]

  /// - Parameter measured: For each runner, its repetitions.
  init(limits: [UInt32], kernel: PrimeKernel, runners: [any Runner], measured: [[TimedRun]]) {
    let sequential = zip(runners, measured).first { $0.0.kind == .sequential }?.1
    let expected = measured.first?.first?.results
    self.limits = limits
    self.kernel = kernel
    agree = measured.joined().allSatisfy { $0.results == expected }
    runs = zip(runners, measured).map { runner, repetitions in
      var repetitions = repetitions
      for (index, base) in (sequential ?? []).enumerated() {
        repetitions[index].speedup = base.wallSeconds / repetitions[index].wallSeconds
      }
      return Run(
        executor: runner.kind,
        workers: runner.workerCount,
        results: repetitions[0].results,
        medianWallSeconds: median(repetitions.map(\.wallSeconds)),
        medianSpeedup: sequential == nil ? nil : median(repetitions.compactMap(\.speedup)),
        medianEndSpread: median(repetitions.map(\.endSpread)),
        repetitions: repetitions)
    }
  }

  func json() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }

  var text: String {
    runs.map { run in
      let name = run.executor.rawValue.padding(toLength: 12, withPad: " ", startingAt: 0)
      let speedup = run.medianSpeedup.map { String(format: "%6.2f×", $0) } ?? "      –"
      let results = run.results.map(String.init).joined(separator: " ")
      let workers = "\(run.workers) worker\(run.workers == 1 ? "" : "s"), \(kernel)"
      return name + String(format: "%10.4f s", run.medianWallSeconds) + speedup + "  [\(results)]  \(workers)"
    }.joined(separator: "\n")
  }
}

/// The middle value, or the mean of the middle two. There must be one at least.
func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  let middle = sorted.count / 2
  return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
}
