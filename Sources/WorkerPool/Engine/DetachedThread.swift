import CWorkerPool

/// Runs `body` on a thread of its own, or, where none can be had, on one of Swift's: for calls that block, made for async
/// code. Not here, where it could be a worker that waits for its own pool.
///
/// Used once in the life of a pool, which is why no thread is kept for it.
///
/// - Parameter start: Starts a thread with this body and argument.
func runOnDetachedThread(
  _ body: @escaping @Sendable () -> Void, _ start: (wp_thread_body, UnsafeMutableRawPointer) -> wp_status
) {
  final class Box: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
  let box = Unmanaged.passRetained(Box(body))
  let status = start(
    { argument in
      guard let argument else { return nil }
      Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body()
      return nil
    }, box.toOpaque())
  guard status != WP_OK else { return }
  let body = box.takeRetainedValue().body
  Task.detached { body() }
}

/// Bytes that are left of the calling thread's stack; very many when nobody knows.
@usableFromInline
func remainingStack() -> Int {
  let bytes = Int(wp_thread_remaining_stack())
  return bytes > 0 ? bytes : .max
}
