import WorkerPool

func ours(_ bench: BenchName, workers: Int, n: Int) throws -> Workload? {
  let pool = try ThreadPoolExecutor(maxWorkers: workers)
  switch bench {
  case .fanout, .wide: return fanout(n) { latch in try pool.execute { latch.countDown() } }
  case .contend: return contend(n) { latch in try pool.execute { latch.countDown() } }
  case .fireAndForget:
    return fireAndForget(
      n, run: { try pool.execute($0) }, submit: { latch in try pool.execute { latch.countDown() } })
  case .idle: return idle { latch in try pool.execute { latch.countDown() } }
  case .fanoutFuture:
    return fanoutFuture(n) {
      let futures = try (0..<n).map { index in try pool.submit { index } }
      return try futures.reduce(0) { sum, future in sum + (try future.result()) }
    }
  case .spawnFib: return spawnFib(n) { k in try fib(k, on: pool) }
  case .pingpong: return pingpong(n) { index in try pool.submit { index }.result() }
  case .mapUniform: return mapUniform(n) { input in try pool.map(input) { $0 &* 3 } }
  case .mapIrregular:
    return mapIrregular(n) { limits in try pool.map(limits) { kernel(0..<$0) }.reduce(0, +) }
  case .primes: return primes(n) { ranges in try pool.map(ranges, kernel).reduce(0, +) }
  case .taskChildren:
    return taskChildren(n) { children in
      try blocking { await withTaskExecutorPreference(pool) { await children() } }
    }
  case .taskAwaits:
    return taskAwaits(
      n, isInside: { pool.currentWorkerIndex != nil },
      run: { awaits in try blocking { await withTaskExecutorPreference(pool) { await awaits() } } })
  case .pending, .pendingFuture: return oursPending(bench, pool, n: n)
  case .primeKernel: return primeKernel(n, countInSwift)
  }
}

@Sendable private func fib(_ k: Int, on pool: ThreadPoolExecutor) throws -> Int {
  guard k > 1 else { return k }
  let (a, b) = try pool.join({ try fib(k - 1, on: pool) }, { try fib(k - 2, on: pool) })
  return a + b
}

private func oursPending(_ bench: BenchName, _ pool: ThreadPoolExecutor, n: Int) -> Workload {
  let blockade = Blockade(pool.maxWorkers) { body in try pool.execute(body) }
  if bench == .pending {
    return pending(n, close: blockade.close, open: blockade.open) { tally, number in
      try pool.execute { tally.count(number) }
    }
  }
  return pendingFuture(n, close: blockade.close, open: blockade.open) { tally, number in
    try pool.submit { tally.count(number) }
  } finish: { futures in
    for future in futures { try future?.result() }
  }
}
