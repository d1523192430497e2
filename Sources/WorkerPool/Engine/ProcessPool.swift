import CWorkerPool

/// The engine's process pool, made safe: owns the handle, encodes what goes in, and hands out futures.
@usableFromInline
final class ProcessPool: @unchecked Sendable {
  // SAFETY: `handle` is constant, and all host functions of wp_process_pool.h may be called from any thread.
  // `wp_process_pool_release` in `deinit` is the last call, since every task holds the pool.
  private let handle: OpaquePointer
  private let maxPayload: Int
  /// How many function handles there were when the template forked; workers know no others.
  private let inheritedFunctions: Int
  /// For tasks that are submitted without options; nil when they ask for nothing.
  private let taskOptions: wp_task_options?
  /// Whether a task that is submitted without options has a timeout.
  let hasTimeout: Bool
  let isSandboxed: Bool
  private let initializer: TaskLabel?
  private let outputLimits: [WorkerStream: Int]
  /// Callbacks and continuations of futures that a waiting thread has completed, for the collector's thread.
  let untold = UntoldWaiters()
  /// Indices of job types in the engine's name table.
  private let jobIndices = Locked(JobIndices())

  struct Settings {
    var maxWorkers: Int?
    var name: String
    var startMethod: ProcessPoolExecutor.StartMethod
    var maxPayload: Int?
    var affinity: Affinity
    var spinDuration: Duration?
    var prefetch: Int?
    var configuration: ProcessPoolExecutor.Configuration
  }

  init(_ settings: Settings) throws {
    var settings = settings
    let configuration = settings.configuration
    if configuration.sandbox != nil, settings.startMethod == .automatic { settings.startMethod = .reexec }
    let encodedInitializer = try configuration.initializer.map {
      try EncodedInitializer(
        $0, startMethod: &settings.startMethod, onTemplateLoss: configuration.onTemplateLoss)
    }
    var config = try wp_process_pool_config(settings)
    config.handler = processWorkerHandler()
    config.hooks.completed = { _, token, outcome in
      guard let token else { return }
      Unmanaged<ProcessTask>.fromOpaque(token).takeRetainedValue().finish(outcome.pointee)
    }
    maxPayload = config.max_payload
    taskOptions = try configuration.taskOptions.engineValue()
    hasTimeout = configuration.taskOptions.timeout != nil
    isSandboxed = configuration.sandbox != nil
    initializer = configuration.initializer?.label
    outputLimits = [.standardOutput: config.output.0.limit, .standardError: config.output.1.limit]
    // Before the fork: touching the table makes it exist in the workers, and what is in it now is in them.
    let functions = FunctionTable.count
    handle = try Self.create(&config, settings, encodedInitializer, untold)
    inheritedFunctions = wp_process_pool_start_method(handle) == WP_START_FORK ? functions : 0
  }

  private static func create(
    _ config: inout wp_process_pool_config, _ settings: Settings, _ initializer: EncodedInitializer?,
    _ untold: UntoldWaiters
  ) throws -> OpaquePointer {
    let failure = StartFailure(initializer: settings.configuration.initializer?.label)
    let context = ProcessHookContext(untold, failure, settings.configuration)
    context.attach(to: &config.hooks)
    var error = wp_error()
    var pool: OpaquePointer?
    func create(_ initializer: UnsafePointer<wp_process_initializer>?) -> wp_status {
      settings.name.withCString { name in
        settings.affinity.withEngineValue { affinity in
          config.initializer = initializer
          config.name = name
          config.affinity = affinity
          return wp_process_pool_create(&config, &pool, &error)
        }
      }
    }
    let status = initializer.map { $0.withEngineValue { create($0) } } ?? create(nil)
    if status == WP_OK, let pool { return pool }
    context.detach()
    if status == WP_BROKEN, let error = failure.error { throw error }
    throw settings.explaining(error, maxPayload: config.max_payload)
  }

  deinit { wp_process_pool_release(handle) }

  /// Runs `body` on a thread of its own that blocks what the collector's thread blocks.
  func runOnDetachedThread(_ body: @escaping @Sendable () -> Void) {
    WorkerPool.runOnDetachedThread(body) { wp_process_pool_start_helper(handle, $0, $1) }
  }

  var workerCount: Int { Int(wp_process_pool_worker_count(handle)) }
  var wasForked: Bool { wp_process_pool_start_method(handle) == WP_START_FORK }

  func resize(to maxWorkers: Int?) throws {
    var error = wp_error()
    let count = try checkedWorkerCount(maxWorkers, limit: wp_process_pool_capacity(handle))
    let status = wp_process_pool_resize(handle, count, &error)
    guard status == WP_OK else { throw WorkerPoolError(error) }
  }

  var workerProcessIdentifiers: [Int32] {
    [Int32](unsafeUninitializedCapacity: Int(wp_process_pool_capacity(handle))) { buffer, count in
      count = min(wp_process_pool_worker_pids(handle, buffer.baseAddress, buffer.count), buffer.count)
    }
  }

  var memoryLimitKind: ProcessPoolExecutor.MemoryLimitKind? {
    switch wp_process_pool_memory_limit(handle) {
    case WP_MEMORY_DATA: .privateMemory
    case WP_MEMORY_CGROUP: .cgroup
    default: nil
    }
  }

  func capturedOutput(of processIdentifier: Int32, _ stream: WorkerStream) -> String {
    String(unsafeUninitializedCapacity: outputLimits[stream] ?? 0) { buffer in
      let number = stream == .standardOutput ? WP_STREAM_OUTPUT : WP_STREAM_ERROR
      guard let room = buffer.baseAddress else { return 0 }
      return wp_process_pool_output(handle, processIdentifier, UInt32(number), room, buffer.count)
    }
  }

  var isBroken: Bool { wp_process_pool_breakage(handle) != nil }

  /// Why the pool broke, nil while it has not or when there is no more to say than the engine does.
  var breakage: String? {
    wp_process_pool_breakage(handle).map { WorkerPoolError($0.pointee, initializer: initializer).message }
  }

  // MARK: - Ends

  func close() { wp_process_pool_close(handle) }

  func cancelPending() { _ = wp_process_pool_discard_pending(handle) }

  /// Asks all tasks that run to stop and returns how many were not asked before. None begins again.
  func stopRunning() -> Int { wp_process_pool_stop_running(handle) }
  func terminateRunning() { _ = wp_process_pool_terminate_running(handle) }
  var taskCounts: wp_process_task_counts { wp_process_pool_task_counts(handle) }

  /// Blocks until a closed pool has ended; returns at once on the thread that this would wait for.
  func join() { whileBlocked { _ = wp_process_pool_join(handle) } }

  enum JoinResult { case ended, timedOut, wouldDeadlock }

  /// As ``join()``, for so long.
  func join(until deadline: MonotonicInstant) -> JoinResult {
    switch whileBlocked({ wp_process_pool_join_until(handle, deadline.nanoseconds) }) {
    case WP_TIMED_OUT: .timedOut
    case WP_WOULD_DEADLOCK: .wouldDeadlock
    default: .ended
    }
  }

  func terminate<Success>(_ future: Future<Success>) -> Bool {
    guard !future.isDone, let task = future.source as? ProcessTask, task.pool === self else { return false }
    return future.cancel() || wp_process_pool_terminate(handle, task.ticket)
  }

  func cancel(_ ticket: UInt64) -> Bool { wp_process_pool_cancel(handle, ticket) }
  func isRunning(_ ticket: UInt64) -> Bool { wp_process_pool_is_running(handle, ticket) }

  // MARK: - Waiting

  func spin(on word: UnsafeRawPointer, until mask: UInt32) { wp_process_pool_spin(handle, word, mask) }

  func sleep(on word: UnsafeRawPointer, until mask: UInt32, deadline: MonotonicInstant) {
    wp_process_pool_sleep(handle, word, mask, deadline.nanoseconds)
  }

  var waitDeadlocks: Bool { wp_process_pool_wait_deadlocks(handle) }

  func wakeSleepers() { wp_process_pool_wake(handle) }

  /// Has the collector's thread tell those in ``untold``.
  func haveUntoldTold() {
    if !untold.isEmpty { wp_process_pool_call(handle) }
  }

  // MARK: - Submitting

  @inlinable
  func submit<J: Job>(_ job: J, _ options: TaskOptions?) throws -> Future<J.Output> {
    try submit(job, returning: J.Output.self, code(of: J.self, isChunk: false), .job(J.self), options)
  }

  @inlinable
  func submit<J: Job>(chunk jobs: [J], _ options: TaskOptions?) throws -> Future<[J.Output]> {
    try submit(jobs, returning: [J.Output].self, code(of: J.self, isChunk: true), .job(J.self), options)
  }

  func submit<Input, Output>(
    _ function: FunctionHandle<Input, Output>, _ input: Input, _ options: TaskOptions?
  ) throws -> Future<Output> {
    try submit(
      input, returning: Output.self, code(of: function, isChunk: false), .function(function.name), options)
  }

  func submit<Input, Output>(
    _ function: FunctionHandle<Input, Output>, chunk inputs: [Input], _ options: TaskOptions?
  ) throws -> Future<[Output]> {
    try submit(
      inputs, returning: [Output].self, code(of: function, isChunk: true), .function(function.name), options)
  }

  @inlinable
  func submit<Input: WireCodable, Output: WireCodable & Sendable>(
    _ input: Input, returning type: Output.Type, _ code: TaskCode, _ label: TaskLabel, _ options: TaskOptions?
  ) throws -> Future<Output> {
    var encoder = WireEncoder()
    try explaining("the input of \(label)") { try encoder.encode(input) }
    let task = ProcessTask(pool: self, label: label, settle: ProcessTask.settle(as: type))
    let future = task.makeFuture(of: type)
    try submit(task, code, &encoder, options)
    return future
  }

  /// Hands the task to the engine, with what was encoded for it.
  @usableFromInline
  func submit(
    _ task: ProcessTask, _ code: TaskCode, _ encoder: inout WireEncoder, _ options: TaskOptions?
  ) throws {
    var submission = wp_process_submission()
    submission.function = code.rawValue
    // A large argument that has to wait stays where it was encoded.
    submission.adopt = encoder.byteCount > WireEncoder.roomThreshold
    do {
      task.ticket = try submit(task, &submission, encoder, options.map { try $0.engineValue() } ?? taskOptions)
    } catch {
      task.abandon()
      throw error
    }
    if submission.adopt { encoder.disown() }
  }

  private func submit(
    _ task: ProcessTask, _ submission: inout wp_process_submission, _ encoder: borrowing WireEncoder,
    _ options: wp_task_options?
  ) throws -> UInt64 {
    task.attachments = encoder.attachments
    let token = Unmanaged.passRetained(task)
    submission.token = token.toOpaque()
    var ticket: UInt64 = 0
    let shared = encoder.attachments.map(\.handle)
    let status = encoder.withUnsafeBytes { bytes in
      submission.bytes = bytes.baseAddress
      submission.length = bytes.count
      return shared.withUnsafeBufferPointer { shared in
        submission.shared = shared.baseAddress
        submission.shared_count = shared.count
        return withPointer(to: options) { pointer in
          submission.options = pointer
          return wp_process_pool_submit(handle, &submission, &ticket)
        }
      }
    }
    if status == WP_OK { return ticket }
    token.release()
    throw refusal(status, of: task.label, length: encoder.byteCount)
  }

  @usableFromInline
  func code(of type: any Job.Type, isChunk: Bool) throws -> TaskCode {
    TaskCode(.job, index: try index(of: type), isChunk: isChunk)
  }

  /// The index by which workers find the type. Checked and entered once for each type.
  private func index(of type: any Job.Type) throws -> UInt32 {
    let key = ObjectIdentifier(type)
    if let known = jobIndices.withLock({ $0[key] }) { return known }
    var index: UInt32 = 0
    let utf8 = Array(try resolvableName(of: type).utf8)
    let status = wp_process_pool_intern(handle, utf8, utf8.count, &index)
    guard status == WP_OK, index <= TaskCode.maximumIndex else {
      throw refusal(status, of: .job(type), length: utf8.count)
    }
    jobIndices.withLock { $0.enter(key, index) }
    return index
  }

  private func code<Input, Output>(of function: FunctionHandle<Input, Output>, isChunk: Bool) throws -> TaskCode {
    guard wasForked, function.index < inheritedFunctions else {
      let reason =
        wasForked
        ? "was made after the pool, whose workers therefore do not have it: make the handle first"
        : """
        cannot run in a pool that was started by re-executing the program, whose workers have none of its memory: \
        make the pool first thing in main, while the program has one thread
        """
      throw WorkerPoolError(
        code: .unsupported, message: "the function handle \(function.name) \(reason), or submit a Job instead")
    }
    return TaskCode(.function, index: function.index, isChunk: isChunk)
  }

  private func refusal(_ status: wp_status, of label: TaskLabel, length: Int) -> WorkerPoolError {
    switch status {
    case WP_SHUT_DOWN:
      WorkerPoolError(code: .shutDown, message: "the pool was shut down and does not take \(label)")
    case WP_TOO_LARGE:
      WorkerPoolError(
        code: .tooLarge, message: "the input of \(label) takes \(length) bytes, the pool's limit is \(maxPayload)")
    case WP_BROKEN:
      WorkerPoolError(code: .brokenPool, message: "the pool is broken and does not take \(label): \(breakage ?? "")")
    case WP_SYSTEM_CALL_FAILED:
      WorkerPoolError(code: .systemCall, message: "there is no memory for the input of \(label), \(length) bytes")
    default:
      WorkerPoolError(status: status)
    }
  }
}

/// What is known about job types. Programs submit one type after the other a thousand times.
private struct JobIndices {
  private var all: [ObjectIdentifier: UInt32] = [:]
  private var last: (type: ObjectIdentifier, index: UInt32)?

  subscript(type: ObjectIdentifier) -> UInt32? {
    mutating get {
      if let last, last.type == type { return last.index }
      guard let index = all[type] else { return nil }
      last = (type, index)
      return index
    }
  }

  mutating func enter(_ type: ObjectIdentifier, _ index: UInt32) { all[type] = index }
}

/// The name by which workers find the type.
func resolvableName(of type: any Job.Type) throws -> String {
  if let name = TypeName.name(of: type) { return name }
  throw WorkerPoolError(
    code: .unresolvableType,
    message: """
      a worker cannot find the job type \(type) by name: types that are private or fileprivate, or declared \
      inside a function, and generic types over such types, have no name that another process can look up. \
      Declare it, without 'private', at the top level or inside another type
      """)
}

extension wp_process_pool_config {
  /// Checks the settings, so that errors name the values as the caller knows them.
  fileprivate init(_ settings: ProcessPool.Settings) throws {
    self.init()
    worker_count = try checkedWorkerCount(settings.maxWorkers, limit: WP_PROCESS_POOL_MAX_WORKERS)
    start_method = settings.startMethod.engineValue
    max_payload = try checked(settings.maxPayload, "maxPayload", in: 1...(1 << 40)) ?? 1 << 30
    prefetch = UInt32(try checked(settings.prefetch, "prefetch", in: 1...Int(WP_PROCESS_MAX_PREFETCH)) ?? 0)
    spin_ns = settings.spinDuration.map(spinNanoseconds) ?? 0
    try apply(settings.configuration)
  }
}

private func withPointer<Value, Result>(to value: Value?, _ body: (UnsafePointer<Value>?) -> Result) -> Result {
  guard let value else { return body(nil) }
  return withUnsafePointer(to: value) { body($0) }
}

extension ProcessPoolExecutor.StartMethod {
  fileprivate var engineValue: wp_start_method {
    switch self {
    case .automatic: WP_START_AUTOMATIC
    case .fork: WP_START_FORK
    case .reexec: WP_START_REEXEC
    }
  }
}

/// What the engine's hooks get.
private final class ProcessHookContext {
  private let untold: UntoldWaiters
  private let failure: StartFailure
  private let initializer: TaskLabel?
  private let onBreak: (@Sendable (WorkerPoolError) -> Void)?

  init(_ untold: UntoldWaiters, _ failure: StartFailure, _ configuration: ProcessPoolExecutor.Configuration) {
    self.untold = untold
    self.failure = failure
    initializer = configuration.initializer?.label
    onBreak = configuration.onBreak
  }

  /// Lives until the engine calls `destroy`, or, when the pool cannot be made, until ``detach()``.
  func attach(to hooks: inout wp_process_pool_hooks) {
    hooks.context = Unmanaged.passRetained(self).toOpaque()
    hooks.called = { ProcessHookContext.at($0)?.untold.tellAll() }
    hooks.start_failed = { ProcessHookContext.at($0)?.failure.note($1.pointee) }
    hooks.broken = { ProcessHookContext.at($0)?.tell($1.pointee) }
    hooks.destroy = { ProcessHookContext.at($0)?.detach() }
  }

  private func tell(_ breakage: wp_process_breakage) {
    onBreak?(WorkerPoolError(breakage, initializer: initializer))
  }

  func detach() { Unmanaged.passUnretained(self).release() }

  private static func at(_ context: UnsafeMutableRawPointer?) -> ProcessHookContext? {
    context.map { Unmanaged<ProcessHookContext>.fromOpaque($0).takeUnretainedValue() }
  }
}
