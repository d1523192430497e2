import ThreadTestSupport
import WorkerPool

/// Bytes per task that waits for a worker; its closure captures a reference and an Int. Futures are kept, the array that
/// keeps them does not count.
func measurePending(withFutures: Bool, limit: Int, for duration: Duration) throws -> String {
  let count = 200_000
  let deadline = ContinuousClock.now + duration
  let pool = try ThreadPoolExecutor(maxWorkers: 2, name: "pending")
  var kept = [Future<Void>?](repeating: nil, count: withFutures ? count : 0)
  var most = 0
  repeat {
    let gate = try block(pool)
    let ran = Counter()
    let start = residentBytes()
    for number in 0..<count {
      if withFutures {
        kept[number] = try pool.submit { ran.add(number) }
      } else {
        try pool.execute { ran.add(number) }
      }
    }
    most = max(most, residentBytes() - start)
    gate.signal(pool.maxWorkers)
    try expect(eventually { ran.value == count * (count - 1) / 2 }, "the tasks' numbers add up to \(ran.value)")
    for number in kept.indices {
      try kept[number]?.result()
      kept[number] = nil
    }
  } while ContinuousClock.now < deadline
  pool.shutdown()
  // Less than its queue cell alone no task can take: then the measurement would be wrong.
  try expect((16 * count...limit * count).contains(most), "\(most / count) bytes per task, not 16 to \(limit)")
  return "\(most / count) bytes per task"
}

/// Occupies all workers of the pool until each got a signal.
private func block(_ pool: ThreadPoolExecutor) throws -> Semaphore {
  let (gate, blocked) = (Semaphore(), Semaphore())
  for _ in 0..<pool.maxWorkers {
    try pool.execute {
      blocked.signal()
      gate.wait()
    }
  }
  blocked.wait(pool.maxWorkers)
  return gate
}
