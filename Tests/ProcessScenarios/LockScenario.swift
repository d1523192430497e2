import Glibc
import Synchronization
import WorkerPool

/// Lets go of locks that another thread of the worker waits for: of a `Mutex`, and of what is made lazily, once. Swift's locks
/// name their owner by a number that each thread asks the kernel for and keeps: a worker that had a number of before it was
/// forked would not be believed.
struct ShareLocks: Job, BitwiseWireCodable {
  func run() throws -> Bool {
    try withThreadPoolExecutor(maxWorkers: 1) { threads in
      let made = try threads.submit { [waiter] in waiter.sleep { madeOnce } }
      try expectEqual(madeOnce, 1)
      try expectEqual(try made.result(), 1)
      let lock = SharedLock()
      let locked = try lock.value.withLock { _ in
        let locked = try threads.submit { [waiter] in waiter.sleep { lock.value.withLock { $0 += 1 } } }
        waiter.waitUntilItSleeps()
        return locked
      }
      try locked.result()
      return lock.value.withLock { $0 } == 1
    }
  }
}

private final class SharedLock: Sendable {
  let value = Mutex(0)
}

/// Made by the worker's own thread, while the other sleeps.
private let madeOnce: Int = {
  waiter.lets.store(true, ordering: .releasing)
  waiter.waitUntilItSleeps()
  return 1
}()

private let waiter = Waiter()

private final class Waiter: Sendable {
  private let thread = Atomic<pid_t>(0)
  /// Whether the lock is held.
  let lets = Atomic(false)

  func sleep<Value>(_ body: () -> Value) -> Value {
    while !lets.load(ordering: .acquiring) { sched_yield() }
    thread.store(ownThread(), ordering: .releasing)
    defer { thread.store(0, ordering: .releasing) }
    return body()
  }

  /// Until another thread sleeps in the kernel within `sleep`, which is nowhere but in the lock.
  func waitUntilItSleeps() {
    while true {
      let path = "/proc/self/task/\(thread.load(ordering: .acquiring))/stat"
      if let stat = try? contents(of: path), stat.split(separator: ")").last?.hasPrefix(" S") == true { return }
      sched_yield()
    }
  }
}

/// The kernel's number of the calling thread.
private func ownThread() -> pid_t {
  var target = [CChar](repeating: 0, count: 64)
  let length = readlink("/proc/thread-self", &target, target.count)
  let name = String(decoding: target.prefix(max(length, 0)).map(UInt8.init), as: UTF8.self)
  return name.split(separator: "/").last.flatMap { pid_t($0) } ?? 0
}

func runLocks(_ method: ProcessPoolExecutor.StartMethod) throws {
  Mutex(0).withLock { $0 += 1 }
  let options = TaskOptions(timeout: .seconds(20))
  let pool = try ProcessPoolExecutor(maxWorkers: 1, startMethod: method)
  defer { pool.shutdown() }
  // In a worker that is new, and in one that was started again.
  try expect(try pool.submit(ShareLocks(), options: options).result())
  try expectError(.workerDied) { try pool.submit(Die(way: .kill)).result() }
  try expect(try pool.submit(ShareLocks(), options: options).result())
}
