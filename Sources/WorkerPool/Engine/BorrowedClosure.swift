import CWorkerPool

// How a non-escaping closure gets into C and back without a heap context.
//
// A Swift closure is passed as two words, function and context, in the registers in which C passes two pointers. So a
// function that is declared here with a closure parameter, and defined in C with two pointers, gets the words; and one
// that is called in C with two pointers, and defined here with a closure parameter, gets the closure. Nothing is
// retained on the way: the closure is borrowed, and the C functions that take one return when nobody uses it any more.
// Holds for x86-64 and arm64, where a C function's first arguments and a Swift function's share registers.

@_silgen_name("wp_fork_closure")
private func fork(
  _ body: (Int, Int) -> Void, _ pool: OpaquePointer, _ fork: UnsafeMutablePointer<wp_fork>
) -> wp_fork_status

@_silgen_name("wp_join_closures")
private func join(_ a: (Int, Int) -> Void, _ b: (Int, Int) -> Void, _ pool: OpaquePointer) -> wp_status

@_silgen_name("wp_perform_closure")
private func perform(_ body: (Int, Int) -> Void, _ pool: OpaquePointer, _ count: Int, _ grain: Int) -> wp_status

@_silgen_name("wp_perform_closure_with")
private func perform(
  _ body: (UnsafeRawPointer, Int, Int) -> Void, _ pool: OpaquePointer, _ count: Int, _ grain: Int,
  _ context: UnsafeRawPointer
) -> wp_status

@_silgen_name("wp_swift_call_with")
public func _wpCall(_ body: (UnsafeRawPointer, Int, Int) -> Void, _ context: UnsafeRawPointer, _ begin: Int, _ end: Int)
{
  body(context, begin, end)
}

@_silgen_name("wp_swift_call")
public func _wpCall(_ body: (Int, Int) -> Void, _ begin: Int, _ end: Int) { body(begin, end) }

extension ThreadPool {
  /// Runs both closures, perhaps at once, and returns when both have returned. Their parameters say nothing.
  ///
  /// Never inlined: as parameters the closures' contexts outlive what is done with them here.
  @usableFromInline
  @inline(never)
  func join(_ a: (Int, Int) -> Void, _ b: (Int, Int) -> Void) throws {
    let status = withUnsafeTemporaryAllocation(of: wp_fork.self, capacity: 1) { room -> wp_status in
      let frame = room.baseAddress!
      switch fork(b, pool, frame) {
      case WP_FORK_PUSHED:
        a(0, 0)
        // Most times nobody was faster.
        if wp_fork_end(frame) { b(0, 0) }
        return WP_OK
      case WP_FORK_REFUSED:
        a(0, 0)
        b(0, 0)
        return WP_OK
      default:
        return WorkerPool.join(a, b, pool)
      }
    }
    guard status == WP_OK else { throw refusal(status) }
  }

  /// Calls `body` on disjoint ranges that cover 0..<count, perhaps at once, and returns when all calls have.
  @usableFromInline
  @inline(never)
  func perform(count: Int, grain: Int, _ body: (Int, Int) -> Void) throws {
    let status = WorkerPool.perform(body, pool, count, grain)
    guard status == WP_OK else { throw refusal(status) }
  }

  /// The same, with an address that `body` is to be passed.
  @usableFromInline
  @inline(never)
  func perform(
    count: Int, grain: Int, context: UnsafeRawPointer, _ body: (UnsafeRawPointer, Int, Int) -> Void
  ) throws {
    let status = WorkerPool.perform(body, pool, count, grain, context)
    guard status == WP_OK else { throw refusal(status) }
  }
}

/// Out of line: what makes a message would take room in every frame of a recursion.
@inline(never)
private func refusal(_ status: wp_status) -> WorkerPoolError { WorkerPoolError(status: status) }
