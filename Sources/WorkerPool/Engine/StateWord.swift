import CWorkerPool
import Synchronization

/// Blocking on an atomic word: the engine's futex, for words that live in Swift objects.
extension Atomic where Value == UInt32 {
  /// An atomic is never moved while it exists, so its address is its identity for the kernel.
  borrowing func withAddress<R>(_ body: (UnsafeRawPointer) -> R) -> R {
    withUnsafePointer(to: self) { body(UnsafeRawPointer($0)) }
  }

  /// Spins until a bit of `mask` is set, for the default time and not beyond the deadline; returns the last value read, with
  /// acquire order.
  borrowing func spin(until mask: UInt32, deadline: MonotonicInstant = .never) -> UInt32 {
    withAddress { wp_word_spin($0, mask, deadline.spinNanoseconds) }
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

  /// A point that has passed: for who looks and does not wait.
  static var past: MonotonicInstant { MonotonicInstant(nanoseconds: 0) }

  var isNever: Bool { nanoseconds == .max }
  @usableFromInline var hasPassed: Bool { nanoseconds == 0 || !isNever && wp_monotonic_now() >= nanoseconds }

  /// Whether there is time for any spin that wp_word_spin may find worth its while.
  var leavesTimeToSpin: Bool { isNever || nanoseconds.subtractingClamped(wp_monotonic_now()) > longestSpin }

  /// How long to spin at most, as wp_word_spin takes it: as it has paid lately (0) where that ends before the deadline in
  /// any case, else for the time that is left.
  fileprivate var spinNanoseconds: UInt64 {
    guard !leavesTimeToSpin else { return 0 }
    let left = min(nanoseconds.subtractingClamped(wp_monotonic_now()), wp_get_wait_spin())
    return left > 0 ? left : .max  // WP_SPIN_NEVER
  }

  static func now() -> MonotonicInstant { MonotonicInstant(nanoseconds: wp_monotonic_now()) }

  /// The instant `timeout` from now; the past for none or a negative one, never for those beyond the clock's range.
  @usableFromInline static func after(_ timeout: Duration) -> MonotonicInstant {
    guard timeout > .zero else { return .past }
    let (total, overflow) = now().nanoseconds.addingReportingOverflow(timeout.clampedNanoseconds)
    return overflow ? .never : MonotonicInstant(nanoseconds: total)
  }
}

extension Duration {
  /// Whole nanoseconds; 0 for a negative duration, `UInt64.max` for one of 585 years and more. `components` traps for
  /// durations whose seconds exceed an `Int64`.
  var clampedNanoseconds: UInt64 { UInt64(clamping: attoseconds / 1_000_000_000) }
}

/// Now and then wp_word_spin goes on for five times the limit.
private var longestSpin: UInt64 { wp_get_wait_spin().multipliedReportingOverflow(by: 5).partialValue }

extension UInt64 {
  fileprivate func subtractingClamped(_ other: UInt64) -> UInt64 { self > other ? self - other : 0 }
}
