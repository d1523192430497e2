import Glibc
import Synchronization

/// A number that several threads change.
public final class Counter: Sendable {
  private let count = Atomic<Int>(0)

  public init() {}

  public var value: Int { count.load(ordering: .acquiring) }

  /// Returns the new value.
  @discardableResult
  public func add(_ amount: Int = 1) -> Int { count.add(amount, ordering: .acquiringAndReleasing).newValue }
}

/// A list that several threads append to. Under a lock that ThreadSanitizer knows, which it does not know of `Mutex`.
public final class Log<Element: Sendable>: Sendable {
  // SAFETY: `elements` is only used under `lock`; both live as long as the object.
  nonisolated(unsafe) private let lock: UnsafeMutablePointer<pthread_mutex_t>
  nonisolated(unsafe) private var elements: [Element] = []

  public init() {
    lock = .allocate(capacity: 1)
    pthread_mutex_init(lock, nil)
  }

  deinit {
    pthread_mutex_destroy(lock)
    lock.deallocate()
  }

  public var entries: [Element] {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    return elements
  }

  public func append(_ element: Element) {
    pthread_mutex_lock(lock)
    elements.append(element)
    pthread_mutex_unlock(lock)
  }
}

/// Counts its own end: captured by a closure, it tells when the captures are released.
public final class Token: Sendable {
  private let released: Counter

  public init(_ released: Counter) { self.released = released }

  deinit { released.add() }

  /// Something to call, so that a closure captures the token.
  public func touch() {}
}
