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

/// A list that several threads append to.
public final class Log<Element: Sendable>: Sendable {
  private let elements = Mutex<[Element]>([])

  public init() {}

  public var entries: [Element] { elements.withLock { $0 } }

  public func append(_ element: Element) { elements.withLock { $0.append(element) } }
}

/// Counts its own end: captured by a closure, it tells when the captures are released.
public final class Token: Sendable {
  private let released: Counter

  public init(_ released: Counter) { self.released = released }

  deinit { released.add() }

  /// Something to call, so that a closure captures the token.
  public func touch() {}
}
