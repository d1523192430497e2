import CStress
import Testing

private let million: UInt64 = 1_000_000

@Suite struct InjectorTests {
  @Test func keepsOrderAndRefusesWhenClosed() {
    for items: UInt64 in [0, 1, 1023, 1024, 1025, 5000] {
      if items > 0 { #expect(cs_injector_sequential(items), "\(items) items") }
    }
  }

  @Test(arguments: [(1, 1), (2, 2), (4, 4), (1, 4), (4, 1)])
  func everyItemComesOutOnce(producers: UInt32, consumers: UInt32) {
    let tally = cs_injector_stress(producers, consumers, million, 1, 8, 0)
    #expect(tally.accepted == million)
    #expect(tally.once == million)
    #expect(tally.repeated == 0)
    #expect(tally.out_of_order == 0)
  }

  @Test(arguments: [2, 17, 64] as [UInt32])
  func batchesComeOutOnce(batch: UInt32) {
    let tally = cs_injector_stress(3, 3, million, batch, 32, 0)
    #expect(tally.once == million)
    #expect(tally.repeated == 0)
    #expect(tally.out_of_order == 0)
  }

  /// Whatever close and push agree on: what was accepted comes out, what was refused does not.
  @Test func closingLosesNothing() {
    for round: UInt64 in 0..<50 {
      let items: UInt64 = 20_000
      let tally = cs_injector_stress(3, 2, items, UInt32(1 + round % 5), 4, 1 + round * 391)
      #expect(tally.accepted < items, "the close came too late to test anything")
      #expect(tally.once == tally.accepted)
      #expect(tally.repeated == 0)
    }
  }

  @Test(arguments: [1, 1023, 1024, 1025, 5000] as [UInt64]) func popsAndLooksTellPlacesAndNumbers(items: UInt64) {
    #expect(cs_injector_tickets(items))
  }

  /// A segment has 1,024 cells, and the first one is there from the beginning.
  @Test(arguments: [(1024, 0), (1025, 1), (2048, 1), (10_000, 9)] as [(UInt64, UInt32)])
  func growthIsTold(items: UInt64, times: UInt32) {
    #expect(cs_injector_growth(items) == times)
  }

  @Test func memoryReturnsWhenTheBurstIsOver() {
    var full = 0
    var drained = 0
    cs_injector_memory(million, &full, &drained)
    #expect(full >= 16 * Int(million))
    #expect(full <= 17 * Int(million))
    #expect(drained <= 64 << 10)
  }
}

@Suite struct DequeTests {
  @Test func bothEndsAndTheLimit() { #expect(cs_deque_sequential()) }
  @Test func aBatchTurnedRound() { #expect(cs_deque_reversed()) }

  @Test(arguments: [(1, 1), (1, 3), (3, 1), (3, 2), (3, 100), (3, 9000)] as [(UInt32, UInt32)])
  func everyItemComesOutOnce(thieves: UInt32, burst: UInt32) {
    let tally = cs_deque_stress(thieves, million, burst)
    #expect(tally.once == million)
    #expect(tally.repeated == 0)
  }
}

@Suite struct PutbackTests {
  @Test func jobsStandByTheirTickets() { #expect(cs_putback_order()) }
  @Test func aFilterGoesOnWhereItEnded() { #expect(cs_putback_filter()) }

  @Test(arguments: [(1, 1, 0), (2, 2, 0), (3, 2, 1), (2, 1, 2), (1, 3, 1)] as [(UInt32, UInt32, UInt32)])
  func everyItemComesOutOnce(putters: UInt32, takers: UInt32, filters: UInt32) {
    let items: UInt64 = 60_000
    let tally = cs_putback_stress(putters, takers, filters, items)
    #expect(tally.once == items)
    #expect(tally.repeated == 0)
    #expect(tally.out_of_order == 0)
  }
}

@Suite struct BlockTests {
  @Test(arguments: [(1, 1), (3, 2), (2, 3)] as [(UInt32, UInt32)])
  func everyBatchThatIsTakenComesOutOnce(putters: UInt32, takers: UInt32) {
    let tally = cs_block_ring_stress(putters, takers, 200_000)
    #expect(tally.accepted > 0)
    #expect(tally.once == tally.accepted)
    #expect(tally.repeated == 0)
  }

  /// With 1, no block is freed when the trade is told so.
  @Test(arguments: [(1, 1, 0), (2, 2, 0), (1, 2, 5), (2, 1, 2), (2, 2, 1)] as [(UInt32, UInt32, UInt32)])
  func aBlockHasOneOwner(submitters: UInt32, workers: UInt32, keepEvery: UInt32) {
    #expect(cs_block_trade_stress(submitters, workers, 300_000, keepEvery) == 0)
  }

  @Test func blocksComeBackInBatches() {
    let batches = cs_block_trade_sequential(1000)
    if cs_allocator_gives_back() {
      #expect(batches == 1000)
    } else {
      #expect(batches < 50, "wrong guesses are to become rare")
    }
  }
}
