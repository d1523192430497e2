import Foundation

/// Tasks and task groups on the default executor, which has a thread for each CPU whatever it is told.
func swiftConcurrency(_ bench: BenchName, n: Int) -> Workload? {
  switch bench {
  case .fanout: fanout(n) { latch in Task.detached { latch.countDown() } }
  case .contend: contend(n) { latch in Task.detached { latch.countDown() } }
  case .fireAndForget:
    fireAndForget(
      n, run: { body in Task.detached { body() } }, submit: { latch in Task.detached { latch.countDown() } })
  case .idle: idle { latch in Task.detached { latch.countDown() } }
  case .fanoutFuture:
    fanoutFuture(n) {
      let tasks = (0..<n).map { index in Task.detached { index } }
      return try blocking {
        var sum = 0
        for task in tasks { sum += await task.value }
        return sum
      }
    }
  case .spawnFib: spawnFib(n) { k in try blocking { await fib(k) } }
  case .pingpong: pingpong(n) { index in try blocking { index } }
  case .mapIrregular: mapIrregular(n) { limits in try sum(limits) { kernel(0..<$0) } }
  case .primes: primes(n) { ranges in try sum(ranges, kernel) }
  case .taskChildren: taskChildren(n) { children in try blocking { await children() } }
  case .taskAwaits: taskAwaits(n, isInside: isNotOutside, run: { awaits in try blocking { await awaits() } })
  case .pending, .pendingFuture: pendingTasks(bench, n: n)
  case .wide, .mapUniform, .primeKernel: nil
  }
}

private func fib(_ k: Int) async -> Int {
  guard k > 1 else { return k }
  async let a = fib(k - 1)
  let b = await fib(k - 2)
  return await a + b
}

/// A child task for each element.
private func sum<Element: Sendable>(
  _ elements: [Element], _ count: @escaping @Sendable (Element) -> Int
) throws -> Int {
  try blocking {
    await withTaskGroup(of: Int.self) { group in
      for element in elements { group.addTask { count(element) } }
      return await group.reduce(0, +)
    }
  }
}

private func pendingTasks(_ bench: BenchName, n: Int) -> Workload {
  let blockade = Blockade(ProcessInfo.processInfo.activeProcessorCount) { body in Task.detached { body() } }
  if bench == .pending {
    return pending(n, close: blockade.close, open: blockade.open) { tally, number in
      Task.detached { tally.count(number) }
    }
  }
  return pendingFuture(n, close: blockade.close, open: blockade.open) { tally, number in
    Task.detached { tally.count(number) }
  } finish: { tasks in
    try blocking { for task in tasks { await task?.value } }
  }
}
