import Glibc
import Synchronization
import ThreadTestSupport
import WorkerPool

/// Short tasks that go through a pool as long as a program runs, so that its queue is never empty. A task of the program
/// that waits meanwhile is starved.
final class Flooding: Sendable {
  private static let backlog = 100
  private static let batch = 20
  /// A task has been starved when so many that came later have run, and so much time has passed.
  private static let starvedAfterTasks = 100_000
  private static let starvedAfterNanoseconds = 1_000_000_000

  private let kind: Flood
  private let pool: PoolState
  /// Tasks from outside that have not run.
  private let waiting = Counter()
  private let ran = Counter()
  private let isOver = Flag()
  private let thread = Cell<RunningThread?>(nil)

  init(_ kind: Flood, _ pool: PoolState) {
    self.kind = kind
    self.pool = pool
  }

  /// How many tasks of the flood have run.
  var count: Int { ran.value }

  func start() {
    if kind != .outside { pour() }
    if kind != .chain { thread.set(RunningThread { self.flood() }) }
  }

  func end() {
    isOver.set()
    thread.set(nil)?.join()
  }

  private func flood() {
    while !isOver.isSet {
      if waiting.value > Self.backlog {
        usleep(50)
        continue
      }
      for _ in 0..<Self.batch {
        waiting.add()
        let executor = pool.executor
        // Refused once the pool is shut down.
        guard
          (try? executor?.execute {
            self.waiting.add(-1)
            self.work()
          }) != nil
        else { return }
      }
    }
  }

  func pour() {
    try? pool.executor?.execute {
      self.work()
      if !self.isOver.isSet { self.pour() }
    }
  }

  private func work() {
    spin(microseconds: 2)
    ran.add()
  }

  func isStarved(_ strand: StrandState) -> Bool {
    let submitted = strand.submitted.value
    return submitted != 0 && strand.claim == .none && nanoseconds() - submitted > Self.starvedAfterNanoseconds
      && count - strand.floodAtSubmission.value > Self.starvedAfterTasks
  }
}
