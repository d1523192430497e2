import CWorkerPool
import Glibc

extension WorkerPoolError {
  static var waitInCallback: WorkerPoolError {
    WorkerPoolError(
      code: .wouldDeadlock,
      message: """
        a done callback of a process pool waits for another task of that pool, which would be completed on the thread \
        that runs the callback: chain the callbacks, or await the task's value in a Task
        """)
  }

  /// Why a worker may not wait for work of its own pool.
  init(deadlock error: wp_error) {
    var reason = ""
    var systemCall: SystemCall?
    if error.status == WP_SYSTEM_CALL_FAILED {
      let failure = WorkerPoolError(error)
      reason = ", and no other can be started (\(failure.message))"
      systemCall = failure.systemCall
    }
    self.init(
      code: .wouldDeadlock,
      message: "every thread of the pool waits for work of the pool\(reason): this wait would never end",
      systemCall: systemCall)
  }

  static var endlessWait: WorkerPoolError {
    WorkerPoolError(deadlock: wp_error())
  }

  static var futureOfParent: WorkerPoolError {
    WorkerPoolError(
      code: .forked,
      message: "the future is from before this process was forked: what would complete it runs in the parent alone")
  }

  static var threadEnded: WorkerPoolError {
    WorkerPoolError(code: .threadEnded, message: "the thread that ran the task was ended before the task had ended")
  }

  /// What the engine says of a failed call; `affinity` and `blockedSignals` are what was asked for, to be named if it was
  /// refused, and `environmentCPUs` what stood in for `WORKER_POOL_CPUS`.
  init(
    _ error: wp_error, _ affinity: Affinity = .none, environmentCPUs: String? = nil, blockedSignals: [Int32] = []
  ) {
    switch error.status {
    case WP_SYSTEM_CALL_FAILED:
      let name = error.call.map { String(cString: $0) } ?? "a system call"
      self.init(
        code: .systemCall,
        message: "\(name) failed: \(String(cString: strerror(error.system_errno)))"
          + (error.rule.map { "; \(String(cString: $0))" } ?? ""),
        systemCall: SystemCall(name: name, errno: error.system_errno))
    default:
      let argument = error.call.map { String(cString: $0) }
      let value = argument.flatMap {
        refusalOfEnvironment(in: $0, value: environmentCPUs).map { $0 + " " }
          ?? affinity.refusal(of: error.refused, in: $0).map { $0 + "; " }
          ?? ($0 == "blocked_signals" ? "blockedSignals is \(blockedSignals), with \(error.refused); " : nil)
      }
      let subject = value ?? argument.map { $0 + " " } ?? ""
      let rule = error.rule ?? wp_status_name(error.status)
      self.init(status: error.status, message: subject + String(cString: rule))
    }
  }

  init(status: wp_status) {
    self.init(status: status, message: String(cString: wp_status_name(status)))
  }

  private init(status: wp_status, message: String) {
    let code: Code =
      switch status {
      case WP_INVALID_ARGUMENT: .invalidArgument
      case WP_SHUT_DOWN: .shutDown
      case WP_FORKED: .forked
      case WP_WOULD_DEADLOCK: .wouldDeadlock
      case WP_BROKEN: .brokenPool
      case WP_UNSUPPORTED: .unsupported
      case WP_TOO_LARGE: .tooLarge
      case WP_TIMED_OUT: .timedOut
      default: .systemCall
      }
    self.init(code: code, message: message)
  }
}

/// The number of workers as the engine takes it: 0 for the default.
func checkedWorkerCount(_ count: Int?, limit: UInt32) throws -> UInt32 {
  guard let count else { return 0 }
  guard count >= 1, count <= Int(limit) else {
    throw WorkerPoolError(
      code: .invalidArgument, message: "maxWorkers is \(count); it must be between 1 and \(limit)")
  }
  return UInt32(count)
}

/// The number of spares as the engine takes it: 0 for the default, `WP_NO_SPARES` for none.
func checkedSpareLimit(_ count: Int?, maxWorkers: Int?) throws -> UInt32 {
  guard let count else { return 0 }
  let limit = Int(WP_THREAD_POOL_MAX_WORKERS) - (maxWorkers ?? 1)
  guard count >= 0, count <= limit else {
    let workers = maxWorkers.map { "with \($0) workers " } ?? ""
    throw WorkerPoolError(
      code: .invalidArgument, message: "maxSpares is \(count); \(workers)it must be between 0 and \(limit)")
  }
  return count == 0 ? UInt32.max : UInt32(count)
}

/// The stack size as the engine takes it: 0 for the default.
func checkedStackSize(_ bytes: Int?) throws -> Int {
  guard let bytes else { return 0 }
  guard bytes >= 1 else {
    throw WorkerPoolError(code: .invalidArgument, message: "stackSize is \(bytes); it must be positive")
  }
  return bytes
}

/// A spin budget as the engine takes it.
func spinNanoseconds(_ duration: Duration) -> UInt64 {
  guard duration > .zero else { return UInt64.max }  // WP_SPIN_NEVER
  return min(max(1, duration.clampedNanoseconds), 1_000_000_000_000_000)
}
