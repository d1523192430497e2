import CWorkerPool

/// What becomes of a task that waits in a queue.
@usableFromInline
enum TaskAction: Sendable {
  case run
  /// The pool was shut down first: whoever waits for the task has to be told.
  case discard
}

/// The C thread pool, owned.
@usableFromInline
final class ThreadPool: @unchecked Sendable {
  // SAFETY: `pool` is constant, and every wp_thread_pool_* function used here may be called from any thread;
  // wp_thread_pool_release is called once, in deinit.
  @usableFromInline let pool: OpaquePointer

  struct Settings {
    var maxWorkers: Int?
    var name: String
    var stackSize: Int?
    var affinity = Affinity.none
    var spinDuration: Duration?
    var onWorkerStart: (@Sendable (Int) -> Void)?
    var onWorkerStop: (@Sendable (Int) -> Void)?
  }

  init(_ settings: Settings) throws {
    var config = wp_thread_pool_config()
    config.worker_count = try checkedWorkerCount(settings.maxWorkers, limit: UInt32(4094))
    config.stack_size = try checkedStackSize(settings.stackSize)
    config.spin_ns = settings.spinDuration.map(spinNanoseconds) ?? 0
    config.affinity = settings.affinity.engineValue
    let context = Unmanaged.passRetained(HookContext(settings))  // nothing throws before the pool may take it
    config.hooks = hooks(context)
    var created: OpaquePointer?
    var error = wp_error()
    let status = settings.name.withCString { name in
      settings.affinity.withCPUs { cpus in
        config.name = name
        config.cpus = cpus.baseAddress
        config.cpu_count = cpus.count
        return wp_thread_pool_create(&config, &created, &error)
      }
    }
    guard status == WP_OK, let created else {
      context.release()
      throw WorkerPoolError(error, settings.affinity)
    }
    pool = created
  }

  deinit { wp_thread_pool_release(pool) }

  var workerCount: Int { Int(wp_thread_pool_worker_count(pool)) }

  /// Index of the calling worker if it is one of this pool's.
  var currentWorker: Int? {
    let index = wp_thread_pool_current_worker(pool)
    return index < 0 ? nil : Int(index)
  }

  /// Hands over a closure, moved into the queue cell.
  func submit(_ body: @escaping @Sendable () -> Void) throws {
    try submit(ClosureCell(body: body).intoJob())
  }

  /// Hands over a task that can also be told that it will never run. One that captures a single reference costs no
  /// allocation: the reference is the closure's context.
  @usableFromInline
  func submitTask(_ body: @escaping @Sendable (TaskAction) -> Void) throws {
    try submit(TaskCell(body: body).intoJob())
  }

  private func submit(_ job: wp_job) throws {
    let status = wp_thread_pool_submit(pool, job)
    guard status == WP_OK else {
      withdraw(job)
      throw WorkerPoolError(status: status)
    }
  }

  func close() { wp_thread_pool_close(pool) }

  func discardPending() { wp_thread_pool_discard_pending(pool) }

  /// Waits for all workers to end. On one of them it returns at once.
  func join() { _ = wp_thread_pool_join(pool) }
}

// MARK: - Closures in queue cells

/// Marks a ``TaskCell`` in a job's code, beside the engine's own tag; user-space addresses leave both bits clear.
private let taskTag: UInt = 1 << 62
private let foreignTag: UInt = 1 << 63

/// A closure as two words: its function and its context. A struct keeps it in its native representation, where a
/// generic parameter would wrap it in a thunk with a heap context of its own.
private struct ClosureCell {
  var body: @Sendable () -> Void

  func intoJob() -> wp_job { moveOut(self, tag: foreignTag) }
}

private struct TaskCell {
  var body: @Sendable (TaskAction) -> Void

  func intoJob() -> wp_job { moveOut(self, tag: foreignTag | taskTag) }
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
    let words = (job.code & ~(foreignTag | taskTag), UInt(bitPattern: job.argument))
    UnsafeMutableRawPointer(room.baseAddress!).storeBytes(of: words, as: (UInt, UInt).self)
    return room.moveElement(from: 0)
  }
}

private func runForeign(_ context: UnsafeMutableRawPointer?, _ job: wp_job) {
  if job.code & taskTag != 0 {
    moveIn(job, as: TaskCell.self).body(.run)
  } else {
    moveIn(job, as: ClosureCell.self).body()
  }
}

private func discardForeign(_ context: UnsafeMutableRawPointer?, _ job: wp_job) {
  if job.code & taskTag != 0 {
    moveIn(job, as: TaskCell.self).body(.discard)
  } else {
    withdraw(job)
  }
}

/// Releases what a job owns that the pool did not take.
private func withdraw(_ job: wp_job) {
  if job.code & taskTag != 0 {
    _ = moveIn(job, as: TaskCell.self)
  } else {
    _ = moveIn(job, as: ClosureCell.self)
  }
}

// MARK: - Hooks

private final class HookContext: Sendable {
  let onWorkerStart: (@Sendable (Int) -> Void)?
  let onWorkerStop: (@Sendable (Int) -> Void)?

  init(_ settings: ThreadPool.Settings) {
    onWorkerStart = settings.onWorkerStart
    onWorkerStop = settings.onWorkerStop
  }

  static func from(_ pointer: UnsafeMutableRawPointer?) -> HookContext {
    Unmanaged<HookContext>.fromOpaque(pointer!).takeUnretainedValue()
  }
}

private func hooks(_ context: Unmanaged<HookContext>) -> wp_thread_pool_hooks {
  wp_thread_pool_hooks(
    context: context.toOpaque(),
    worker_start: { HookContext.from($0).onWorkerStart?(Int($1)) },
    worker_stop: { HookContext.from($0).onWorkerStop?(Int($1)) },
    run_foreign: runForeign,
    discard: discardForeign,
    destroy: { Unmanaged<HookContext>.fromOpaque($0!).release() })
}
