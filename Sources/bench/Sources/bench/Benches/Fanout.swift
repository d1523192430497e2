import Dispatch
import Foundation
import NIOPosix
import WorkerPool

/// One thread submits tiny tasks that capture one reference, and waits for the last.
let fanout = Bench(name: "fanout") {
  let count = 300_000
  let pool = try ThreadPoolExecutor(maxWorkers: workers)
  let nio = startedNIOPool()
  func subject(_ name: String, workers: Int = workers, count: Int = count, _ submit: @escaping (Gate) throws -> Void)
    -> Subject
  {
    Subject(name: name, workers: workers, operations: count) {
      let gate = Gate(count)
      for _ in 0..<count { try submit(gate) }
      gate.wait()
    }
  }
  return [
    subject("dispatch") { gate in DispatchQueue.global().async { gate.countDown() } },
    subject("ours") { gate in try pool.execute { gate.countDown() } },
    subject("nio") { gate in nio.submit { _ in gate.countDown() } },
    subject("swift-concurrency") { gate in Task.detached { gate.countDown() } },
  ]
}

/// The same from four threads at once.
let contend = Bench(name: "contend") {
  let (threads, each) = (4, 75_000)
  let pool = try ThreadPoolExecutor(maxWorkers: workers)
  let nio = startedNIOPool()
  func subject(_ name: String, _ submit: @escaping @Sendable (Gate) -> Void) -> Subject {
    Subject(name: name, workers: workers, operations: threads * each) {
      let gate = Gate(threads * each)
      let submitters = (0..<threads).map { _ in Thread { for _ in 0..<each { submit(gate) } } }
      for thread in submitters { thread.start() }
      gate.wait()
    }
  }
  return [
    subject("dispatch") { gate in DispatchQueue.global().async { gate.countDown() } },
    subject("ours") { gate in try! pool.execute { gate.countDown() } },
    subject("nio") { gate in nio.submit { _ in gate.countDown() } },
    subject("swift-concurrency") { gate in Task.detached { gate.countDown() } },
  ]
}

/// Fanout on pools that are wider than the machine: what a lock in the middle would be punished for.
let wide = Bench(name: "wide") {
  let count = 300_000
  return try [2, 1, 4, 16, 64].map { width in
    let pool = try ThreadPoolExecutor(maxWorkers: width)
    return Subject(name: "ours-\(width)", workers: width, operations: count) {
      let gate = Gate(count)
      for _ in 0..<count { try pool.execute { gate.countDown() } }
      gate.wait()
    }
  }
}

/// Futures are kept, and each result is taken. Without NIOThreadPool, whose futures belong to an event loop: waiting for
/// them one by one takes 64 µs each.
let fanoutFuture = Bench(name: "fanout-future") {
  let count = 200_000
  let sum = count * (count - 1) / 2
  let pool = try ThreadPoolExecutor(maxWorkers: workers)
  return [
    Subject(name: "swift-concurrency", workers: workers, operations: count) {
      let found = try blocking {
        let tasks = (0..<count).map { index in Task.detached { index } }
        var sum = 0
        for task in tasks { sum += await task.value }
        return sum
      }
      try check(found, is: sum)
    },
    Subject(name: "ours", workers: workers, operations: count) {
      let futures = try (0..<count).map { index in try pool.submit { index } }
      var found = 0
      for future in futures { found += try future.result() }
      try check(found, is: sum)
    },
  ]
}

/// One task at a time, submitted from outside, and the wait for its result.
let pingpong = Bench(name: "pingpong") {
  let count = 5000
  let pool = try ThreadPoolExecutor(maxWorkers: workers)
  return [
    Subject(name: "dispatch", workers: workers, operations: count) {
      let queue = DispatchQueue.global()
      for _ in 0..<count {
        let done = DispatchSemaphore(value: 0)
        queue.async { done.signal() }
        done.wait()
      }
    },
    Subject(name: "ours", workers: workers, operations: count) {
      for index in 0..<count { try check(try pool.submit { index }.result(), is: index) }
    },
    Subject(name: "swift-concurrency", workers: workers, operations: count) {
      for index in 0..<count { try check(try blocking { index }, is: index) }
    },
  ]
}
