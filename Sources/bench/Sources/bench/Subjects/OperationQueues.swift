import Foundation
import Synchronization

func operationQueue(_ bench: BenchName, workers: Int, n: Int) -> Workload? {
  let queue = OperationQueue()
  queue.maxConcurrentOperationCount = workers
  switch bench {
  case .fanout: return fanout(n) { latch in queue.addOperation { latch.countDown() } }
  case .contend: return contend(n) { latch in queue.addOperation { latch.countDown() } }
  case .pingpong:
    let (done, result) = (DispatchSemaphore(value: 0), Trip())
    return pingpong(n) { index in
      queue.addOperation {
        result.value.store(index, ordering: .relaxed)
        done.signal()
      }
      done.wait()
      return result.value.load(ordering: .relaxed)
    }
  case .mapIrregular:
    return mapIrregular(n) { limits in
      let sum = Tally(limits.count)
      for limit in limits { queue.addOperation { sum.count(kernel(0..<limit)) } }
      try sum.latch.wait()
      return sum.total
    }
  default: return nil
  }
}
