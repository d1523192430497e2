import Dispatch
import Synchronization

/// Opens when it was counted down often enough; made anew for each round.
final class Latch: Sendable {
  private let left: Atomic<Int>
  private let failure = Mutex<(any Error)?>(nil)
  private let opened = DispatchSemaphore(value: 0)

  init(_ count: Int) { left = Atomic(count) }

  func countDown() {
    if left.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { opened.signal() }
  }

  /// Opens at once, since the rest will not be counted down.
  func fail(_ error: any Error) {
    failure.withLock { $0 = error }
    opened.signal()
  }

  /// Blocks until it is open, and throws what it failed with.
  func wait() throws {
    opened.wait()
    if let error = failure.withLock({ $0 }) { throw error }
  }

  /// Between rounds nobody may still count: one too many would have counted down below nothing.
  func check() throws { try bench.check(left.load(ordering: .acquiring), is: 0) }
}

/// Runs async code from the main thread, and blocks until it has ended.
func blocking<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) throws -> Value {
  let done = DispatchSemaphore(value: 0)
  let result = Mutex<Result<Value, any Error>?>(nil)
  Task.detached {
    let outcome: Result<Value, any Error>
    do { outcome = .success(try await body()) } catch { outcome = .failure(error) }
    result.withLock { $0 = outcome }
    done.signal()
  }
  done.wait()
  guard let result = result.withLock({ $0 }) else { preconditionFailure("signalled before the result was there") }
  return try result.get()
}
