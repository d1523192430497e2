import CWorkerPool

/// Fork-join work of the C engine, whose pieces are closures.
extension EnginePool {
  func join(_ a: @escaping @Sendable () -> Void, _ b: @escaping @Sendable () -> Void) -> wp_status {
    let (a, b) = (Closure(a), Closure(b))
    return withExtendedLifetime((a, b)) {
      wp_join(
        pool, { first, _, _, _ in Unmanaged<Closure>.fromOpaque(first!).takeUnretainedValue().body() },
        borrowed(a), borrowed(b))
    }
  }

  func perform(_ count: Int, grain: Int = 1, _ body: @escaping @Sendable (Range<Int>) -> Void) -> wp_status {
    let piece = Piece(body)
    return withExtendedLifetime(piece) {
      wp_concurrent_perform(
        pool,
        { first, _, begin, end in Unmanaged<Piece>.fromOpaque(first!).takeUnretainedValue().body(begin..<end) },
        borrowed(piece), count, grain)
    }
  }
}

private func borrowed(_ object: AnyObject) -> wp_borrowed {
  wp_borrowed(first: Unmanaged.passUnretained(object).toOpaque(), second: nil)
}

private final class Piece: Sendable {
  let body: @Sendable (Range<Int>) -> Void
  init(_ body: @escaping @Sendable (Range<Int>) -> Void) { self.body = body }
}

/// A group, which its calls are given, so that they may spawn more.
final class Group: Sendable {
  // SAFETY: wp_group_spawn is called as its header allows; the memory lives as long as the object.
  nonisolated(unsafe) private let group: UnsafeMutablePointer<wp_group>
  private let call: @Sendable (Group) -> Void

  /// On a worker of the pool.
  init(_ pool: EnginePool, _ call: @escaping @Sendable (Group) -> Void) {
    self.call = call
    group = .allocate(capacity: 1)
    group.initialize(to: wp_group())
    let begun = wp_group_begin(
      group, pool.pool,
      { context in
        let group = Unmanaged<Group>.fromOpaque(context!).takeUnretainedValue()
        group.call(group)
      }, Unmanaged.passUnretained(self).toOpaque())
    precondition(begun, "no worker of the pool")
  }

  deinit { group.deallocate() }

  func spawn() { wp_group_spawn(group) }
  func wait() { wp_group_wait(group) }
}
