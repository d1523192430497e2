import PrimeWorkload
import WorkerPool

/// One way to run a plan.
protocol Runner {
  var kind: ExecutorChoice { get }
  var workerCount: Int { get }
  /// Lets every worker touch what the timed runs use.
  func warmUp(_ kernel: PrimeKernel) throws
  func run(_ plan: Plan, progress: inout ProgressBar) throws -> TimedRun
}

/// One piece after another, on the calling thread.
struct SequentialRunner: Runner {
  let kind = ExecutorChoice.sequential
  let workerCount = 1

  func warmUp(_ kernel: PrimeKernel) {
    _ = countPrimes(in: 0..<10_000, kernel: kernel)
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

  func warmUp(_ kernel: PrimeKernel) throws {
    // Short, but long enough that one worker cannot take them all before the others have woken.
    let jobs = (0..<8 * workerCount).map { TimedCount(piece: $0, lower: 0, upper: 10_000, kernel: kernel) }
    _ = try executor.map(jobs, chunkSize: 1)
  }

  func run(_ plan: Plan, progress: inout ProgressBar) throws -> TimedRun {
    let start = monotonicNanoseconds()
    let futures = try plan.largestFirst.map { try executor.submit(TimedCount($0, of: plan)) }
    var outputs: [TimedCount.Output] = []
    for future in asCompleted(futures) {
      let output = try future.result()
      outputs.append(output)
      progress.advance(by: plan.pieces[output.piece].cost)
    }
    return TimedRun(plan: plan, outputs: outputs, start: start, end: monotonicNanoseconds())
  }
}
