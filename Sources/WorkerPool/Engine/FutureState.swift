import CWorkerPool
import Synchronization

/// How a future reaches the place where its task waits, when that is not a thread pool of this process. Abstract.
@usableFromInline
class FutureSource: @unchecked Sendable {
  // SAFETY: has no state; subclasses speak for themselves.

  /// True when the task was taken back and will not run.
  func tryCancel() -> Bool { preconditionFailure("abstract") }

  /// Whether the task has begun and not ended.
  var isRunning: Bool { preconditionFailure("abstract") }

  /// How long the task ran, once it has ended; nil where nobody measures.
  var runNanoseconds: UInt64? { nil }

  /// Spins until a bit of `mask` is set in `word`, a future's state, as long as that pays.
  func spin(on word: UnsafeRawPointer, until mask: UInt32) { preconditionFailure("abstract") }

  /// Sleeps until a bit of `mask` is set in `word`, or returns early, for the caller to sleep on the word itself. Called
  /// with the thread counted as blocked.
  func sleep(on word: UnsafeRawPointer, until mask: UInt32, deadline: MonotonicInstant) {
    preconditionFailure("abstract")
  }

  /// Whether the calling thread is the one that ends the source's tasks.
  var waitDeadlocks: Bool { preconditionFailure("abstract") }

  /// Wakes who sleeps in ``sleep(on:until:deadline:)``, after a future was cancelled.
  func wakeSleepers() { preconditionFailure("abstract") }
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
public class Future<Success: Sendable>: @unchecked Sendable {
  // SAFETY: `word` is the only field that changes under concurrent access. Everything else is constant, or guarded
  // by it as its comment says, with acquire loads and release stores of `word` as the edges; blocking goes through
  // wp_word_wait and wp_word_wake_all.
  //
  // 56 bytes: with malloc's header a cache line, which travels to the worker and back once per task.

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
  //   failed     of a finished future: the result is an error
  //   inert      of a finished future: there is nothing to destroy in `payload`
  // Becoming done clears them all in the same step, after which nobody touches the list but the one who did it.
  @usableFromInline final let word: Atomic<UInt32>
  /// ``forkGeneration`` when the future was made; where it is another one, nobody may be left to complete the future.
  @usableFromInline final let forks: UInt32
  /// While pending, the task of a future that has a ``home``; once finished, the error, or the value if it fits
  /// (``WideFuture`` keeps larger ones). Owned by whoever moves the future out of `pending`, and constant after the
  /// release of `finished`.
  @usableFromInline @exclusivity(unchecked) final var payload = InlineStorage()
  /// Guarded by `locked`.
  @usableFromInline @exclusivity(unchecked) final var waiters = WaiterList()
  /// A thread pool, never followed; or, tagged, a reference to a ``FutureSource``; or 0.
  @usableFromInline final let origin: UInt

  @inlinable
  init(origin: UInt) {
    word = Atomic(Phase.pending)
    forks = wp_fork_generation()
    self.origin = origin
  }

  @inlinable
  static func make(origin: UInt) -> Future<Success> {
    InlineStorage.fits(Success.self) ? Future(origin: origin) : WideFuture(origin: origin)
  }

  /// A future that somebody completes with ``complete(with:)``.
  @inlinable
  static func make() -> Future<Success> { make(origin: 0) }

  /// The same, for a task that waits elsewhere.
  @inlinable
  static func make(source: FutureSource) -> Future<Success> {
    make(origin: UInt(bitPattern: Unmanaged.passRetained(source).toOpaque()) | Origin.sourceTag)
  }

  /// A future that owns the task it stands for, to be run by a worker of `home`.
  @inlinable
  static func make(home: OpaquePointer, body: @escaping @Sendable () throws -> Success) -> Future<Success> {
    let future = make(origin: UInt(bitPattern: home))
    future.payload.initialize(as: TaskBody<Success>.self, to: TaskBody(run: body))
    return future
  }

  deinit {
    // Not specialised: `inert` spares it from asking for what `Success` is.
    let state = word.load(ordering: .acquiring) & (Phase.mask | Flag.failed | Flag.inert)
    switch state {
    case Phase.finished: payload.deinitialize(as: Success.self)
    case Phase.finished | Flag.failed: payload.deinitialize(as: (any Error).self)
    case Phase.pending where home != nil: payload.deinitialize(as: TaskBody<Success>.self)
    default: break
    }
    if origin & Origin.sourceTag != 0, let source { Unmanaged.passUnretained(source).release() }
  }

  // MARK: Parts

  /// The pool whose workers may run the task; nil for futures that others complete.
  @inlinable
  final var home: OpaquePointer? { origin & Origin.sourceTag == 0 ? OpaquePointer(bitPattern: origin) : nil }

  @usableFromInline
  final var source: FutureSource? {
    guard origin & Origin.sourceTag != 0, let address = UnsafeRawPointer(bitPattern: origin & ~Origin.sourceTag) else {
      return nil
    }
    return Unmanaged<FutureSource>.fromOpaque(address).takeUnretainedValue()
  }

  /// The value of a future that finished well.
  @inlinable
  final var finishedValue: Success {
    if InlineStorage.fits(Success.self) { return payload.load(as: Success.self) }
    return unsafeDowncast(self, to: WideFuture<Success>.self).stored.unsafelyUnwrapped
  }

  // MARK: Transitions

  /// Whether the future is done: then its result may be read.
  @inlinable
  final var isDone: Bool { word.load(ordering: .acquiring) & Phase.done != 0 }

  /// Where the future stands now. For a task of a process pool this asks the pool, in O(1).
  public final var state: State {
    switch word.load(ordering: .acquiring) & Phase.mask {
    case Phase.pending: source?.isRunning == true ? .running : .pending
    case Phase.running: .running
    case Phase.finished: .finished
    default: .cancelled
    }
  }

  /// The result once the future is done, nil before; a cancelled future has failed with `CancellationError`.
  @inlinable
  public final var outcome: Result<Success, any Error>? {
    switch word.load(ordering: .acquiring) & (Phase.mask | Flag.failed) {
    case Phase.finished: .success(finishedValue)
    case Phase.finished | Flag.failed: .failure(payload.load(as: (any Error).self))
    case Phase.cancelled: .failure(CancellationError())
    default: nil
    }
  }

  /// Claims the right, and the duty, to finish. False when somebody has it or the future was cancelled.
  @inlinable
  final func begin() -> Bool {
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
  final func finish(returning value: consuming Success, leaving untold: UntoldWaiters? = nil) {
    guard InlineStorage.fits(Success.self) else {
      unsafeDowncast(self, to: WideFuture<Success>.self).stored = value
      return finish(as: Phase.finished | Flag.inert, leaving: untold)
    }
    payload.initialize(as: Success.self, to: value)
    finish(as: _isPOD(Success.self) ? Phase.finished | Flag.inert : Phase.finished, leaving: untold)
  }

  /// Ends what ``begin()`` claimed.
  @usableFromInline
  final func finish(throwing error: any Error, leaving untold: UntoldWaiters? = nil) {
    payload.initialize(as: (any Error).self, to: error)
    finish(as: Phase.finished | Flag.failed, leaving: untold)
  }

  /// Ends what ``begin()`` claimed.
  @inlinable
  final func finish(with result: Result<Success, any Error>, leaving untold: UntoldWaiters? = nil) {
    switch result {
    case .success(let value): finish(returning: value, leaving: untold)
    case .failure(let error): finish(throwing: error, leaving: untold)
    }
  }

  @inlinable
  final func finish(as phase: UInt32, leaving untold: UntoldWaiters?) {
    guard let before = settle(from: Phase.running, to: phase) else {
      preconditionFailure("a future was finished by a thread that had not begun it")
    }
    announce(before, leaving: untold)
  }

  /// Completes a future that has no task. False when it was done already.
  ///
  /// `untold` gets its callbacks and continuations where this thread must not call them.
  @inlinable
  final func complete(
    with result: Result<Success, any Error>, leaving untold: UntoldWaiters? = nil
  ) -> Bool {
    assert(home == nil, "the task of a future that has one would be lost")
    guard begin() else { return false }
    finish(with: result, leaving: untold)
    return true
  }

  /// Runs the task unless somebody else does or the future was cancelled.
  @inlinable
  final func runBody() {
    guard begin() else { return }
    // The claim makes the task ours; it goes before the result is published, so that whoever waits for the result
    // also waits for the release of what the task captured.
    let result: Result<Success, any Error>
    let (code, context) = payload.words
    do {
      let body = payload.move(as: TaskBody<Success>.self)
      result = Result { try body.run() }
    }
    sayFreed(code: code, context: context)
    finish(with: result)
  }

  /// Does with a queued task what the engine asks. Whether it is stale, if that is asked.
  @inlinable
  final func answer(_ action: TaskAction) -> Bool {
    guard case .run = action else { return answerWithoutRunning(action) }
    runBody()
    return false
  }

  @usableFromInline
  final func answerWithoutRunning(_ action: TaskAction) -> Bool {
    switch action {
    case .isStale: return word.load(ordering: .acquiring) & Phase.mask != Phase.pending
    case .abandoned: failIfRunning()
    case .run, .discard: _ = completeCancelled()
    }
    return false
  }

  /// Fails a task whose thread has ended in the middle of it. The body was moved out, and is never released.
  private func failIfRunning() {
    guard word.load(ordering: .acquiring) & Phase.mask == Phase.running else { return }
    finish(throwing: WorkerPoolError.threadEnded)
  }

  /// Fails a future whose task no pool took.
  @usableFromInline
  final func refuse(_ error: any Error) {
    assert(home != nil, "only a task can be refused")
    guard begin() else { return }
    payload.deinitialize(as: TaskBody<Success>.self)
    finish(throwing: error)
  }

  /// Cancels the task if it has not begun.
  ///
  /// - Returns: true when the future is cancelled now or was before; false when the task runs or has ended.
  ///
  /// A cancelled task never runs; what its closure captured is released before this method returns, and callbacks and
  /// waiters are told on the calling thread. O(1) and the callbacks.
  @discardableResult
  public final func cancel() -> Bool {
    guard let source else {
      guard completeCancelled() else { return state == .cancelled }
      if let home { wp_thread_pool_note_cancelled(home) }
      return true
    }
    guard source.tryCancel() else { return state == .cancelled }
    let isCancelled = completeCancelled() || state == .cancelled
    source.wakeSleepers()
    return isCancelled
  }

  /// Makes the future cancelled without asking its source: for a source that has given the task up by itself. False
  /// when it was done, or begun.
  @usableFromInline
  final func completeCancelled() -> Bool {
    guard let before = settle(from: Phase.pending, to: Phase.cancelled) else { return false }
    if home != nil { payload.deinitialize(as: TaskBody<Success>.self) }
    announce(before)
    return true
  }

  /// Makes the future done. Returns the word as it was, nil when the future is not in the phase `from` (any more).
  @inlinable
  final func settle(from: UInt32, to phase: UInt32) -> UInt32? {
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

  /// Tells everyone who waited when the word was `before`: blocked threads at once, others in the order of the thread's
  /// ``Delivery``, or later where `untold` takes them.
  @usableFromInline
  final func announce(_ before: UInt32, leaving untold: UntoldWaiters? = nil) {
    if before & (Flag.blocked | Flag.contended) != 0 { word.wakeAll() }
    guard before & Flag.listed != 0 else { return }
    var detached = waiters
    waiters = WaiterList()
    detached.wakeThreads()
    guard !detached.isEmpty else { return }
    if let untold { untold.add(detached) } else { Delivery.ofThread.tell(detached) }
  }
}

/// A future whose value is too large for ``Future/payload``.
@usableFromInline
final class WideFuture<Success: Sendable>: Future<Success>, @unchecked Sendable {
  // SAFETY: as `payload`.
  @usableFromInline @exclusivity(unchecked) var stored: Success?

  @inlinable
  override init(origin: UInt) {
    stored = nil
    super.init(origin: origin)
  }
}

/// A closure in its native representation.
@usableFromInline
struct TaskBody<Success> {
  @usableFromInline let run: @Sendable () throws -> Success

  @inlinable init(run: @escaping @Sendable () throws -> Success) { self.run = run }
}

@usableFromInline
enum Origin {
  /// In ``Future/origin``; pools and objects are aligned.
  @inlinable static var sourceTag: UInt { 1 }
}

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
  @inlinable static var failed: UInt32 { 1 << 6 }
  @inlinable static var inert: UInt32 { 1 << 7 }
}
