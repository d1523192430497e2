// Four prime counts, one after another and then on four worker processes.
import PrimeWorkload
import WorkerPool

let limits: [UInt32] = [50_000, 50_000, 50_000, 50_000]
// A handle is made before the pool: the workers are copies of this process and know what it knew then.
let counting = FunctionHandle(countPrimes(below:))

try withProcessPoolExecutor(maxWorkers: 4) { pool in
  _ = try pool.map(counting, [100, 100, 100, 100])  // warms up the workers

  var (sequential, parallel): ([Int], [Int]) = ([], [])
  let sequentialTime = ContinuousClock().measure {
    sequential = limits.map(countPrimes(below:))
  }
  let parallelTime = try ContinuousClock().measure {
    parallel = try pool.map(counting, limits)
  }

  print("sequential:   \(sequential) in \(sequentialTime)")
  print("process pool: \(parallel) in \(parallelTime)")
  print("speed-up:     \((sequentialTime / parallelTime * 100).rounded() / 100)")
}
