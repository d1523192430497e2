import Synchronization

/// Knows when the last of a pool's workers has stopped.
final class Termination: Sendable {
  /// Workers that have not stopped; not known yet while workers already start, so it may pass through zero from below.
  private let running = Atomic<Int>(0)
  private let done = Promise<Void>()

  func expect(_ workers: Int) { change(by: workers) }

  func workerStopped() { change(by: -1) }

  /// Suspends until all expected workers have stopped, whether the current task is cancelled or not.
  func wait() async {
    await withUnsafeContinuation { continuation in
      done.future.addDoneCallback { _ in continuation.resume() }
    }
  }

  private func change(by delta: Int) {
    if running.add(delta, ordering: .acquiringAndReleasing).newValue == 0 { done.succeed(()) }
  }
}
