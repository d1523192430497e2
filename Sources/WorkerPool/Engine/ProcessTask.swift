import CWorkerPool

/// A task in the engine's hands; its address is the engine's token for it.
///
/// The engine gives every token back exactly once: to the `completed` hook, or to the one `wp_process_pool_cancel` that
/// returns true. Whoever gets it owns the task and settles its future.
///
/// Not generic, and what has to know the type of the result is inlined into the caller of `submit`: finding the metadata
/// of three generic types at run time cost more than all that the engine does for a small task.
@usableFromInline
final class ProcessTask: FutureSource, @unchecked Sendable {
  // SAFETY: `pool`, `label` and `settle` are constant. `ticket` is written by the submitting thread before it hands out
  // the future that alone leads here. `attachments` and `future` are written before `wp_process_pool_submit` and
  // afterwards touched by the one thread that the engine returns the token to, which writes `ranFor` before it settles
  // the future.

  /// Completes a future of the type that it knows. Throws when the reply is none of its values, with the future as it
  /// was; callbacks are left to `untold` where there is one.
  @usableFromInline
  typealias Settle = @Sendable (_ future: AnyObject, _ ending: TaskEnding, _ untold: UntoldWaiters?) throws -> Void

  let pool: ProcessPool
  let label: TaskLabel
  private let settle: Settle
  @exclusivity(unchecked) var ticket: UInt64 = 0
  @exclusivity(unchecked) private var future: AnyObject?
  @exclusivity(unchecked) private var ranFor: UInt64?
  /// Memories that the task carries. The engine needs them until it gives the token back; whoever gets it lets them go.
  @exclusivity(unchecked) var attachments: [SharedMemory] = []

  @usableFromInline
  init(pool: ProcessPool, label: TaskLabel, settle: @escaping Settle) {
    self.pool = pool
    self.label = label
    self.settle = settle
  }

  /// Makes the future that this task settles.
  @inlinable
  func makeFuture<Output: WireCodable & Sendable>(of type: Output.Type) -> Future<Output> {
    let future = Future<Output>.make(source: self)
    adopt(future)
    return future
  }

  @usableFromInline
  func adopt(_ future: AnyObject) { self.future = future }

  /// How futures of results of this type are settled.
  @inlinable
  static func settle<Output: WireCodable & Sendable>(as type: Output.Type) -> Settle {
    { future, ending, untold in
      let future = unsafeDowncast(future, to: Future<Output>.self)
      switch ending {
      case .replied(let bytes, let memory):
        let output = try WireDecoder.read(Output.self, from: bytes, memory: memory)
        _ = future.complete(with: .success(output), leaving: untold)
      case .failed(let error):
        _ = future.complete(with: .failure(error), leaving: untold)
      case .discarded:
        _ = future.completeCancelled()
      }
    }
  }

  /// Settles the future. Called with the outcome that came with the token.
  func finish(_ outcome: wp_task_outcome) {
    guard let future else { return }
    let attachments = attachments
    abandon()
    ranFor = outcome.run_ns
    // Callbacks may take a lock that a waiting thread holds.
    let untold = outcome.on_waiting_thread ? pool.untold : nil
    do {
      let ending = try ending(of: outcome, attachments)
      try explaining(source(of: outcome)) { try settle(future, ending, untold) }
    } catch {
      do {
        try settle(future, .failed(error), untold)
      } catch {
        preconditionFailure("a failure has nothing to decode")
      }
    }
    if outcome.on_waiting_thread { pool.haveUntoldTold() }
  }

  /// Lets go of the future, which holds this task.
  func abandon() {
    future = nil
    attachments = []
  }

  override func tryCancel() -> Bool {
    guard pool.cancel(ticket) else { return false }
    let task = Unmanaged.passUnretained(self)
    abandon()
    // The reference that `submit` gave to the engine.
    task.release()
    return true
  }

  override var runNanoseconds: UInt64? { ranFor }
  override var isRunning: Bool { pool.isRunning(ticket) }

  override func spin(on word: UnsafeRawPointer, until mask: UInt32) { pool.spin(on: word, until: mask) }

  override func sleep(on word: UnsafeRawPointer, until mask: UInt32, deadline: MonotonicInstant) {
    pool.sleep(on: word, until: mask, deadline: deadline)
  }

  override var waitDeadlocks: Bool { pool.waitDeadlocks }
  override func wakeSleepers() { pool.wakeSleepers() }
}

/// What became of a task.
@usableFromInline
enum TaskEnding {
  /// With these bytes, valid until the engine has its thread back, which may refer to this memory.
  case replied(UnsafeRawBufferPointer, (any WireMemory)?)
  case failed(any Error)
  /// No worker ran it.
  case discarded
}

/// What a task is called in errors. Cheap to make: the text is built only when something fails.
@usableFromInline
enum TaskLabel: Sendable, CustomStringConvertible {
  case job(any Job.Type)
  case function(String)

  @usableFromInline
  var description: String {
    switch self {
    case .job(let type): "\(type)"
    case .function(let name): "function \(name)"
    }
  }
}

// MARK: - Outcomes

extension ProcessTask {
  /// What the outcome comes to. Throws what the task failed with.
  fileprivate func ending(of outcome: wp_task_outcome, _ attachments: [SharedMemory]) throws -> TaskEnding {
    switch outcome.end {
    case WP_TASK_REPLIED:
      return try reply(outcome, attachments)
    case WP_TASK_DISCARDED:
      return .discarded
    case WP_TASK_WORKER_DIED where outcome.forbidden_call != 0:
      throw WorkerPoolError(forbiddenCallBy: label, outcome)
    case WP_TASK_WORKER_DIED:
      throw WorkerPoolError(deathDuring: label, outcome)
    case WP_TASK_TIMED_OUT:
      throw WorkerPoolError.timedOut(label, outcome)
    case WP_TASK_TERMINATED:
      throw WorkerPoolError.terminated(label, outcome)
    case WP_TASK_REPLY_TOO_LARGE:
      let what = outcome.reply_code == ReplyCode.error ? "error" : "result"
      throw WorkerPoolError(
        code: .tooLarge,
        message: "the \(what) of \(label) takes \(outcome.length) bytes, the pool's limit is \(outcome.limit)")
    case WP_TASK_POOL_BROKEN:
      let reason = outcome.reason.map { String(cString: $0) } ?? "for an unknown reason"
      throw WorkerPoolError(
        code: .brokenPool, message: "the pool broke before \(label) could end: \(pool.breakage ?? reason)")
    case WP_TASK_NO_MEMORY:
      let reason = outcome.reason.map { String(cString: $0) } ?? "no memory"
      throw WorkerPoolError(code: .systemCall, message: "\(label) could not be given to a worker: \(reason)")
    default:
      throw WorkerPoolError(code: .brokenPool, message: "\(label) ended in an unknown way, \(outcome.end.rawValue)")
    }
  }

  private func reply(_ outcome: wp_task_outcome, _ attachments: [SharedMemory]) throws -> TaskEnding {
    let bytes = UnsafeRawBufferPointer(start: outcome.bytes, count: outcome.bytes == nil ? 0 : outcome.length)
    switch outcome.reply_code {
    case ReplyCode.output:
      guard outcome.buffer != nil || !attachments.isEmpty || pool.isSandboxed else { return .replied(bytes, nil) }
      return .replied(bytes, ReplyMemory(outcome, attachments, isOfSandbox: pool.isSandboxed))
    case ReplyCode.error:
      let error = try explaining(source(of: outcome)) { try ErrorCoding.read(from: bytes) }
      let gaveUp = outcome.stop == WP_STOP_TIMED_OUT && error is CancellationError
      if gaveUp { throw WorkerPoolError.timedOut(label, outcome) }
      throw error
    case let code:
      throw WorkerPoolError(code: .coding, message: "\(source(of: outcome)) carries the unknown code \(code)")
    }
  }

  private func source(of outcome: wp_task_outcome) -> String {
    "the result of \(label) from worker \(outcome.worker_pid)"
  }
}
