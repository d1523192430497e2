import Dispatch
import NIOPosix
import Synchronization

/// Without futures: those of NIO belong to an event loop, and waiting for them one by one takes 64 µs each.
func nio(_ bench: BenchName, workers: Int, n: Int) -> Workload? {
  let pool = NIOThreadPool(numberOfThreads: workers)
  pool.start()
  switch bench {
  case .fanout: return fanout(n) { latch in pool.submit { _ in latch.countDown() } }
  case .contend: return contend(n) { latch in pool.submit { _ in latch.countDown() } }
  case .idle: return idle { latch in pool.submit { _ in latch.countDown() } }
  case .pingpong:
    let (done, result) = (DispatchSemaphore(value: 0), Trip())
    return pingpong(n) { index in
      pool.submit { _ in
        result.value.store(index, ordering: .relaxed)
        done.signal()
      }
      done.wait()
      return result.value.load(ordering: .relaxed)
    }
  case .pending:
    let blockade = Blockade(workers) { body in pool.submit { _ in body() } }
    return pending(n, close: blockade.close, open: blockade.open) { tally, number in
      pool.submit { _ in tally.count(number) }
    }
  default: return nil
  }
}
