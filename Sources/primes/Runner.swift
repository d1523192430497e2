import PrimeWorkload
import WorkerPool

/// One way to run a plan.
protocol Runner {
  var kind: ExecutorChoice { get }
  var workerCount: Int { get }
  /// Lets every worker touch what the timed runs use.
  func warmUp() throws
  func run(_ plan: Plan, progress: inout ProgressBar) throws -> TimedRun
}

/// One piece after another, on the calling thread.
struct SequentialRunner: Runner {
  let kind = ExecutorChoice.sequential
  let workerCount = 1

  func warmUp() {
    _ = countPrimes(below: 10_000)
  }

  func run(_ plan: Plan, progress: inout ProgressBar) -> TimedRun {
    let start = monotonicNanoseconds()
    let outputs = plan.pieces.indices.map { piece in
      let output = TimedCount(piece, of: plan).run()
      progress.advance(by: plan.pieces[piece].cost)
      return output
    }
    return TimedRun(plan: plan, outputs: outputs, start: start, end: monotonicNanoseconds())
  }
}

/// All pieces at once, on an executor.
struct PoolRunner<Executor: JobExecutor>: Runner {
  let kind: ExecutorChoice
  let executor: Executor

  var workerCount: Int { executor.maxWorkers }

  func warmUp() throws {
    // Short, but long enough that one worker cannot take them all before the others have woken.
    let jobs = (0..<8 * workerCount).map { TimedCount(piece: $0, lower: 0, upper: 10_000) }
    _ = try executor.map(jobs, chunkSize: 1)
  }

  func run(_ plan: Plan, progress: inout ProgressBar) throws -> TimedRun {
    let start = monotonicNanoseconds()
    let order = plan.largestFirst
    let futures = try order.map { try executor.submit(TimedCount($0, of: plan)) }
    if progress.isEnabled {
      var pending = futures
      while !pending.isEmpty {
        let (done, notDone) = wait(for: pending, timeout: .milliseconds(100))
        for future in done {
          progress.advance(by: plan.pieces[try future.result().piece].cost)
        }
        progress.refresh()
        pending = notDone
      }
    } else {
      // One wake-up of this thread, where one a piece would take a CPU from the workers.
      _ = wait(for: futures)
    }
    let end = monotonicNanoseconds()
    return TimedRun(plan: plan, outputs: try futures.map { try $0.result() }, start: start, end: end)
  }
}
