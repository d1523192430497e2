import CWorkerPool

// How a non-escaping closure gets into C and back without a heap context.
//
// A Swift closure is passed as two words, function and context, in the registers in which C passes two pointers. So a
// function that is declared here with a closure parameter, and defined in C with two pointers, gets the words; and one
// that is called in C with two pointers, and defined here with a closure parameter, gets the closure. Nothing is
// retained on the way: the closure is borrowed, and the C functions that take one return when nobody uses it any more.
// Holds for x86-64 and arm64, where a C function's first arguments and a Swift function's share registers.

@_silgen_name("wp_borrow_closure")
private func words(of body: (Int, Int) -> Void) -> wp_borrowed

@_silgen_name("wp_swift_call")
public func _wpCall(_ body: (Int, Int) -> Void, _ begin: Int, _ end: Int) { body(begin, end) }

extension ThreadPool {
  /// Runs both closures, perhaps at once, and returns when both have returned. Their parameters say nothing.
  @usableFromInline
  func join(_ a: (Int, Int) -> Void, _ b: (Int, Int) -> Void) throws {
    // Parameters: their contexts outlive this call whatever the optimiser does.
    let status = wp_join(pool, wp_closure_call()!, words(of: a), words(of: b))
    guard status == WP_OK else { throw WorkerPoolError(status: status) }
  }

  /// Calls `body` on disjoint ranges that cover 0..<count, perhaps at once, and returns when all calls have.
  @usableFromInline
  func perform(count: Int, grain: Int, _ body: (Int, Int) -> Void) throws {
    let status = wp_concurrent_perform(pool, wp_closure_call()!, words(of: body), count, grain)
    guard status == WP_OK else { throw WorkerPoolError(status: status) }
  }
}
