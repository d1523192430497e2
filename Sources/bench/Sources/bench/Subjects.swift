import Dispatch
import Foundation
import NIOPosix
import Synchronization
import WorkerPool

/// What a Swift program would otherwise use, each with as many workers as ours where it lets itself be told.
let workers = 2

/// Opens when it was counted down often enough; made anew for each round.
final class Gate: Sendable {
  private let left: Atomic<Int>
  private let opened = DispatchSemaphore(value: 0)

  init(_ count: Int) { left = Atomic(count) }

  func countDown() {
    if left.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { opened.signal() }
  }

  func wait() { opened.wait() }
}

/// Runs async code from the harness's thread.
func blocking<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) throws -> Value {
  let done = DispatchSemaphore(value: 0)
  let result = Mutex<Result<Value, any Error>?>(nil)
  Task {
    let outcome: Result<Value, any Error>
    do { outcome = .success(try await body()) } catch { outcome = .failure(error) }
    result.withLock { $0 = outcome }
    done.signal()
  }
  done.wait()
  return try result.withLock { $0! }.get()
}

func startedNIOPool() -> NIOThreadPool {
  let pool = NIOThreadPool(numberOfThreads: workers)
  pool.start()
  return pool
}

func operationQueue() -> OperationQueue {
  let queue = OperationQueue()
  queue.maxConcurrentOperationCount = workers
  return queue
}
