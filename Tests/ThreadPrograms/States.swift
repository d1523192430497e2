import Synchronization
import ThreadTestSupport
import WorkerPool

/// What a strand throws that is meant to throw.
struct Thrown: Error { var strand: Int }

/// How a strand without a pool's future ends that ends its thread.
struct Left: Error {}

/// What stands for a result that cannot come, since what should have brought it did not run.
struct Forfeited: Error {}

/// What happened to a strand in a run.
final class StrandState: Sendable {
  enum Claim: Int { case none, begun, forfeited }
  enum Fate: Int { case unreached, accepted, refused }

  private let claimWord = Atomic<Int>(Claim.none.rawValue)
  private let fateWord = Atomic<Int>(Fate.unreached.rawValue)
  let ended = Counter()
  /// How often the done callback of its future was called.
  let told = Counter()
  /// Where it is: counts steps from 1, and one more at its end.
  let position = Mark()
  /// The thread that runs it.
  let thread = Mark()
  let submitted = Mark()
  /// How far the flood had come at its submission.
  let floodAtSubmission = Mark()
  let cancelAsked = Flag()
  /// Set when a cancel said that it had worked, and that it had not.
  let wasTakenBack = Flag()
  let wasTooLate = Flag()
  /// Set when it is about to end its thread.
  let hasLeft = Flag()
  /// Completed with the strand's future, once there is one.
  let handle = Promise<Future<Int>>()
  /// Completed at the strand's end, where no pool does that.
  let end = Promise<Int>()
  /// For the body of a scope.
  let scope = Cell<ThreadPoolExecutor.Scope?>(nil)

  var claim: Claim { Claim(rawValue: claimWord.load(ordering: .acquiring)) ?? .none }

  /// False when it was claimed before.
  func claim(as claim: Claim) -> Bool {
    claimWord.compareExchange(
      expected: Claim.none.rawValue, desired: claim.rawValue, ordering: .acquiringAndReleasing
    ).exchanged
  }

  var fate: Fate {
    get { Fate(rawValue: fateWord.load(ordering: .acquiring)) ?? .unreached }
    set { fateWord.store(newValue.rawValue, ordering: .releasing) }
  }

  /// Of its future; nil while there is none.
  var outcome: Result<Int, any Error>? {
    guard case .success(let future)? = handle.future.outcome else { return nil }
    return future.outcome
  }

  var isRunning: Bool { claim == .begun && ended.value == 0 && !hasLeft.isSet }
}

final class PromiseState: Sendable {
  let future: Future<Int>
  private let promise: Cell<Promise<Int>?>
  let wasForfeited = Flag()
  let cancelAsked = Flag()
  /// What it is linked to.
  let source = Cell<Event?>(nil)
  /// Counts the callbacks that were registered first of all, which have to come in their order.
  let told = Counter()
  static let callbacks = 2

  init(_ number: Int) {
    let promise = Promise<Int>()
    future = promise.future
    self.promise = Cell(promise)
    for callback in 1...Self.callbacks {
      future.addDoneCallback { [told] _ in
        if told.add() != callback { violated("callback \(callback) of promise \(number) was called out of turn") }
      }
    }
  }

  /// The promise, for the one who completes it.
  func take() -> Promise<Int>? { promise.set(nil) }

  func forfeit() {
    // Before the promise goes, so that whoever sees that knows why.
    wasForfeited.set()
    _ = take()
  }
}

/// A pool in a run.
final class PoolState: Sendable {
  let plan: PoolPlan
  /// How the names of its threads begin.
  let name: String
  private let pool: Cell<ThreadPoolExecutor?>
  /// Set before a call that has the effect.
  let isClosing = Flag()
  let isDiscarding = Flag()
  let isResized = Flag()
  /// Set after a call that has closed the pool.
  let isClosed = Flag()
  /// Set after a call that has waited for the pool's end.
  let hasEnded: Flag
  let started = Counter()
  let stopped = Counter()

  /// Not what any other thread has, so that its stacks are known by their size.
  static let stackSize = 1 << 21 | 1 << 16
  /// Less than what a worker has to have left to run an awaited task.
  static let smallStackSize = 1 << 18 - 1 << 15

  init(_ plan: PoolPlan, name: String) throws {
    self.plan = plan
    self.name = name
    let stackSize = plan.hasSmallStack ? Self.smallStackSize : Self.stackSize
    let hasEnded = Flag()
    self.hasEnded = hasEnded
    let start = plan.hasHooks ? counting(started, unless: hasEnded) : nil
    let stop = plan.hasHooks ? counting(stopped) : nil
    pool = Cell(
      try ThreadPoolExecutor(
        maxWorkers: plan.workers, maxSpares: plan.spares, name: name, stackSize: stackSize,
        spinDuration: plan.spins ? nil : .zero, onWorkerStart: start, onWorkerStop: stop))
  }

  /// Nil when the pool was released.
  var executor: ThreadPoolExecutor? { pool.value }

  func release() {
    isClosing.set()
    pool.set(nil)
    isClosed.set()
  }
}

private func counting(_ counter: Counter, unless hasEnded: Flag = Flag()) -> @Sendable (Int) -> Void {
  { _ in
    counter.add()
    if hasEnded.isSet { violated("a thread starts in a pool that has ended") }
  }
}
