/// What one run of the plan took and gave.
struct TimedRun: Codable {
  /// What one worker did in a run.
  struct Worker: Codable {
    /// Linux thread id; of a worker process, its process id.
    var id: Int
    var pieces: Int
    /// When its last piece ended, in seconds since the run began.
    var endSeconds: Double
  }

  var wallSeconds: Double
  /// Sequential time over this time, of the same repetition.
  var speedup: Double?
  /// One count for each limit.
  var results: [Int]
  /// From the end of the first worker to the end of the last, over the wall time.
  var endSpread: Double
  /// By id.
  var workers: [Worker]
}

extension TimedRun {
  /// - Parameters:
  ///   - start: When the run began, in nanoseconds on the monotonic clock; `end` likewise.
  init(plan: Plan, outputs: [TimedCount.Output], start: UInt64, end: UInt64) {
    func seconds(_ time: UInt64) -> Double { Double(time - start) / 1e9 }

    var results = Array(repeating: 0, count: plan.limitCount)
    var workers: [Int: Worker] = [:]
    for output in outputs {
      results[plan.pieces[output.piece].limitIndex] += output.count
      var worker = workers[output.worker] ?? Worker(id: output.worker, pieces: 0, endSeconds: 0)
      worker.pieces += 1
      worker.endSeconds = max(worker.endSeconds, seconds(output.end))
      workers[output.worker] = worker
    }
    let ends = workers.values.map(\.endSeconds)
    wallSeconds = seconds(end)
    endSpread = ((ends.max() ?? 0) - (ends.min() ?? 0)) / wallSeconds
    self.results = results
    self.workers = workers.values.sorted { $0.id < $1.id }
  }
}
