import Synchronization

/// A value that one thread at a time may touch, for a few instructions.
///
/// Mutex 2 of Drepper, "Futexes Are Tricky" (2011), over the engine's futex.
///
/// Rejected: `Synchronization.Mutex`, whose atomics are compiled into the standard library, where ThreadSanitizer does
/// not see them: it reports everything the mutex guards as a race. Being a class costs an allocation for each lock,
/// of which there is one or two for each `map`, scope or `asCompleted`, and none for each task.
@usableFromInline
final class Locked<Value: Sendable>: @unchecked Sendable {
  // SAFETY: `value` is touched between `lock` and `unlock` alone; sleeping goes through wp_word_wait and
  // wp_word_wake_all. Edge "guard": the release in `unlock` to the acquire in the next `lock`.

  /// Free, or locked, or locked while somebody may sleep until it is free.
  private let word = Atomic<UInt32>(free)
  private var value: Value

  @usableFromInline
  init(_ value: Value) { self.value = value }

  /// Runs `body` with the lock held. Not recursive; `body` calls nothing that could block, or take this lock.
  @usableFromInline
  func withLock<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
    lock()
    defer { unlock() }
    return try body(&value)
  }

  private func lock() {
    let (taken, _) = word.compareExchange(
      expected: free, desired: locked, successOrdering: .acquiring, failureOrdering: .relaxed)  // edge "guard"
    if taken { return }
    // From here on we cannot know whether others sleep, so that our unlock has to wake.
    while word.exchange(contended, ordering: .acquiring) != free {  // edge "guard"
      _ = word.wait(while: contended, deadline: .never)
    }
  }

  private func unlock() {
    if word.exchange(free, ordering: .releasing) == contended { word.wakeAll() }  // edge "guard"
  }
}

private let free: UInt32 = 0
private let locked: UInt32 = 1
private let contended: UInt32 = 2
