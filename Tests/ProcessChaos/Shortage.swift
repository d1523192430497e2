import ThreadTestSupport

/// A template that may have no more processes, or no more descriptors, until this ends.
final class Shortage {
  private let process: Int32
  private let countable: Countable
  private let before: UInt64
  private let end: ContinuousClock.Instant

  /// Nil where the limit cannot be set, as for a process that is gone.
  init?(of countable: Countable, in process: Int32, for duration: Duration) {
    self.process = process
    self.countable = countable
    end = .now + duration
    // Descriptors below that number may be free, so that some can be had.
    let most = countable == .processes ? 1 : openDescriptors(of: process)
    guard most > 0, let before = limit(process, countable, to: UInt64(most)) else { return nil }
    self.before = before
  }

  deinit { _ = limit(process, countable, to: before) }

  var isOver: Bool { end < .now }
}
