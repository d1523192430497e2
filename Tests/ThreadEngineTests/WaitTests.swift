import CWorkerPool
import Synchronization
import Testing
import ThreadTestSupport

/// Blocking on words that live in Swift.
@Suite struct WaitTests {
  private final class Word: Sendable {
    let value = Atomic<UInt32>(0)

    var address: UnsafeRawPointer { withUnsafePointer(to: value) { UnsafeRawPointer($0) } }
  }

  @Test func theClockIsMonotonic() {
    let clock = ContinuousClock()
    let start = clock.now
    let first = wp_monotonic_now()
    let second = wp_monotonic_now()
    #expect(second >= first)
    // The same unit as others': a busy millisecond is one here too.
    while clock.now - start < .milliseconds(1) {}
    #expect(wp_monotonic_now() - first < 60_000_000_000)
    #expect(wp_monotonic_now() > first + 900_000)
  }

  @Test func aDifferentValueIsNotWaitedFor() {
    let word = Word()
    #expect(wp_word_wait(word.address, 1, .max))
  }

  @Test func aDeadlineEndsTheWait() {
    let word = Word()
    let deadline = wp_monotonic_now() + 20_000_000
    var inTime = true
    while inTime { inTime = wp_word_wait(word.address, 0, deadline) }
    #expect(wp_monotonic_now() >= deadline)
    #expect(!wp_word_wait(word.address, 0, 0))  // long past
  }

  @Test func everySleeperIsWoken() {
    let word = Word()
    for round in UInt32(0)..<200 {
      let began = Semaphore()
      let sleepers = RunningThread {
        onThreads(4) { _ in
          began.signal()
          while word.value.load(ordering: .acquiring) == round { _ = wp_word_wait(word.address, round, .max) }
        }
      }
      began.wait(4)
      word.value.store(round + 1, ordering: .releasing)
      wp_word_wake_all(word.address)
      sleepers.join()
    }
  }

  @Test func spinningSeesABit() {
    let word = Word()
    word.value.store(0b100, ordering: .releasing)
    #expect(wp_word_spin(word.address, 0b110, .max - 1) == 0b100)
    // Without the bit: one look, or as long as was asked for.
    #expect(wp_word_spin(word.address, 0b001, .max) == 0b100)
    let start = wp_monotonic_now()
    #expect(wp_word_spin(word.address, 0b001, 1_000_000) == 0b100)
    var topology: OpaquePointer?
    wp_topology_create(nil, &topology, nil)
    if wp_topology_granted(topology!) > 1 { #expect(wp_monotonic_now() - start >= 1_000_000) }
    wp_topology_destroy(topology)
  }

  @Test func statusesAndSignalsHaveNames() {
    let statuses = [
      WP_OK, WP_INVALID_ARGUMENT, WP_SYSTEM_CALL_FAILED, WP_SHUT_DOWN, WP_FORKED, WP_WOULD_DEADLOCK, WP_BROKEN,
      WP_UNSUPPORTED, WP_TOO_LARGE, WP_TIMED_OUT,
    ]
    #expect(Set(statuses.map { String(cString: wp_status_name($0)) }).count == statuses.count)
    #expect(wp_signal_abbreviation(9).map { String(cString: $0) } == "KILL")
    #expect(wp_signal_abbreviation(0) == nil)
    #expect(wp_signal_abbreviation(1000) == nil)
  }
}
