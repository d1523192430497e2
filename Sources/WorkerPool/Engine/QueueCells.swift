import CWorkerPool

// Swift's work in the engine's queue cells, two words each.

/// What a job is, in the top bits of its code, which user-space addresses leave clear. The highest says that the engine
/// is not to call it, and that the bits below are ours.
private enum Tag {
  static var foreign: UInt { 1 << 63 }
  /// A ``TaskCell``.
  static var task: UInt { 1 << 62 }
  /// A job of the concurrency runtime: its argument, and nothing else in the code.
  static var asyncJob: UInt { 1 << 61 }
  static var all: UInt { 7 << 61 }

  static func check(_ job: wp_job) {
    precondition(job.code & foreign != 0, "the engine gave away a job of its own")
  }
}

/// A closure as two words: its function and its context. A struct keeps it in its native representation, where a
/// generic parameter would wrap it in a thunk with a heap context of its own.
struct ClosureCell {
  var body: @Sendable () -> Void

  func intoJob() -> wp_job { moveOut(self, tag: Tag.foreign) }
}

struct TaskCell {
  var body: @Sendable (TaskAction) -> Bool

  func intoJob() -> wp_job { moveOut(self, tag: Tag.foreign | Tag.task) }
}

/// Moves a two-word value into a job, ownership included.
private func moveOut<Cell>(_ cell: Cell, tag: UInt) -> wp_job {
  assert(MemoryLayout<Cell>.size == 2 * MemoryLayout<UInt>.size)
  return withUnsafeTemporaryAllocation(of: Cell.self, capacity: 1) { room in
    room.initializeElement(at: 0, to: cell)
    let words = UnsafeRawPointer(room.baseAddress!).loadUnaligned(as: (UInt, UInt).self)
    return wp_job(code: words.0 | tag, argument: UnsafeMutableRawPointer(bitPattern: words.1))
  }
}

/// The reverse of ``moveOut(_:tag:)``: the caller owns the value again.
private func moveIn<Cell>(_ job: wp_job, as type: Cell.Type) -> Cell {
  withUnsafeTemporaryAllocation(of: Cell.self, capacity: 1) { room in
    let words = (job.code & ~Tag.all, UInt(bitPattern: job.argument))
    UnsafeMutableRawPointer(room.baseAddress!).storeBytes(of: words, as: (UInt, UInt).self)
    return room.moveElement(from: 0)
  }
}

/// Asks a task that stays where it is: in the queue, or, leaked, with a thread that has ended in the middle of it.
private func ask(_ job: wp_job, _ action: TaskAction) -> Bool {
  withUnsafeTemporaryAllocation(of: TaskCell.self, capacity: 1) { room in
    let words = (job.code & ~Tag.all, UInt(bitPattern: job.argument))
    UnsafeMutableRawPointer(room.baseAddress!).storeBytes(of: words, as: (UInt, UInt).self)
    return room[0].body(action)
  }
}

func asyncJob(_ job: UnownedJob) -> wp_job {
  wp_job(code: Tag.foreign | Tag.asyncJob, argument: unsafeBitCast(job, to: UnsafeMutableRawPointer.self))
}

/// Runs a job on its worker. The engine's `run_foreign`.
func runForeign(_ context: UnsafeMutableRawPointer?, _ job: wp_job) {
  if job.code & Tag.task != 0 {
    _ = moveIn(job, as: TaskCell.self).body(.run)
    wp_thread_pool_freed(job.code, UInt(bitPattern: job.argument))
  } else if job.code & Tag.asyncJob == 0 {
    moveIn(job, as: ClosureCell.self).body()
    wp_thread_pool_freed(job.code, UInt(bitPattern: job.argument))
  } else if let executor = HookContext.from(context).taskExecutor {
    unsafeBitCast(job.argument, to: UnownedJob.self).runSynchronously(on: executor)
  }
}

/// Tells the engine that a closure has been let go of, given as its two words. Without a context there is nothing to free.
@usableFromInline
func sayFreed(code: UInt, context: UInt) { wp_thread_pool_freed(code, context) }

/// Takes back a job that will not run. The engine's `discard`.
func discardForeign(_ context: UnsafeMutableRawPointer?, _ job: wp_job) {
  Tag.check(job)
  if job.code & Tag.asyncJob != 0 {
    // A Swift task cannot be dropped; where it runs was a preference.
    globalConcurrentExecutor.enqueue(unsafeBitCast(job.argument, to: UnownedJob.self))
  } else if job.code & Tag.task != 0 {
    _ = moveIn(job, as: TaskCell.self).body(.discard)
  } else {
    withdraw(job)
  }
}

/// Whether a job that waits in a queue has nothing left to do. The engine's `is_stale`. Swift tasks and plain closures
/// always have. Any thread, as long as the job cannot be taken meanwhile; calls no code of the program's.
func isStaleForeign(_ context: UnsafeMutableRawPointer?, _ job: wp_job) -> Bool {
  job.code & Tag.task != 0 && ask(job, .isStale)
}

/// Fails the task whose thread has ended in the middle of it, and before it those that ran on top of waits for them. The
/// engine's `abandon`, called on the thread that ends. What the job owns stays with the frames that are gone.
func abandonForeign(_ context: UnsafeMutableRawPointer?, _ job: wp_job) {
  Delivery.ofThread.abandon()
  if job.code & Tag.task != 0 { _ = ask(job, .abandoned) }
}

/// Releases what a job owns that the pool did not take.
func withdraw(_ job: wp_job) {
  Tag.check(job)
  if job.code & Tag.task != 0 {
    _ = moveIn(job, as: TaskCell.self)
  } else {
    _ = moveIn(job, as: ClosureCell.self)
  }
}
