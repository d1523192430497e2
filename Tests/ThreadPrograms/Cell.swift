import Glibc
import Synchronization

/// A value that several threads use. Under a lock that ThreadSanitizer knows, which it does not know of `Mutex`.
final class Cell<Value: Sendable>: Sendable {
  // SAFETY: `stored` is only used under `lock`; both live as long as the object.
  nonisolated(unsafe) private let lock: UnsafeMutablePointer<pthread_mutex_t>
  nonisolated(unsafe) private var stored: Value

  init(_ value: Value) {
    lock = .allocate(capacity: 1)
    pthread_mutex_init(lock, nil)
    stored = value
  }

  deinit {
    pthread_mutex_destroy(lock)
    lock.deallocate()
  }

  var value: Value { exchange(nil) }

  /// Returns the value as it was. Whatever is released by that is released after the lock.
  @discardableResult
  func set(_ value: Value) -> Value { exchange(.some(value)) }

  private func exchange(_ new: Value?) -> Value {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    let old = stored
    if let new { stored = new }
    return old
  }
}

/// Something that happens once.
final class Flag: Sendable {
  private let word = Atomic<Bool>(false)

  var isSet: Bool { word.load(ordering: .acquiring) }

  /// False when it was set before.
  @discardableResult
  func set() -> Bool { !word.exchange(true, ordering: .acquiringAndReleasing) }
}

/// A number that one thread writes and others read.
final class Mark: Sendable {
  private let word = Atomic<Int>(0)

  var value: Int {
    get { word.load(ordering: .acquiring) }
    set { word.store(newValue, ordering: .releasing) }
  }
}

/// On the clock that does not jump.
func nanoseconds() -> Int {
  var now = timespec()
  clock_gettime(CLOCK_MONOTONIC, &now)
  return now.tv_sec * 1_000_000_000 + now.tv_nsec
}

func spin(microseconds: Int) {
  let end = nanoseconds() + microseconds * 1000
  while nanoseconds() < end {}
}
