import Testing

@testable import WorkerPool

/// How `map` cuts its input.
@Suite struct ChunkTests {
  private func sizes(_ chunks: Chunks<some IteratorProtocol>, at pace: Pace) -> [Int] {
    var chunks = chunks
    var sizes: [Int] = []
    while let chunk = chunks.next(at: pace) { sizes.append(chunk.count) }
    return sizes
  }

  private func pace(_ elements: Int, took nanoseconds: UInt64) -> Pace {
    var pace = Pace()
    pace.note(elements, took: nanoseconds)
    return pace
  }

  @Test func aFixedSizeStays() throws {
    #expect(sizes(try Chunks(of: 0..<10, chunkSize: 4, otherwise: .time, workers: 2), at: Pace()) == [4, 4, 2])
  }

  @Test func aShareIsAQuarterOfAWorkers() throws {
    #expect(sizes(try Chunks(of: 0..<800, chunkSize: nil, workers: 2), at: Pace()) == Array(repeating: 100, count: 8))
  }

  @Test func whatNobodyHasMeasuredGoesAlone() throws {
    let sizes = sizes(try Chunks(of: 0..<5, chunkSize: nil, otherwise: .time, workers: 2), at: Pace())
    #expect(sizes == [1, 1, 1, 1, 1])
  }

  @Test func slowElementsGoAlone() throws {
    let sizes = sizes(
      try Chunks(of: 0..<100, chunkSize: nil, otherwise: .time, workers: 2), at: pace(3, took: 6_000_000))
    #expect(sizes == Array(repeating: 1, count: 100))
  }

  @Test func aChunkTakesAMillisecond() throws {
    let sizes = sizes(
      try Chunks(of: 0..<10_000, chunkSize: nil, otherwise: .time, workers: 2), at: pace(10, took: 100_000))
    #expect(sizes.first == 100)
    #expect(sizes.allSatisfy { $0 <= 100 } && sizes.reduce(0, +) == 10_000)
  }

  @Test func theEndIsCutFiner() throws {
    let sizes = sizes(try Chunks(of: 0..<1000, chunkSize: nil, otherwise: .time, workers: 2), at: pace(1000, took: 50))
    // Half of a worker's share of what is left.
    #expect(sizes.prefix(3) == [250, 188, 141])
    #expect(sizes.last == 1 && sizes == sizes.sorted(by: >) && sizes.reduce(0, +) == 1000)
  }

  @Test func aSequenceOfUnknownLengthIsNotPulledFarAhead() throws {
    let endless = sequence(first: 0) { $0 < 4000 ? $0 + 1 : nil }
    let sizes = sizes(try Chunks(of: endless, chunkSize: nil, otherwise: .time, workers: 2), at: pace(1000, took: 50))
    #expect(sizes.first == 1 && sizes.max() == 256 && sizes.reduce(0, +) == 4001)
  }

  @Test func theLatestCountMost() {
    var pace = pace(1, took: 100_000_000)
    for _ in 0..<20 { pace.note(100, took: 100_000) }
    #expect((900...1000).contains(pace.elements(in: 1_000_000) ?? 0))
  }

  @Test func aClaimWithoutSenseIsBounded() {
    #expect(pace(1, took: .max).elements(in: 1_000_000) == 1)
    #expect(pace(.max / 4, took: 0).elements(in: 1_000_000) == 1_000_000_000)
    #expect(Pace().elements(in: 1) == nil)
  }
}
