import CWorkerPool
import Synchronization

/// How a future reaches the place where its task waits, when that is not a thread pool of this process.
@usableFromInline
protocol FutureSource: AnyObject, Sendable {
  /// True when the task was taken back and will not run.
  func tryCancel() -> Bool
  /// Whether the task has begun and not ended.
  var isRunning: Bool { get }
}

/// The result of a task that may not have ended yet.
///
/// Executors make futures; ``Promise`` makes them by hand. A future is done once it is
/// ``State/finished`` or ``State/cancelled``, and stays so.
///
/// ```swift
/// let future = try pool.submit { expensiveSum() }
/// future.addDoneCallback { print("done:", $0.state) }
/// print(try future.result())        // from threads
/// print(try await future.value)     // from async code
/// ```
///
/// All members may be used from any thread.
public final class Future<Success: Sendable>: @unchecked Sendable {
  // SAFETY: `word` is the only field that changes under concurrent access. Everything else is constant, or guarded
  // by it as its comment says, with acquire loads and release stores of `word` as the edges; blocking goes through
  // wp_word_wait and wp_word_wake_all.

  // The state machine, in one word:
  //
  //     pending ──begin──▶ running ──finish──▶ finished
  //        └────cancel───▶ cancelled
  //
  // Whoever moves `pending` on (one CAS) owns what comes next: the runner its result, the canceller the body.
  // The other bits are independent of the phase:
  //   locked     somebody changes the list of waiters; for a few instructions, never across a call out
  //   contended  somebody sleeps until `locked` is cleared
  //   blocked    somebody sleeps until the future is done
  //   listed     the list of waiters is not empty
  // Becoming done clears them all in the same step, after which nobody touches the list but the one who did it.
  @usableFromInline let word: Atomic<UInt32>

  /// The pool whose workers may run the body; only compared, never followed.
  @usableFromInline let home: OpaquePointer?
  @usableFromInline let source: (any FutureSource)?
  /// Owned by whoever moves the future out of `pending`; nil for futures that others complete.
  @usableFromInline var body: (@Sendable () throws -> Success)?
  /// Guarded by `locked`.
  @usableFromInline var waiters: WaiterList
  /// Written before the release of `finished` by the thread that owns `running`; constant afterwards. The last field:
  /// its size depends on `Success`, and unspecialised code must look up what stands behind it.
  @usableFromInline var storedResult: Result<Success, any Error>?

  /// A future that somebody completes with ``complete(with:)``.
  convenience init(source: (any FutureSource)? = nil) {
    self.init(home: nil, source: source, body: nil)
  }

  /// A future that owns the task it stands for, to be run by a worker of `home`.
  @inlinable
  init(home: OpaquePointer?, source: (any FutureSource)? = nil, body: (@Sendable () throws -> Success)?) {
    word = Atomic(Phase.pending)
    waiters = WaiterList()
    storedResult = nil
    self.home = home
    self.source = source
    self.body = body
  }

  // MARK: Transitions

  /// Whether the future is done: then its result may be read.
  @inlinable
  var isDone: Bool { word.load(ordering: .acquiring) & Phase.done != 0 }

  /// Where the future stands now. For a task of a process pool this asks the pool, in O(1).
  public var state: State {
    switch word.load(ordering: .acquiring) & Phase.mask {
    case Phase.pending: source?.isRunning == true ? .running : .pending
    case Phase.running: .running
    case Phase.finished: .finished
    default: .cancelled
    }
  }

  /// The result once the future is done, nil before; a cancelled future has failed with `CancellationError`.
  @inlinable
  public var outcome: Result<Success, any Error>? {
    switch word.load(ordering: .acquiring) & Phase.mask {
    case Phase.finished: storedResult
    case Phase.cancelled: .failure(CancellationError())
    default: nil
    }
  }

  /// Claims the right, and the duty, to finish. False when somebody has it or the future was cancelled.
  @inlinable
  func begin() -> Bool {
    var current = word.load(ordering: .relaxed)
    while current & Phase.mask == Phase.pending {
      let (exchanged, found) = word.weakCompareExchange(
        expected: current, desired: current | Phase.running, ordering: .acquiringAndReleasing)
      if exchanged { return true }
      current = found
    }
    return false
  }

  /// Ends what ``begin()`` claimed.
  @inlinable
  func finish(with result: Result<Success, any Error>) {
    storedResult = result
    guard let before = settle(from: Phase.running, to: Phase.finished) else {
      preconditionFailure("a future was finished by a thread that had not begun it")
    }
    announce(before)
  }

  /// Completes a future that has no body. False when it was done already.
  @inlinable
  func complete(with result: Result<Success, any Error>) -> Bool {
    guard begin() else { return false }
    finish(with: result)
    return true
  }

  /// Runs the body unless somebody else does or the future was cancelled.
  @inlinable
  func runBody() {
    guard begin() else { return }
    // The claim makes the body ours; it goes before the result is published, so that whoever waits for the result
    // also waits for the release of what the body captured.
    guard let body = body.take() else { return }
    let result = Result { try body() }
    withExtendedLifetime(consume body) {}
    finish(with: result)
  }

  /// Cancels the task if it has not begun.
  ///
  /// - Returns: true when the future is cancelled now or was before; false when the task runs or has ended.
  ///
  /// A cancelled task never runs; what its closure captured is released before this method returns, and callbacks and
  /// waiters are told on the calling thread. O(1) and the callbacks.
  @discardableResult
  public func cancel() -> Bool {
    if let source {
      guard source.tryCancel() else { return state == .cancelled }
    }
    return completeCancelled() || state == .cancelled
  }

  /// Makes the future cancelled without asking its source: for a source that has given the task up by itself. False
  /// when it was done, or begun.
  func completeCancelled() -> Bool {
    guard let before = settle(from: Phase.pending, to: Phase.cancelled) else { return false }
    body = nil
    announce(before)
    return true
  }

  /// Makes the future done. Returns the word as it was, nil when the future is not in the phase `from` (any more).
  @inlinable
  func settle(from: UInt32, to phase: UInt32) -> UInt32? {
    var current = word.load(ordering: .relaxed)
    while current & Phase.mask == from {
      if current & Flag.locked != 0 {
        current = waitForUnlock(current)
        continue
      }
      let (exchanged, found) = word.weakCompareExchange(
        expected: current, desired: phase, ordering: .acquiringAndReleasing)
      if exchanged { return current }
      current = found
    }
    return nil
  }

  /// Tells everyone who waited when the word was `before`.
  @usableFromInline
  func announce(_ before: UInt32) {
    if before & (Flag.blocked | Flag.contended) != 0 { word.wakeAll() }
    guard before & Flag.listed != 0 else { return }
    let detached = waiters
    waiters = WaiterList()
    detached.notifyAll()
  }

  // MARK: The list of waiters

  /// Sleeps until the lock bit is clear; returns a fresh value of the word.
  @usableFromInline
  func waitForUnlock(_ value: UInt32) -> UInt32 {
    if value & Flag.contended == 0 {
      let (exchanged, found) = word.weakCompareExchange(
        expected: value, desired: value | Flag.contended, ordering: .relaxed)
      guard exchanged else { return found }
    }
    _ = word.wait(while: value | Flag.contended, deadline: .never)
    return word.load(ordering: .relaxed)
  }

  /// Runs `body` with the list locked. False, without running it, when the future is done.
  private func withWaiters(_ body: (inout WaiterList) -> Void) -> Bool {
    var current = word.load(ordering: .acquiring)
    while true {
      if current & Phase.done != 0 { return false }
      if current & Flag.locked != 0 {
        current = waitForUnlock(current)
        continue
      }
      let (exchanged, found) = word.weakCompareExchange(
        expected: current, desired: current | Flag.locked, successOrdering: .acquiring, failureOrdering: .acquiring)
      if exchanged { break }
      current = found
    }
    body(&waiters)
    let listed = waiters.isEmpty ? 0 : Flag.listed
    current = word.load(ordering: .relaxed)
    while true {
      let next = (current & ~(Flag.locked | Flag.contended | Flag.listed)) | listed
      let (exchanged, found) = word.weakCompareExchange(expected: current, desired: next, ordering: .releasing)
      if exchanged { break }
      current = found
    }
    if current & Flag.contended != 0 { word.wakeAll() }
    return true
  }

  /// Adds a waiter. False when the future is done, or the node was abandoned: the waiter will not be told.
  func add(_ node: WaiterNode) -> Bool {
    var added = false
    let open = withWaiters { list in
      guard !node.isAbandoned else { return }
      list.append(node)
      added = true
    }
    return open && added
  }

  /// Takes a waiter out. Returns it if it was waiting and will not be told any more. A node that was not added yet
  /// never will be.
  func remove(_ node: WaiterNode) -> Waiter? {
    var removed: Waiter?
    _ = withWaiters { list in
      node.isAbandoned = true
      guard node.isListed else { return }
      list.remove(node)
      removed = node.waiter.take()
    }
    return removed
  }

  // MARK: Blocking

  /// Blocks until the future is done or the deadline has passed; returns whether it is done.
  ///
  /// On a worker of the task's own pool, runs the task here if nobody has begun it. Otherwise, on any worker, has a spare
  /// take its place in its pool meanwhile.
  ///
  /// - Throws: ``WorkerPoolError/Code/wouldDeadlock`` when there is no spare and nobody else of the pool runs.
  @usableFromInline
  func block(until deadline: MonotonicInstant) throws -> Bool {
    if isDone { return true }
    if let home, home == wp_thread_pool_current(), wp_thread_remaining_stack() > minimumInlineStack {
      runBody()
      if isDone { return true }
    }
    if word.spin(until: Phase.done) & Phase.done != 0 { return true }
    let status = wp_thread_pool_block_begin()
    guard status == WP_OK else {
      throw WorkerPoolError(
        code: .wouldDeadlock,
        message: """
          every worker of the pool is blocked and no spare can take the caller's place \
          (\(String(cString: wp_status_name(status)))): waiting would be a deadlock
          """)
    }
    defer { wp_thread_pool_block_end() }
    return sleep(until: deadline)
  }

  /// Like ``block(until:)``, for callers that cannot throw: without a spare they wait all the same.
  func blockAnyway(until deadline: MonotonicInstant) -> Bool {
    (try? block(until: deadline)) ?? sleep(until: deadline)
  }

  private func sleep(until deadline: MonotonicInstant) -> Bool {
    var current = word.load(ordering: .acquiring)
    while current & Phase.done == 0 {
      if current & Flag.blocked == 0 {
        let (exchanged, found) = word.weakCompareExchange(
          expected: current, desired: current | Flag.blocked, successOrdering: .relaxed, failureOrdering: .acquiring)
        guard exchanged else {
          current = found
          continue
        }
        current |= Flag.blocked
      }
      let inTime = word.wait(while: current, deadline: deadline)
      current = word.load(ordering: .acquiring)
      if !inTime { break }
    }
    return current & Phase.done != 0
  }
}

/// A worker runs an awaited task on its own stack only while so many bytes are left; the task itself needs some.
private let minimumInlineStack = 256 << 10

@usableFromInline
enum Phase {
  @inlinable static var pending: UInt32 { 0 }
  @inlinable static var running: UInt32 { 1 }
  @inlinable static var finished: UInt32 { 2 }
  @inlinable static var cancelled: UInt32 { 3 }
  @inlinable static var mask: UInt32 { 3 }
  /// Set in `finished` and `cancelled` alone.
  @inlinable static var done: UInt32 { 2 }
}

@usableFromInline
enum Flag {
  @inlinable static var locked: UInt32 { 1 << 2 }
  @inlinable static var contended: UInt32 { 1 << 3 }
  @inlinable static var blocked: UInt32 { 1 << 4 }
  @inlinable static var listed: UInt32 { 1 << 5 }
}
