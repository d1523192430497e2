import Glibc

/// A counting semaphore that the sanitizers can see through, and that ends the run, naming its place, where a test would
/// otherwise hang.
public final class Semaphore: Sendable {
  // SAFETY: sem_post and sem_timedwait may be called from any thread; the memory lives as long as the object.
  nonisolated(unsafe) private let handle: UnsafeMutablePointer<sem_t>

  public init() {
    handle = .allocate(capacity: 1)
    sem_init(handle, 0, 0)
  }

  deinit {
    sem_destroy(handle)
    handle.deallocate()
  }

  public func signal(_ times: Int = 1) {
    for _ in 0..<times { sem_post(handle) }
  }

  /// Takes one signal if there is one.
  public func tryWait() -> Bool { sem_trywait(handle) == 0 }

  /// Blocks until `times` signals have come.
  public func wait(_ times: Int = 1, file: StaticString = #fileID, line: UInt = #line) {
    var deadline = timespec()
    clock_gettime(CLOCK_REALTIME, &deadline)
    deadline.tv_sec += patience
    for _ in 0..<times {
      while sem_timedwait(handle, &deadline) != 0 {
        if errno == ETIMEDOUT { fatalError("no signal within \(patience) s", file: file, line: line) }
      }
    }
  }
}

/// Seconds after which a test counts as hanging; far more than the slowest needs under a sanitizer.
private let patience = 900
