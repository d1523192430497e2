import CWorkerPool

/// A task in the engine's hands; its address is the engine's token for it.
///
/// The engine gives every token back exactly once: to the `completed` hook, or to the one `wp_process_pool_cancel` that
/// returns true. Whoever gets it owns the task and settles its future.
///
/// Abstract, because a token cannot say of which type it is.
class ProcessTask: FutureSource, @unchecked Sendable {
  // SAFETY: `pool` and `label` are constant. `ticket` is written by the submitting thread before it hands out the
  // future that alone leads here. `attachments` and a subclass's `future` are written before `wp_process_pool_submit` and afterwards
  // touched by the one thread that the engine returns the token to.
  let pool: ProcessPool
  let label: TaskLabel
  var ticket: UInt64 = 0
  /// Memories that the task carries. The engine needs them until it gives the token back; whoever gets it lets them go.
  var attachments: [SharedMemory]

  init(pool: ProcessPool, label: TaskLabel, attachments: [SharedMemory]) {
    self.pool = pool
    self.label = label
    self.attachments = attachments
  }

  /// Settles the future. Called with the outcome that came with the token.
  func finish(_ outcome: wp_task_outcome) {
    preconditionFailure("abstract")
  }

  /// Lets go of the future, which holds this task.
  func abandon() {
    preconditionFailure("abstract")
  }

  override func tryCancel() -> Bool {
    guard pool.cancel(ticket) else { return false }
    let task = Unmanaged.passUnretained(self)
    abandon()
    // The reference that `submit` gave to the engine.
    task.release()
    return true
  }

  override var isRunning: Bool { pool.isRunning(ticket) }

  override func spin(on word: UnsafeRawPointer, until mask: UInt32) { pool.spin(on: word, until: mask) }

  override func sleep(on word: UnsafeRawPointer, until mask: UInt32, deadline: MonotonicInstant) {
    pool.sleep(on: word, until: mask, deadline: deadline)
  }

  override func wakeSleepers() { pool.wakeSleepers() }
}

/// What a task is called in errors. Cheap to make: the text is built only when something fails.
enum TaskLabel: Sendable, CustomStringConvertible {
  case job(any Job.Type)
  case function(String)

  var description: String {
    switch self {
    case .job(let type): "\(type)"
    case .function(let name): "function \(name)"
    }
  }
}

final class TypedProcessTask<Output: WireCodable & Sendable>: ProcessTask, @unchecked Sendable {
  // SAFETY: see the base class.
  var future: Future<Output>?

  override func abandon() {
    future = nil
    attachments = []
  }

  override func finish(_ outcome: wp_task_outcome) {
    guard let future else { return }
    let attachments = attachments
    abandon()
    if outcome.end == WP_TASK_DISCARDED {
      _ = future.completeCancelled()
    } else {
      let result = Result { try output(of: outcome, attachments) }
      // Callbacks may take a lock that a waiting thread holds.
      _ = future.complete(with: result, leaving: outcome.on_waiting_thread ? pool.untold : nil)
      if outcome.on_waiting_thread { pool.haveUntoldTold() }
    }
  }

  private func output(of outcome: wp_task_outcome, _ attachments: [SharedMemory]) throws -> Output {
    switch outcome.end {
    case WP_TASK_REPLIED:
      return try read(outcome, attachments)
    case WP_TASK_WORKER_DIED where outcome.forbidden_call != 0:
      throw WorkerPoolError(forbiddenCallBy: label, outcome)
    case WP_TASK_WORKER_DIED:
      throw WorkerPoolError(deathDuring: label, outcome)
    case WP_TASK_TIMED_OUT:
      throw WorkerPoolError.timedOut(label, outcome)
    case WP_TASK_TERMINATED:
      throw WorkerPoolError.terminated(label, outcome)
    case WP_TASK_REPLY_TOO_LARGE:
      throw WorkerPoolError(
        code: .tooLarge,
        message: "the result of \(label) takes \(outcome.length) bytes, the pool's limit is \(outcome.limit)")
    case WP_TASK_POOL_BROKEN:
      let reason = outcome.reason.map { String(cString: $0) } ?? "for an unknown reason"
      throw WorkerPoolError(
        code: .brokenPool, message: "the pool broke before \(label) could end: \(pool.breakage ?? reason)")
    default:
      throw WorkerPoolError(code: .brokenPool, message: "\(label) ended in an unknown way, \(outcome.end.rawValue)")
    }
  }

  private func read(_ outcome: wp_task_outcome, _ attachments: [SharedMemory]) throws -> Output {
    let bytes = UnsafeRawBufferPointer(start: outcome.bytes, count: outcome.bytes == nil ? 0 : outcome.length)
    // A function, so that the text is built only when something fails.
    func context() -> String { "the result of \(label) from worker \(outcome.worker_pid)" }
    switch outcome.reply_code {
    case ReplyCode.output:
      let refersToMemory = outcome.area != nil || !attachments.isEmpty
      let memory = refersToMemory ? ReplyMemory(outcome, attachments) : nil
      return try explaining(context()) { try WireDecoder.read(Output.self, from: bytes, memory: memory) }
    case ReplyCode.error:
      let error = try explaining(context()) {
        try WireDecoder.reading(from: bytes) { try ErrorCoding.decode(from: &$0) }
      }
      let gaveUp = outcome.stop == WP_STOP_TIMED_OUT && error is CancellationError
      if gaveUp { throw WorkerPoolError.timedOut(label, outcome) }
      throw error
    case let code:
      throw WorkerPoolError(code: .coding, message: "\(context()) carries the unknown code \(code)")
    }
  }
}
