import Glibc
import Synchronization
import Testing
import ThreadTestSupport

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

  // MARK: Driving

  /// Chunks that are in flight may end at any moment, also while it is asked whether there is room for more. What is left of
  /// the input still goes out, as far as there is room.
  @Test(.timeLimit(.minutes(5))) func aWindowThatEmptiesIsFilledAgain() async throws {
    let rounds = 3000
    let flights = Flights()
    let completer = RunningThread { flights.completeAll() }
    for round in 0..<rounds {
      let map = ChunkedMap<Int>(workers: 1)
      let count = 3 * map.window
      var chunks = try Chunks(of: 0..<count, chunkSize: 1, workers: 1)
      var submitted = 0
      while let progress = map.fill(
        from: &chunks,
        submit: { inputs in
          submitted += 1
          return flights.begin(inputs, most: submitted == count ? 1 : map.window, pauses: round % 64)
        })
      {
        try await progress.value
      }
      guard try map.outputs().count == count else {
        Issue.record("\(try map.outputs().count) of \(count) outputs in round \(round)")
        break
      }
    }
    flights.end()
    completer.join()
  }
}

/// Chunks that are in flight, and a thread that completes them as soon as their window is full.
private final class Flights: Sendable {
  private struct State {
    var pending: [(promise: Promise<[Int]>, outputs: [Int])] = []
    var isEnded = false
  }

  private let state = Locked(State())
  private let ready = Atomic<Int>(0)

  /// - Parameters:
  ///   - most: As soon as so many are pending they are completed.
  ///   - pauses: How long the completer waits before.
  func begin(_ inputs: [Int], most: Int, pauses: Int) -> Future<[Int]> {
    let promise = Promise<[Int]>()
    let count = state.withLock { state in
      state.pending.append((promise, inputs))
      return state.pending.count
    }
    if count >= most { ready.store(1 + pauses, ordering: .releasing) }
    return promise.future
  }

  func end() {
    state.withLock { $0.isEnded = true }
    ready.store(1, ordering: .releasing)
  }

  func completeAll() {
    while true {
      let pauses = ready.exchange(0, ordering: .acquiring)
      guard pauses > 0 else {
        sched_yield()
        continue
      }
      for _ in 1..<pauses { _ = ready.load(ordering: .relaxed) }
      let (pending, isEnded) = state.withLock { state in
        defer { state.pending = [] }
        return (state.pending, state.isEnded)
      }
      for (promise, outputs) in pending { promise.succeed(outputs) }
      if isEnded { return }
    }
  }
}
