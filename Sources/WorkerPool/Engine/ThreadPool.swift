import CWorkerPool

/// What the engine asks of a task that it has, or has had, in a queue.
@usableFromInline
enum TaskAction: Sendable {
  case run
  /// The pool was shut down first: whoever waits for the task has to be told.
  case discard
  /// The thread that ran the task was ended in the middle of it: likewise.
  case abandoned
  /// To say whether the task was cancelled or begun elsewhere, so that it need not stand in the queue any longer.
  case isStale
}

/// The C thread pool, owned.
@usableFromInline
final class ThreadPool: @unchecked Sendable {
  // SAFETY: `pool` is constant, and every wp_thread_pool_* function used here may be called from any thread;
  // wp_thread_pool_release is called once, in deinit.
  @usableFromInline let pool: OpaquePointer
  private let hookContext: HookContext
  /// What workers were asked to be pinned to, to be named in errors.
  private let affinity: Affinity
  /// How many workers there may be beside the spares.
  private let capacity: UInt32

  struct Settings {
    var maxWorkers: Int?
    var maxSpares: Int?
    var name: String
    var stackSize: Int?
    var affinity = Affinity.none
    /// Whether a bound in the environment that means nothing is no error.
    var toleratesEnvironment = false
    var spinDuration: Duration?
    var blockedSignals: [Int32] = []
    var onWorkerStart: (@Sendable (Int) -> Void)?
    var onWorkerStop: (@Sendable (Int) -> Void)?
  }

  init(_ settings: Settings) throws {
    var config = wp_thread_pool_config()
    config.worker_count = try checkedWorkerCount(settings.maxWorkers, limit: UInt32(4094))
    config.spare_limit = try checkedSpareLimit(settings.maxSpares, maxWorkers: settings.maxWorkers)
    config.stack_size = try checkedStackSize(settings.stackSize)
    config.tolerates_environment = settings.toleratesEnvironment
    config.spin_ns = settings.spinDuration.map(spinNanoseconds) ?? 0
    affinity = settings.affinity
    hookContext = HookContext(settings)
    let context = Unmanaged.passRetained(hookContext)  // nothing throws before the pool may take it
    config.hooks = hooks(context, for: settings)
    var created: OpaquePointer?
    var error = wp_error()
    let status = settings.name.withCString { name in
      settings.affinity.withEngineValue { affinity in
        settings.blockedSignals.withUnsafeBufferPointer { signals in
          config.name = name
          config.affinity = affinity
          config.blocked_signals = signals.baseAddress
          config.blocked_signal_count = signals.count
          return wp_thread_pool_create(&config, &created, &error)
        }
      }
    }
    guard status == WP_OK, let created else {
      context.release()
      throw WorkerPoolError(error, settings.affinity, blockedSignals: settings.blockedSignals)
    }
    pool = created
    let count = Int(wp_thread_pool_worker_count(created))
    capacity = WP_THREAD_POOL_MAX_WORKERS - UInt32(settings.maxSpares ?? min(Int(WP_DEFAULT_SPARES), 4094 - count))
    // Without a number of workers the sum is known only now.
    _ = try checkedSpareLimit(settings.maxSpares, maxWorkers: count)
  }

  deinit { wp_thread_pool_release(pool) }

  var workerCount: Int { Int(wp_thread_pool_worker_count(pool)) }

  /// Changes the number of workers, to what the process is granted for nil.
  func resize(_ count: Int?) throws {
    var error = wp_error()
    let status = wp_thread_pool_resize(pool, try checkedWorkerCount(count, limit: capacity), &error)
    guard status == WP_OK else { throw WorkerPoolError(error, affinity) }
  }

  /// Index of the calling worker if it is one of this pool's.
  var currentWorker: Int? {
    let index = wp_thread_pool_current_worker(pool)
    return index < 0 ? nil : Int(index)
  }

  /// Hands over a closure, moved into the queue cell.
  func submit(_ body: @escaping @Sendable () -> Void) throws {
    try submit(ClosureCell(body: body).intoJob())
  }

  /// Hands over a task that does what ``Future/answer(_:)`` does. One that captures a single reference costs no
  /// allocation: the reference is the closure's context.
  @usableFromInline
  func submitTask(_ body: @escaping @Sendable (TaskAction) -> Bool) throws {
    try submit(TaskCell(body: body).intoJob())
  }

  /// Hands over closures together.
  @usableFromInline
  func submit(_ bodies: [@Sendable () -> Void]) throws {
    guard let (accepted, error) = submit(bodies.map { ClosureCell(body: $0).intoJob() }) else { return }
    throw WorkerPoolError(
      code: error.code, message: "\(error.message), after \(accepted) of \(bodies.count) tasks were taken")
  }

  /// Hands over tasks together, as ``submitTask(_:)`` one. Nil when all were taken; else how many were, and why not the
  /// next.
  @usableFromInline
  func submitTasks(_ bodies: [@Sendable (TaskAction) -> Bool]) -> (accepted: Int, error: WorkerPoolError)? {
    submit(bodies.map { TaskCell(body: $0).intoJob() })
  }

  private func submit(_ jobs: [wp_job]) -> (accepted: Int, error: WorkerPoolError)? {
    var accepted = 0
    let status = wp_thread_pool_submit_batch(pool, jobs, jobs.count, &accepted)
    guard status != WP_OK else { return nil }
    for job in jobs[accepted...] { withdraw(job) }
    return (accepted, WorkerPoolError(status: status))
  }

  /// Hands over a job of Swift's concurrency runtime, which must run whatever happens: once the pool is shut down, on the
  /// runtime's own threads.
  func enqueue(_ job: UnownedJob) {
    if wp_thread_pool_submit(pool, asyncJob(job)) != WP_OK { globalConcurrentExecutor.enqueue(job) }
  }

  /// The executor that jobs of the concurrency runtime are told they run on. Set once, before there are any.
  func setTaskExecutor(_ executor: UnownedTaskExecutor) { hookContext.taskExecutor = executor }

  /// Hands over a task, like ``submitTask(_:)``, for a node.
  @usableFromInline
  func submitTask(onNode node: Int, _ body: @escaping @Sendable (TaskAction) -> Bool) throws {
    try submit(TaskCell(body: body).intoJob(), onNode: node)
  }

  /// Hands over a closure for a node.
  func submit(onNode node: Int, _ body: @escaping @Sendable () -> Void) throws {
    try submit(ClosureCell(body: body).intoJob(), onNode: node)
  }

  private func submit(_ job: wp_job, onNode node: Int) throws {
    let status = wp_thread_pool_submit_on(pool, Int32(exactly: node) ?? -1, job)
    guard status == WP_OK else {
      withdraw(job)
      guard status == WP_INVALID_ARGUMENT else { throw WorkerPoolError(status: status) }
      throw WorkerPoolError(
        code: .invalidArgument, message: "node is \(node); it must be one of this machine's, which are \(nodeIDs)")
    }
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

  /// Runs `body` on a thread of its own that blocks what the workers block.
  func runOnDetachedThread(_ body: @escaping @Sendable () -> Void) {
    WorkerPool.runOnDetachedThread(body) { wp_thread_pool_start_helper(pool, $0, $1) }
  }

  /// Waits for all workers to end, counted as a blocked thread by the engine. On one of them it returns at once.
  func join() { _ = wp_thread_pool_join(pool) }
}

// MARK: - What runs where

extension ThreadPool {
  /// The system ids of the machine's nodes.
  var nodeIDs: [Int] {
    let topology = wp_thread_pool_topology(pool)
    return (0..<Int(wp_thread_pool_node_count(pool))).map { Int(wp_topology_node_id(topology, $0)) }
  }

  /// What worker `index` has done so far; nil when there is no such worker.
  func counters(_ index: Int) -> WorkerCounters? {
    var counters = wp_worker_counters()
    let nodes = Int(wp_thread_pool_node_count(pool))
    var steals = [UInt64](repeating: 0, count: nodes)
    guard wp_thread_pool_counters(pool, UInt32(index), &counters, &steals) else { return nil }
    let topology = wp_thread_pool_topology(pool)
    let home = Int(counters.node)
    var byDistance: [Int: Int] = [:]
    for node in 0..<nodes where steals[node] > 0 {
      byDistance[Int(wp_topology_distance(topology, home, node)), default: 0] += Int(steals[node])
    }
    return WorkerCounters(
      worker: index, node: Int(wp_topology_node_id(topology, home)), cpu: counters.cpu < 0 ? nil : Int(counters.cpu),
      localTasks: Int(counters.local), remoteTasks: Int(counters.remote), stealsByDistance: byDistance)
  }
}

// MARK: - Hooks

/// What the pool's hooks need; lives until the last worker has ended.
final class HookContext: @unchecked Sendable {
  // SAFETY: `taskExecutor` is written once, before the executor is handed out; its first job is published by
  // wp_thread_pool_submit, which is also the edge to the worker that reads it. The rest is constant.
  var taskExecutor: UnownedTaskExecutor?
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

/// - Parameter settings: Hooks that it does not ask for are not there: the engine heeds that.
private func hooks(_ context: Unmanaged<HookContext>, for settings: ThreadPool.Settings) -> wp_thread_pool_hooks {
  var hooks = wp_thread_pool_hooks()
  hooks.context = context.toOpaque()
  if settings.onWorkerStart != nil { hooks.worker_start = { HookContext.from($0).onWorkerStart?(Int($1)) } }
  if settings.onWorkerStop != nil { hooks.worker_stop = { HookContext.from($0).onWorkerStop?(Int($1)) } }
  hooks.run_foreign = runForeign
  hooks.discard = discardForeign
  hooks.abandon = abandonForeign
  hooks.is_stale = isStaleForeign
  hooks.destroy = { Unmanaged<HookContext>.fromOpaque($0!).release() }
  return hooks
}
