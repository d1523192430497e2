import CWorkerPool
import Glibc

/// One wait of a thread, in memory that outlives its thread's frames.
final class Wait: Sendable {
  // SAFETY: wp_blocking_wake may be called from any thread, the others are called on the waiting one; the memory lives as long
  // as the object.
  nonisolated(unsafe) private let blocking: UnsafeMutablePointer<wp_blocking>

  struct Refusal: Error, Equatable {
    var status: wp_status
    var call: String?
    var errno: Int32
  }

  init() {
    blocking = .allocate(capacity: 1)
    blocking.initialize(to: wp_blocking())
  }

  deinit { blocking.deallocate() }

  func begin(_ what: wp_blocked_for) throws {
    var error = wp_error()
    let status = wp_blocking_begin(blocking, what, &error)
    guard status == WP_OK else {
      throw Refusal(status: status, call: error.call.map { String(cString: $0) }, errno: error.system_errno)
    }
  }

  /// Whether the wait may begin; if not, it would be a deadlock.
  func mayBegin(_ what: wp_blocked_for) -> Bool { wp_blocking_begin(blocking, what, nil) == WP_OK }

  func sleep(until deadline: UInt64 = .max) -> wp_blocking_outcome { wp_blocking_wait(blocking, deadline) }
  func wake() { wp_blocking_wake(blocking) }
  func end() { wp_blocking_end(blocking) }
}

/// Runs `body` while the calling worker counts as blocked for something outside its pool.
func blockedForOthers(_ body: () -> Void) {
  let wait = Wait()
  precondition(wait.mayBegin(WP_BLOCKED_FOR_OTHERS))
  body()
  wait.end()
}

/// Blocks a worker for some moments.
func blockBriefly(_ moments: Int) {
  blockedForOthers { for _ in 0...(moments % 23) { sched_yield() } }
}
