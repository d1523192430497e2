import CStress
import Glibc
import Synchronization

/// Runs `body` on `count` threads at once, and returns when all have ended.
public func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
  let threads = startThreads(count, body)
  for thread in threads { pthread_join(thread, nil) }
}

/// The form for async tests, which must not block a thread of the cooperative pool.
public func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) async {
  let last = Last(count)
  await withUnsafeContinuation { continuation in
    for thread in startThreads(
      count,
      { index in
        body(index)
        if last.leave() { continuation.resume() }
      })
    {
      pthread_detach(thread)
    }
  }
}

/// A thread that a test starts now and joins later.
public struct RunningThread: Sendable {
  private let thread: pthread_t

  public init(_ body: @escaping @Sendable () -> Void) { thread = startThreads(1) { _ in body() }[0] }

  public func join() { pthread_join(thread, nil) }
}

/// Runs `body` on a thread whose stack is small (64 KiB where no sanitizer needs more), and returns when it has ended.
public func onSmallStack(_ body: @escaping @Sendable () -> Void) {
  for thread in startThreads(1, stackSize: runsUnderSanitizer ? 1 << 20 : 64 << 10, { _ in body() }) {
    pthread_join(thread, nil)
  }
}

/// The kernel's number of the calling thread.
public func currentThreadID() -> Int { Int(cs_thread_id()) }

/// Sends a signal to each thread of this process by itself.
public func signalThreads(_ number: Int32) { cs_signal_threads(number) }

/// Makes the calling thread, which has to be the test's own, block these signals and no others.
public func blockOnly(_ signals: Set<Int32>) {
  var mask = sigset_t()
  sigemptyset(&mask)
  for signal in signals { sigaddset(&mask, signal) }
  pthread_sigmask(SIG_SETMASK, &mask, nil)
}

/// What the calling thread blocks.
public func blockedSignals() -> Set<Int32> {
  var mask = sigset_t()
  pthread_sigmask(SIG_SETMASK, nil, &mask)
  return Set((1...64).filter { sigismember(&mask, $0) == 1 })
}

/// Counts threads down.
private final class Last: Sendable {
  private let left: Atomic<Int>
  init(_ count: Int) { left = Atomic(count) }
  /// True for the one that leaves last.
  func leave() -> Bool { left.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 }
}

private final class Start: Sendable {
  let index: Int
  let body: @Sendable (Int) -> Void

  init(_ index: Int, _ body: @escaping @Sendable (Int) -> Void) {
    self.index = index
    self.body = body
  }
}

/// - Parameter stackSize: Bytes; nil for the system's default.
private func startThreads(
  _ count: Int, stackSize: Int? = nil, _ body: @escaping @Sendable (Int) -> Void
) -> [pthread_t] {
  var attributes = pthread_attr_t()
  pthread_attr_init(&attributes)
  defer { pthread_attr_destroy(&attributes) }
  if let stackSize { pthread_attr_setstacksize(&attributes, stackSize) }
  return (0..<count).map { index in
    var thread = pthread_t()
    let failure = pthread_create(
      &thread, &attributes,
      { argument in
        let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
        start.body(start.index)
        return nil
      }, Unmanaged.passRetained(Start(index, body)).toOpaque())
    precondition(failure == 0, "pthread_create: \(String(cString: strerror(failure)))")
    return thread
  }
}
