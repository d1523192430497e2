import CWorkerPool
import Synchronization

/// Blocking on an atomic word: the engine's futex, for words that live in Swift objects.
extension Atomic where Value == UInt32 {
  /// An atomic is never moved while it exists, so its address is its identity for the kernel.
  borrowing func withAddress<R>(_ body: (UnsafeRawPointer) -> R) -> R {
    withUnsafePointer(to: self) { body(UnsafeRawPointer($0)) }
  }

  /// Spins for the default time until a bit of `mask` is set; returns the last value read, with acquire order.
  borrowing func spin(until mask: UInt32) -> UInt32 {
    withAddress { wp_word_spin($0, mask, 0) }
  }

  /// Sleeps while the word equals `expected`. False once the deadline has passed; may return early otherwise.
  borrowing func wait(while expected: UInt32, deadline: MonotonicInstant) -> Bool {
    withAddress { wp_word_wait($0, expected, deadline.nanoseconds) }
  }

  borrowing func wakeAll() {
    withAddress { wp_word_wake_all($0) }
  }
}

/// The process's limit for spinning in waits; `UInt64.max` sets it to 0.
var waitSpinNanoseconds: UInt64 {
  get { wp_get_wait_spin() }
  set { wp_set_wait_spin(newValue) }
}

/// A point on the system's monotonic clock.
@usableFromInline
struct MonotonicInstant: Sendable {
  /// Nanoseconds on CLOCK_MONOTONIC.
  let nanoseconds: UInt64

  /// The end of time: a wait without a deadline.
  @usableFromInline static var never: MonotonicInstant { MonotonicInstant(nanoseconds: .max) }

  static func now() -> MonotonicInstant { MonotonicInstant(nanoseconds: wp_monotonic_now()) }

  /// The instant `timeout` from now; now for negative ones, never for those beyond the clock's range.
  @usableFromInline static func after(_ timeout: Duration) -> MonotonicInstant {
    let (seconds, attoseconds) = timeout.components
    guard timeout > .zero else { return now() }
    let (fromSeconds, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
    let (sum, overflows) = now().nanoseconds.addingReportingOverflow(UInt64(attoseconds / 1_000_000_000))
    let (total, exceeds) = sum.addingReportingOverflow(fromSeconds)
    return overflow || overflows || exceeds ? .never : MonotonicInstant(nanoseconds: total)
  }
}
