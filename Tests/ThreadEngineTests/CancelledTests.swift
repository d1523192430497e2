import CStress
import Testing
import ThreadTestSupport

/// Jobs that were cancelled give their places back, also behind workers that do not come by.
@Suite(.timeLimit(.minutes(5))) struct CancelledTests {
  private static let pairs: UInt32 = 1_000_000

  /// In a process of its own, whose memory no other test changes.
  @Test(.disabled(if: runsUnderSanitizer, "the allocator is the sanitizer's")) func cancelledJobsHoldNoMemory() {
    let answers = cs_fork_and_cancel(Self.pairs, 0)
    #expect(answers.answered)
    #expect(answers.most_held <= 2 << 20, "\(answers.most_held) bytes")
    #expect(answers.live == 1 && answers.ran == 1)
  }

  @Test(.disabled(if: runsUnderSanitizer, "the allocator is the sanitizer's"), arguments: [100, 10] as [UInt32])
  func cancelledJobsAmongOthersHoldLittle(liveEvery: UInt32) {
    let answers = cs_fork_and_cancel(Self.pairs, liveEvery)
    #expect(answers.answered)
    let cancelled = UInt64(Self.pairs) + 1 - answers.live
    // The others have 80 bytes each.
    let own = liveEvery < 100 ? Int(answers.live) * 80 : 0
    let perCancelled = Double(answers.most_held - own) / Double(cancelled)
    #expect(perCancelled <= 24, "\(perCancelled) bytes")
    #expect(answers.live == UInt64(1 + Self.pairs / liveEvery) && answers.ran == answers.live)
  }

  @Test(arguments: [2, 10, 100]) func theOthersKeepTheirOrder(liveEvery: Int) {
    let count = 40_000
    let live = Array(stride(from: 0, to: UInt32(count), by: liveEvery).prefix(2000))
    var swept: UInt64 = 0
    let order = [UInt32](unsafeUninitializedCapacity: count / liveEvery) { order, filled in
      swept = cs_cancelled_order(UInt32(live.count * liveEvery), UInt32(liveEvery), order.baseAddress!)
      filled = live.count
    }
    #expect(swept > 0)
    #expect(order == live)
  }

  @Test(arguments: [(1, 1), (2, 2), (3, 1), (4, 3)] as [(UInt32, UInt32)])
  func eachEndsOnceBesideWorkers(submitters: UInt32, workers: UInt32) {
    let items: UInt64 = 150_000
    let tally = cs_cancel_stress(submitters, workers, items, 0)
    #expect(tally.accepted == items)
    #expect(tally.once == items)
    #expect(tally.repeated == 0)
  }

  /// Also when the pool is closed meanwhile, and what waits is given back.
  @Test(arguments: 0..<20) func eachEndsOnceBesideAClose(round: UInt64) {
    let items: UInt64 = 40_000
    let tally = cs_cancel_stress(1 + UInt32(round % 3), 1 + UInt32(round % 2), items, 1000 + round * 1777)
    #expect(tally.accepted <= items)
    #expect(tally.once == tally.accepted)
    #expect(tally.repeated == 0)
  }
}
