import CWorkerPool

/// Memory that several threads write, each in places of its own.
@usableFromInline
struct UncheckedRegion<Element>: @unchecked Sendable {
  // SAFETY: made and used within one wp_concurrent_perform, whose calls get disjoint ranges, and which returns after all
  // of them (edge DONE in park/wp_latch.h orders their writes before the caller's reads).
  @usableFromInline let base: UnsafeMutablePointer<Element>?

  @inlinable
  init(_ buffer: UnsafeMutableBufferPointer<Element>) { base = buffer.baseAddress }

  /// Has the kernel bring a large region in huge pages, if it may. A huge page lies on one node: where the workers of
  /// several are going to write, each in a share of the region, the pages at the shares' ends have to be few.
  @usableFromInline
  func prepare(count: Int, for pool: ThreadPool) {
    guard let base else { return }
    let byteCount = count * MemoryLayout<Element>.stride
    let nodes = Int(wp_thread_pool_node_count(pool.pool))
    guard nodes == 1 || byteCount / nodes >= 128 << 20 else { return }
    wp_expect_writes(base, byteCount)
  }

  @inlinable
  func initialize(at index: Int, to element: consuming Element) {
    base.unsafelyUnwrapped.advanced(by: index).initialize(to: element)
  }

  @inlinable
  func assign(at index: Int, to element: consuming Element) {
    base.unsafelyUnwrapped[index] = element
  }

  @inlinable
  func deinitialize(at index: Int, count: Int) {
    guard count > 0 else { return }
    base.unsafelyUnwrapped.advanced(by: index).deinitialize(count: count)
  }
}

/// A collection's elements where they lie, without bounds checks in release builds.
@usableFromInline
struct BorrowedElements<Element>: RandomAccessCollection, @unchecked Sendable {
  // SAFETY: made from elements of a Sendable collection, read only, within one wp_concurrent_perform that returns before
  // the borrow ends.
  @usableFromInline let buffer: UnsafeBufferPointer<Element>

  @inlinable init(_ buffer: UnsafeBufferPointer<Element>) { self.buffer = buffer }
  @inlinable var startIndex: Int { 0 }
  @inlinable var endIndex: Int { buffer.count }
  @inlinable subscript(index: Int) -> Element { buffer[index] }
}
