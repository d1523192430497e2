import CStress
import CWorkerPool
import Testing
import ThreadTestSupport

/// In which order jobs begin: those of a batch that a worker submits, and those from outside.
@Suite(.timeLimit(.minutes(5))) struct OrderTests {
  // MARK: A worker's own

  /// The first fair turn takes the oldest of the deque, which is the batch's last.
  @Test(arguments: [1, 2, 33, 60]) func aWorkersBatchRunsInOrder(count: Int) {
    #expect(ownBatch(count) == Array(0..<UInt32(count)))
  }

  /// Also where the deque has no room for all of it. Fair turns are one job in 61, each of which may stand between two others.
  @Test(arguments: [1000, 8192, 20_000]) func aLargeBatchOfAWorkerRunsInOrder(count: Int) {
    let order = ownBatch(count)
    #expect(order.sorted() == Array(0..<UInt32(count)))
    let descents = zip(order, order.dropFirst()).count { $1 < $0 }
    #expect(descents <= count / 61 + 2)
  }

  private func ownBatch(_ count: Int) -> [UInt32] {
    let order = [cs_begun](unsafeUninitializedCapacity: count) { order, filled in
      cs_order_of_own_batch(UInt32(count), order.baseAddress!)
      filled = count
    }
    return order.map(\.number)
  }

  // MARK: From outside

  @Test(arguments: [1, 2] as [UInt32], [1, 50] as [UInt32]) func longJobsBeginInOrder(workers: UInt32, batch: UInt32) {
    check(Load(workers: workers, tiny: 0, batch: batch, gated: false))
  }

  /// By then each worker takes 64 at once.
  @Test(arguments: [false, true]) func longJobsAfterTinyOnesBeginInOrder(gated: Bool) {
    check(Load(workers: 2, tiny: 100_000, batch: 1, gated: gated))
  }

  /// A batch that begins with tiny jobs, whatever part of it they are.
  @Test(arguments: [1, 10, 20, 32, 40, 50, 63]) func longJobsInTheMiddleOfABatchBeginInOrder(offset: Int) {
    check(Load(workers: 2, tiny: 64 * 200 + offset, batch: 10_000, gated: true))
  }

  /// Such as one during which its thread did not run.
  @Test func oneSlowJobAmongTinyOnesDoesNotEndBatches() {
    let count = 20_000
    let taken = [UInt32](unsafeUninitializedCapacity: count / 500 + 1) { taken, filled in
      taken.initialize(repeating: 0)
      filled = Int(cs_batches_after_slow_job(UInt32(count), 6_001, taken.baseAddress!))
    }
    #expect(taken.count == 27)
    // Of up to 64 half of which have been run; one by one it would be 1. A sanitizer has the submitter hardly keep ahead.
    #expect(taken.sorted()[taken.count / 2] >= (runsUnderSanitizer ? 3 : 8), "\(taken)")
  }

  private func check(_ load: Load, location: SourceLocation = #_sourceLocation) {
    var counted = 0
    var overtaken: [Int] = []
    for _ in 0..<300 where counted < 5 {
      let begun = load.run()
      // Where the kernel lets a worker stand, those behind it wait in its deque.
      guard load.wentOn(begun) else { continue }
      counted += 1
      overtaken.append(load.mostOvertaken(begun))
    }
    #expect(counted == 5, "the machine let not all workers go on", sourceLocation: location)
    // Seldom a fair turn takes some jobs just when they become long.
    let inOrder = overtaken.count { $0 < Int(load.workers) }
    #expect(inOrder >= 3, "\(overtaken)", sourceLocation: location)
  }
}

/// Long jobs behind tiny ones, from outside.
private struct Load {
  var workers: UInt32
  var tiny: Int
  var batch: UInt32
  var gated: Bool

  private let long = 250
  private let duration: UInt32 = 100_000
  /// So many jobs it may take until they begin in order.
  private let learning = 32

  init(workers: UInt32, tiny: Int, batch: UInt32, gated: Bool) {
    self.workers = workers
    self.tiny = tiny
    self.batch = batch
    self.gated = gated
  }

  /// The long jobs, in the order in which they began.
  func run() -> [cs_begun] {
    let durations = Array(repeating: 0, count: tiny) + Array(repeating: duration, count: long)
    let order = [cs_begun](unsafeUninitializedCapacity: durations.count) { order, filled in
      cs_order_from_outside(workers, durations, UInt32(durations.count), batch, gated, order.baseAddress!)
      filled = durations.count
    }
    return order.filter { $0.number >= tiny }
  }

  /// Whether no worker stood still for a millisecond while it learned.
  func wentOn(_ begun: [cs_begun]) -> Bool {
    let first = begun.prefix(2 * learning)
    var last: [Int32: UInt64] = Dictionary(uniqueKeysWithValues: (0..<Int32(workers)).map { ($0, first[0].at_ns) })
    for job in first {
      if job.at_ns > last[job.worker, default: 0] + 1_000_000 { return false }
      last[job.worker] = job.at_ns
    }
    return last.values.allSatisfy { first.last!.at_ns < $0 + 1_000_000 }
  }

  /// How many jobs had been overtaken at once by later ones, when all but those of the learning are looked at. Each worker may
  /// hold one that it has taken and not begun.
  func mostOvertaken(_ begun: [cs_begun]) -> Int {
    let rest = begun.dropFirst(learning).map(\.number)
    let place = Dictionary(uniqueKeysWithValues: zip(rest.sorted(), 0...))
    var furthest = 0
    var most = 0
    for (count, number) in rest.enumerated() {
      furthest = max(furthest, place[number]!)
      most = max(most, furthest - count)
    }
    return most
  }
}
