// What a program consists of: strands, which are bodies of steps, and what they wait for.

/// Something that is done at some time and has a value or an error from then on.
enum Event: Hashable, Sendable {
  /// The end of a strand.
  case strand(Int)
  /// The completion of a promise.
  case promise(Int)
}

/// How a strand comes to run.
enum Kind: Hashable, Sendable {
  /// The program's main thread.
  case main
  /// A thread that belongs to no pool.
  case thread
  /// A task in a pool's queue.
  case task(Submission)
  /// One of the two closures of a join.
  case half
  case scopeBody
  /// A task of the scope whose body is that strand.
  case spawned(scope: Int)
  /// One call of a `concurrentPerform` or a `map`.
  case iteration
  /// A Swift task, which prefers the strand's pool if it has one.
  case swiftTask
  /// A done callback.
  case callback
}

/// By which call a task comes into a queue.
enum Submission: Hashable, Sendable, CaseIterable {
  case submit, execute, onNode, batch, executeBatch
  /// `await pool.run`, from a Swift task.
  case run

  /// Whether the call gives a future.
  var hasFuture: Bool {
    switch self {
    case .submit, .onNode, .batch: true
    case .execute, .executeBatch, .run: false
    }
  }
}

/// How a strand waits for events.
enum Wait: Hashable, Sendable {
  case result
  case resultWithin(microseconds: Int)
  case all
  case allWithin(microseconds: Int)
  case first
  case firstError
  case asCompleted
  /// Looks at the states without blocking, for so long at most.
  case look(microseconds: Int)
  /// Blocks on a semaphore, inside `withBlocking`.
  case blocking
}

enum Mapping: Hashable, Sendable {
  case collection
  case sequence
  /// Reads so many outputs and leaves the loop.
  case lazily(reads: Int)
}

/// How a recursive sum waits for its two halves.
enum SumWay: Hashable, Sendable, CaseIterable {
  case result, wait, asCompleted, mapLazily, join, scope
}

/// How a pool is to be shut down.
enum Shutdown: Hashable, Sendable {
  case begin, discard, wait, discardAndWait

  var waits: Bool { self == .wait || self == .discardAndWait }
  var discards: Bool { self == .discard || self == .discardAndWait }
}

enum Step: Hashable, Sendable {
  case spin(microseconds: Int)
  /// Sleeps without telling the pool.
  case nap(microseconds: Int)
  /// Spins until another strand has come to the same meeting, or a time is over.
  case meet(Int)
  /// Submits a task.
  case submit(Int)
  case batch([Int])
  /// Starts a thread or a Swift task.
  case start(Int)
  case wait([Event], Wait)
  case keep(Int)
  /// Lets go of a promise without keeping it.
  case drop(Int)
  /// Has a promise completed as an event is.
  case link(Event, to: Int)
  case callback(Event, Int)
  case cancel(Event)
  case join(pool: Int, Int, Int)
  case scope(pool: Int, Int)
  case spawn(Int)
  case perform(pool: Int, [Int], grain: Int)
  case map(pool: Int, [Int], Mapping, chunk: Int)
  case sum(pool: Int, count: Int, SumWay)
  case resize(pool: Int, Int)
  case shutdown(pool: Int, Shutdown)
  /// Lets go of a pool that was not shut down.
  case release(pool: Int)
  /// Asks a pool what it tells of itself.
  case inspect(pool: Int)
  /// Adds to the flood: a task of the pool that submits itself again.
  case pour
  case leaveThread
  case exit
}

struct Strand: Sendable {
  var kind: Kind
  /// The pool whose threads run it.
  var pool: Int?
  var steps: [Step] = []
  /// Whether it throws at its end.
  var fails = false
  /// The calls of the same `concurrentPerform` or `map`.
  var siblings: [Int] = []

  /// Whether its end is an event that others may wait for.
  var isAwaitable: Bool {
    switch kind {
    case .thread, .task, .swiftTask: true
    case .main, .half, .scopeBody, .spawned, .iteration, .callback: false
    }
  }

  /// Whether a pool's future stands for it.
  var hasPoolFuture: Bool {
    if case .task(let submission) = kind { return submission.hasFuture }
    return false
  }

  /// Whether it runs on a thread of its pool, to the end: a shutdown of the pool waits for it.
  var holdsPool: Bool {
    switch kind {
    case .main, .thread, .swiftTask, .callback: false
    case .task, .half, .scopeBody, .spawned, .iteration: true
    }
  }
}

struct PoolPlan: Sendable {
  var workers: Int
  /// Nil for as many as the package gives.
  var spares: Int?
  var hasHooks: Bool
  var spins: Bool
  /// Whether its threads have too little stack to run an awaited task where it is awaited.
  var hasSmallStack: Bool
}

/// What goes through the pool beside the program, without end.
enum Flood: Hashable, Sendable, CaseIterable {
  /// A thread from outside that keeps the queue filled.
  case outside
  /// A task that submits itself again.
  case chain
  case both
}

/// What happens when the main strand has ended.
enum Epilogue: Hashable, Sendable, CaseIterable {
  /// Waits for everything, then shuts down.
  case waitFirst
  case shutdown, discard
  /// Shuts down in a Swift task.
  case asyncShutdown
  /// Lets go of the pools.
  case release
}

/// A resize of idle pools, which begins when they are shut down or a little before.
struct LastResize: Sendable {
  var workers: Int
  /// How long after its beginning the pools are shut down.
  var microseconds: Int
  var meeting: Int
}

struct Program: Sendable {
  var seed: UInt64
  var profile: Profile
  var pools: [PoolPlan] = []
  var strands: [Strand] = []
  var promises = 0
  /// Promises that no strand keeps.
  var neverKept: [Int] = []
  var meetings = 0
  /// In the first pool.
  var flood: Flood?
  var epilogue = Epilogue.waitFirst
  var lastResize: LastResize?
  /// What the process's exit status is to be if a strand comes to its `exit`.
  static let exitStatus: Int32 = 77

  /// Whether waits may be refused: some pool has so few spares that all of its threads may come to wait.
  var isLimited: Bool { pools.contains { $0.spares != nil } }
}
