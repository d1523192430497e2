/// One `map` over a collection whose elements know their places: what its chunks share, on the caller's stack.
///
/// The closure that runs chunks gets this by address and captures nothing but `transform`. A `transform` without captures
/// is then a constant, which the optimiser propagates into that closure: the loop contains its code, and is vectorised
/// where that can be. One that captures something costs a call for each element, as in any closure that C calls back.
@usableFromInline
struct ParallelMap<Elements: RandomAccessCollection, Output> {
  @usableFromInline let elements: Elements
  @usableFromInline let count: Int
  @usableFromInline let grain: Int
  @usableFromInline let failure: FirstFailure
  @usableFromInline let target: UncheckedRegion<Output>
  /// How many outputs at a chunk's front exist: what has to be destroyed again if another chunk fails.
  @usableFromInline let written: UncheckedRegion<Int>

  @inlinable
  init(
    _ elements: Elements, count: Int, grain: Int, failure: FirstFailure, target: UncheckedRegion<Output>,
    written: UncheckedRegion<Int>
  ) {
    self.elements = elements
    self.count = count
    self.grain = grain
    self.failure = failure
    self.target = target
    self.written = written
  }

  /// - Parameter runChunks: Calls ``run(_:_:_:_:)``.
  @inlinable
  static func outputs(
    of elements: Elements, chunkSize: Int?, on pool: ThreadPoolExecutor,
    _ runChunks: (UnsafeRawPointer, Int, Int) -> Void
  ) throws -> [Output] {
    let count = elements.count
    let grain = try checkedSize(chunkSize, "chunkSize") ?? pool.defaultGrain(count: count)
    // The initialiser below would write a count of 0 into the empty array that all threads share.
    guard count > 0 else { return [] }
    let chunks = (count - 1) / grain + 1
    let failure = FirstFailure()
    var written = [Int](repeating: 0, count: chunks)
    return try [Output](unsafeUninitializedCapacity: count) { outputs, initializedCount in
      let target = UncheckedRegion(outputs)
      target.prepare(count: count, for: pool.engine)
      try written.withUnsafeMutableBufferPointer { written in
        let map = ParallelMap(
          elements, count: count, grain: grain, failure: failure, target: target, written: UncheckedRegion(written))
        try withUnsafePointer(to: map) {
          try pool.engine.perform(count: chunks, grain: 1, context: UnsafeRawPointer($0), runChunks)
        }
        do {
          try failure.rethrow()
        } catch {
          for chunk in 0..<chunks { target.deinitialize(at: chunk * grain, count: written[chunk]) }
          throw error
        }
      }
      initializedCount = count
    }
  }

  /// Runs some chunks of the map at an address.
  @inlinable
  @inline(__always)
  static func run(
    _ address: UnsafeRawPointer, _ firstChunk: Int, _ endChunk: Int,
    _ transform: (Elements.Element) throws -> Output
  ) {
    // A copy: for all the optimiser knows, writing an output could change what stands at the address.
    let map = address.assumingMemoryBound(to: Self.self).pointee
    for chunk in firstChunk..<endChunk where !map.failure.happened(before: chunk) {
      let begin = chunk &* map.grain
      let end = begin &+ min(map.grain, map.count &- begin)
      var place = begin
      do {
        var index = map.elements.index(map.elements.startIndex, offsetBy: begin)
        while place < end {
          map.target.initialize(at: place, to: try transform(map.elements[index]))
          place &+= 1
          map.elements.formIndex(after: &index)
        }
      } catch {
        map.failure.record(error, at: chunk)
      }
      map.written.assign(at: chunk, to: place - begin)
    }
  }
}
