// Ours in processes. The pool is the first thing that is made: its workers are forks of this process, which may have one
// thread only, and what is shared with them or called in them by a handle has to be there before.
import BenchedPrimes
import Foundation
import WorkerPool

func ourProcesses(_ bench: ProcessBenchName, workers: Int, n: Int) throws -> Workload {
  if bench == .respawn { return try ourRespawn(n) }
  let pool =
    switch bench {
    case .pingpongParked: try parkedPool(workers, workersOn: 1)
    case .pingpongParkedNear: try parkedPool(workers, workersOn: 0)
    default: try ProcessPoolExecutor(maxWorkers: workers, startMethod: .fork)
    }
  var workload = ourWorkload(bench, pool, n)
  workload.cpu = try cpuClock(of: pool)
  return workload
}

/// A pool in which nobody spins, with its workers on one CPU and this process on the first.
private func parkedPool(_ workers: Int, workersOn index: Int) throws -> ProcessPoolExecutor {
  BlockingWait.spinDuration = .zero
  let cpus = try grantedCPUs()
  let pool = try ProcessPoolExecutor(
    maxWorkers: workers, startMethod: .fork, affinity: .cpus([cpus[min(index, cpus.count - 1)]]), spinDuration: .zero)
  try stay(onCPU: cpus[0])
  return pool
}

private func ourWorkload(_ bench: ProcessBenchName, _ pool: ProcessPoolExecutor, _ n: Int) -> Workload {
  switch bench {
  case .pingpong, .pingpongParked, .pingpongParkedNear:
    return pingpong(n) { index in try pool.submit(Echo(number: index)).result() }
  case .fanout:
    return fanoutFuture(n) {
      let futures = try (0..<n).map { index in try pool.submit(Echo(number: index)) }
      return try futures.reduce(0) { sum, future in sum + (try future.result()) }
    }
  case .map:
    let jobs = (0..<n).map { Echo(number: $0) }
    return fanoutFuture(n) { try pool.map(jobs).reduce(0, +) }
  case .payload: return payload(n) { try pool.submit(LargeResult()).result() }
  case .primes: return processPrimes(n) { ranges in try pool.map(ranges.map(CountInRange.init)).reduce(0, +) }
  case .seed: return seedPrimes(n) { limits in try pool.map(limits.map(CountBelow.init)) }
  case .respawn: preconditionFailure("has a pool of its own")
  }
}

/// Ours where a large result is not copied out of the worker's memory.
func ourLoans(_ bench: ProcessBenchName, workers: Int, n: Int) throws -> Workload? {
  guard bench == .payload else { return nil }
  let pool = try ProcessPoolExecutor(maxWorkers: workers, startMethod: .fork)
  var workload = payload(n) { try pool.submit(LargeSharedResult()).result() }
  workload.cpu = try cpuClock(of: pool)
  return workload
}

/// The main job of the seed, and the kernel shared by all, on the one thread that there is.
func sequential(_ bench: ProcessBenchName, n: Int) -> Workload? {
  switch bench {
  case .primes: processPrimes(n) { ranges in ranges.reduce(0) { $0 + kernel($1) } }
  case .seed: seedPrimes(n) { limits in limits.map { countPrimes(below: $0) } }
  default: nil
  }
}

/// CPU time of this process, the template and all workers, living and dead.
private func cpuClock(of pool: ProcessPoolExecutor) throws -> () -> Int {
  let template = try pool.submit(ParentIdentifier()).result()
  return {
    let processes = [getpid(), template] + pool.workerProcessIdentifiers
    return processes.reduce(cpuNanosecondsOfEndedChildren(of: template)) { $0 + cpuNanoseconds(of: $1) }
  }
}

/// How long after a worker's death the task behind it begins, in the worker that takes the dead one's place.
private func ourRespawn(_ n: Int) throws -> Workload {
  let death = try SharedStamp()
  let dying = FunctionHandle { (_: Int) in
    death.now()
    // Dead when it returns, since nobody blocks this signal.
    kill(getpid(), SIGKILL)
  }
  let beginning = FunctionHandle { (_: Int) in nanoseconds(CLOCK_MONOTONIC) }
  let pool = try ProcessPoolExecutor(maxWorkers: 1, startMethod: .fork)
  var workload = respawn(n) {
    let last = try pool.submit(dying, 0)
    let begun = try pool.submit(beginning, 0).result()
    do {
      _ = try last.result()
    } catch let error as WorkerPoolError where error.code == .workerDied {
      return begun - death.value
    }
    throw WrongResult(description: "a task that kills its worker returned")
  }
  workload.cpu = try cpuClock(of: pool)
  return workload
}

// MARK: - Jobs

struct Echo: Job, BitwiseWireCodable {
  var number: Int
  func run() -> Int { number }
}

struct LargeResult: Job, BitwiseWireCodable {
  func run() -> [UInt8] { largeResult }
}

/// Written where it will be read.
struct LargeSharedResult: Job, BitwiseWireCodable {
  func run() -> SharedResult<UInt8> {
    SharedResult(count: largeResult.count) { bytes in _ = bytes.initialize(fromContentsOf: largeResult) }
  }
}

struct CountInRange: Job, BitwiseWireCodable {
  var lowerBound: UInt32
  var upperBound: UInt32

  init(_ range: Range<UInt32>) { (lowerBound, upperBound) = (range.lowerBound, range.upperBound) }
  func run() -> Int { kernel(lowerBound..<upperBound) }
}

struct CountBelow: Job, BitwiseWireCodable {
  var limit: UInt32
  func run() -> Int { countPrimes(below: limit) }
}

struct ParentIdentifier: Job, BitwiseWireCodable {
  func run() -> Int32 { getppid() }
}
