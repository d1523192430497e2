// The code of the README, which a test compares with this file.
import WorkerPool

func countPrimes(below limit: UInt32) -> Int {
  (0..<limit).count { number in number >= 2 && !(2..<number).contains { number.isMultiple(of: $0) } }
}

func threads() throws {
  let pool = try ThreadPoolExecutor(maxWorkers: 4)
  let future = try pool.submit { countPrimes(below: 1000) }
  future.addDoneCallback { print("done: \($0)") }
  print(try future.result())  // waits; throws what the task threw

  let squares = try pool.map(1...1000) { $0 * $0 }  // in order, handed out in chunks
  print(squares.reduce(0, +))

  let futures = try [30, 20, 10].map { limit in try pool.submit { countPrimes(below: limit) } }
  for future in asCompleted(futures) { print(try future.result()) }
  let (low, high) = try pool.join({ countPrimes(below: 500) }, { countPrimes(below: 700) })  // on the stack
  print(low, high)
  pool.shutdown()
}

struct CountPrimes: Job, BitwiseWireCodable {
  var limit: UInt32
  func run() throws -> Int { countPrimes(below: limit) }
}

func processes() throws {
  let counting = FunctionHandle(countPrimes(below:))  // before the pool: its workers are forks of this process
  let pool = try ProcessPoolExecutor(maxWorkers: 4)
  print(try pool.map(counting, [1000, 2000, 3000]))

  let future = try pool.submit(CountPrimes(limit: 4000))  // the same job would run on threads
  do {
    print(try future.result())
  } catch let error as WorkerPoolError where error.code == .workerDied {
    print(error)  // names the signal or the exit status; all other tasks go on
  }
  pool.shutdown()
}

func nodes() throws {
  let pool = try ThreadPoolExecutor(affinity: .spread)  // a CPU for each worker, over all NUMA nodes
  let cells = try PlacedBuffer<Double>(repeating: 1, count: 100_000, placement: .interleaved())
  print(try pool.map(cells) { $0 * 2 }.reduce(0, +))  // each node the same share at every call
  print(try pool.submit(onNode: CPUTopology.current().nodes[0].id) { cells.reduce(0, +) }.result())
  try pool.resize()  // to what the process is granted now
  pool.shutdown()
}

func async() async throws {
  try await withThreadPoolExecutor(maxWorkers: 4) { pool in
    async let first = pool.run { countPrimes(below: 1000) }  // blocks a thread of the pool, none of Swift's
    async let second = pool.run { countPrimes(below: 2000) }
    print(try await first + second)

    let futures = try (1...8).map { n in try pool.submit { n * n } }
    for await future in asCompleted(futures) { print(try await future.value) }
    await withTaskExecutorPreference(pool) { print("on worker", pool.currentWorkerIndex!) }  // Swift tasks, too
  }
}
