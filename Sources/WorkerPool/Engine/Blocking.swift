import CWorkerPool

// Blocking: the one way into every wait of a thread.

/// What a thread that blocks waits for.
enum BlockedFor {
  /// Work of the pool that the thread is a worker of: where no thread of the pool could do it, the wait is refused.
  case ownPool
  /// Anything else: something outside of the pool may always end the wait.
  case others
}

/// A thread that blocks, for whoever is to wake it.
struct BlockedThread: @unchecked Sendable {
  // SAFETY: wp_blocking_wake may be called from any thread; it is called once, before the frame with the memory is left
  // (`Future.sleepAsWaiter`).
  fileprivate let blocking: UnsafeMutablePointer<wp_blocking>

  /// Ends the thread's wait. At most once.
  func wake() { wp_blocking_wake(blocking) }

  /// Sleeps until ``wake()``. False when the wait was refused, as it would never end.
  func sleepUnlessRefused() -> Bool { wp_blocking_wait(blocking, .max) == WP_BLOCKING_WOKEN }

  /// Sleeps until ``wake()``, which is sure to come.
  func sleep() {
    while wp_blocking_wait(blocking, .max) != WP_BLOCKING_WOKEN {}
  }
}

/// Runs `wait`, which blocks the calling thread. What the thread still has to tell is told before, and if the thread is a
/// worker of any pool, a spare takes its place meanwhile. O(1).
///
/// - Throws: ``WorkerPoolError/Code/wouldDeadlock``, for ``BlockedFor/ownPool`` alone; otherwise what `wait` throws.
func whileBlocked<Outcome>(for what: BlockedFor, _ wait: (BlockedThread) throws -> Outcome) throws -> Outcome {
  var room = wp_blocking()
  return try withUnsafeMutablePointer(to: &room) { blocking in
    var error = wp_error()
    let status = wp_blocking_begin(blocking, what == .ownPool ? WP_BLOCKED_FOR_POOL : WP_BLOCKED_FOR_OTHERS, &error)
    guard status == WP_OK else { throw WorkerPoolError(deadlock: error) }
    defer { wp_blocking_end(blocking) }
    return try wait(BlockedThread(blocking: blocking))
  }
}

/// The same for a wait that something outside of the pool ends.
func whileBlocked<Outcome, Failure>(_ wait: () throws(Failure) -> Outcome) throws(Failure) -> Outcome {
  var room = wp_blocking()
  return try withUnsafeMutablePointer(to: &room) { (blocking) throws(Failure) -> Outcome in
    _ = wp_blocking_begin(blocking, WP_BLOCKED_FOR_OTHERS, nil)  // never fails for others
    defer { wp_blocking_end(blocking) }
    return try wait()
  }
}

/// The pool that the calling thread is a worker of, as it stands in ``Future/origin``; 0 on other threads.
var poolOfThread: UInt { UInt(bitPattern: wp_thread_pool_current()) }

/// Changes when the process turns out to be a child of somebody else's `fork`.
var forkGeneration: UInt32 { wp_fork_generation() }
