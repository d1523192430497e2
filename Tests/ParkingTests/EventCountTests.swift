import CStress
import Testing

@Suite struct EventCountTests {
  /// A lost wake-up leaves tokens behind with everybody asleep.
  @Test(arguments: [(1, 1), (1, 4), (4, 1), (2, 2), (4, 4)] as [(UInt32, UInt32)])
  func noWakeUpIsLost(producers: UInt32, consumers: UInt32) {
    let items: UInt64 = 300_000
    #expect(cs_event_count_stress(producers, consumers, items, 5000) == items)
  }

  /// Who goes back to sleep while the others are still being woken is not woken again, over and over.
  @Test(arguments: [1, 2, 4]) func aBroadcastWakesEachOnce(sleepers: UInt32) {
    #expect(cs_event_count_broadcast(sleepers, 1000))
  }

  @Test func nobodyIsWokenWhileAnotherSearches() {
    #expect(cs_event_count_throttle(1000) == 0)
  }
}
