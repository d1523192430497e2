import Dispatch
import Synchronization

/// A global queue, which has a thread for each CPU whatever it is told.
func dispatch(_ bench: BenchName, n: Int) -> Workload? {
  let queue = DispatchQueue.global()
  switch bench {
  case .fanout: return fanout(n) { latch in queue.async { latch.countDown() } }
  case .contend: return contend(n) { latch in queue.async { latch.countDown() } }
  case .fireAndForget:
    return fireAndForget(
      n, run: { queue.async(execute: $0) }, submit: { latch in queue.async { latch.countDown() } })
  case .idle: return idle { latch in queue.async { latch.countDown() } }
  case .spawnFib: return spawnFib(n, fib)
  case .pingpong:
    let (done, result) = (DispatchSemaphore(value: 0), Trip())
    return pingpong(n) { index in
      queue.async {
        result.value.store(index, ordering: .relaxed)
        done.signal()
      }
      done.wait()
      return result.value.load(ordering: .relaxed)
    }
  case .mapUniform: return mapUniform(n, tripled)
  case .mapIrregular: return mapIrregular(n) { limits in sum(limits) { kernel(0..<$0) } }
  case .primes: return primes(n) { ranges in sum(ranges, kernel) }
  case .pending:
    // Suspended, since workers of a global queue that block are replaced by more.
    let suspended = DispatchQueue(label: "pending", attributes: .concurrent)
    return pending(n, close: suspended.suspend, open: suspended.resume) { tally, number in
      suspended.async { tally.count(number) }
    }
  case .wide, .fanoutFuture, .pendingFuture, .taskChildren, .taskAwaits, .primeKernel: return nil
  }
}

/// Where a task leaves its result.
final class Trip: Sendable {
  let value = Atomic<Int>(0)
}

/// By `concurrentPerform`, whose caller takes part. A group to wait for in every node blocks a thread in every node, and
/// runs out of threads.
@Sendable private func fib(_ k: Int) -> Int {
  guard k > 1 else { return k }
  return withUnsafeTemporaryAllocation(of: Int.self, capacity: 2) { results in
    nonisolated(unsafe) let results = results
    DispatchQueue.concurrentPerform(iterations: 2) { results[$0] = fib(k - 1 - $0) }
    return results[0] + results[1]
  }
}

/// Chunks by hand: a call for each element would cost a hundred times what the element does.
private func tripled(_ input: [Int]) -> [Int] {
  let chunks = 64
  return [Int](unsafeUninitializedCapacity: input.count) { output, initialized in
    nonisolated(unsafe) let output = output
    DispatchQueue.concurrentPerform(iterations: chunks) { chunk in
      for index in input.count * chunk / chunks..<input.count * (chunk + 1) / chunks {
        output[index] = input[index] &* 3
      }
    }
    initialized = input.count
  }
}

private func sum<Element: Sendable>(_ elements: [Element], _ count: @Sendable (Element) -> Int) -> Int {
  withUnsafeTemporaryAllocation(of: Int.self, capacity: elements.count) { counts in
    nonisolated(unsafe) let counts = counts
    DispatchQueue.concurrentPerform(iterations: elements.count) { counts[$0] = count(elements[$0]) }
    return counts.reduce(0, +)
  }
}
