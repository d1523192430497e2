// The time from a submission to the end of its task. Most of it is the wait for a worker.
//
// A task sleeps for 10 ms, as a blocking call of a server does. A task that computes would need a CPU of its own. On a
// machine with as many CPUs as workers the clients and other programs take CPU time from the tasks, and that noise hides
// how the pools differ. To fall asleep and to wake adds about a hundredth to each task: a load of 1 is in truth 1.01.
import BenchReport
import Foundation
import OfferedLoad
import Synchronization

/// The time that a task sleeps, in nanoseconds.
private let service = 10_000_000

/// Clients of the closed loop.
private let clients = 16

/// Hands a task to the measured pool.
typealias Submit = @Sendable (@escaping @Sendable () -> Void) throws -> Void

func latency(_ bench: LatencyBenchName, workers: Int, n: Int, submit: @escaping Submit) -> Workload {
  guard let load = bench.load else {
    return latency(workers, n, warmedUpBy: submit) { tasks in closedLoop(n, tasks, submit) }
  }
  // The same arrivals in all rounds of all subjects.
  let arrivals = poissonArrivals(n, meanGap: Double(service) / (Double(workers) * load), seed: 2026).map { Int($0) }
  return latency(workers, n, warmedUpBy: submit) { tasks in
    let start = nanoseconds(CLOCK_MONOTONIC)
    for arrival in arrivals {
      try sleep(until: start + arrival)
      let submitted = nanoseconds(CLOCK_MONOTONIC)
      try submit { tasks.run(submitted: submitted) }
    }
  }
}

private func latency(
  _ workers: Int, _ n: Int, warmedUpBy submit: @escaping Submit, submitAll: @escaping (SleepingTasks) throws -> Void
) -> Workload {
  Workload(
    warmUp: {
      let tasks = SleepingTasks(clients)
      closedLoop(clients, tasks, submit)
      try tasks.latch.wait()
    },
    round: {
      let tasks = SleepingTasks(n)
      try submitAll(tasks)
      try tasks.latch.wait()
      return { try tasks.check(workers: workers, count: n) }
    })
}

/// Each client submits a task, waits for its end and submits the next one, until all clients together have submitted n.
private func closedLoop(_ n: Int, _ tasks: SleepingTasks, _ submit: @escaping Submit) {
  let begun = Counter()
  for _ in 0..<clients {
    let client = Thread {
      let ended = DispatchSemaphore(value: 0)
      do {
        while begun.next() < n {
          let submitted = nanoseconds(CLOCK_MONOTONIC)
          try submit {
            tasks.run(submitted: submitted)
            ended.signal()
          }
          ended.wait()
        }
      } catch {
        tasks.latch.fail(error)
      }
    }
    client.start()
  }
}

/// Gives out the numbers from 0 on, each one once.
final class Counter: Sendable {
  private let value = Atomic<Int>(0)
  func next() -> Int { value.add(1, ordering: .relaxed).oldValue }
}

/// The tasks of one round.
private final class SleepingTasks: Sendable {
  let latch: Latch
  private let latencies = Mutex<[Double]>([])
  private let running = Atomic<Int>(0)
  private let mostRunning = Atomic<Int>(0)

  init(_ count: Int) { latch = Latch(count) }

  func run(submitted: Int) {
    let together = running.add(1, ordering: .relaxed).newValue
    mostRunning.max(together, ordering: .relaxed)
    do {
      try sleep(until: nanoseconds(CLOCK_MONOTONIC) + service)
    } catch {
      latch.fail(error)
    }
    running.subtract(1, ordering: .relaxed)
    let ended = nanoseconds(CLOCK_MONOTONIC)
    latencies.withLock { $0.append(Double(ended - submitted)) }
    latch.countDown()
  }

  /// A pool that runs more tasks at once than it has workers keeps them waiting less, and is no match for the others.
  func check(workers: Int, count: Int) throws -> [String: Double] {
    let latencies = latencies.withLock { $0 }
    try latch.check()
    try bench.check(latencies.count, is: count)
    try bench.check(latencies.first { $0 < Double(service) }, is: nil)
    let most = mostRunning.load(ordering: .relaxed)
    if most > workers { throw WrongResult(description: "\(most) tasks ran at once on \(workers) workers") }
    return latencyReading(latencies)
  }
}

/// Sleeps until this time of CLOCK_MONOTONIC.
private func sleep(until time: Int) throws {
  var end = timespec(tv_sec: time / 1_000_000_000, tv_nsec: time % 1_000_000_000)
  var error: Int32
  repeat { error = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, nil) } while error == EINTR
  if error != 0 { throw WrongResult(description: "clock_nanosleep failed: \(String(cString: strerror(error)))") }
}
