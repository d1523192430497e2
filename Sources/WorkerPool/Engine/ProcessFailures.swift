import CWorkerPool
import Glibc

// What is said of workers that ended: the engine's account of it, put into words.

extension WorkerExit {
  init(_ outcome: wp_task_outcome, taskName: String) {
    self.init(
      processIdentifier: outcome.worker_pid, reason: Reason(waitStatus: outcome.wait_status), taskName: taskName,
      runDuration: .nanoseconds(Int64(clamping: outcome.run_ns)), peakMemory: Int(clamping: outcome.peak_memory),
      standardError: String(engineBytes: outcome.output, count: outcome.output_length))
  }

  /// How the worker ended, with what else there is to say, and what it said last.
  func message(whileRunning task: String, details: String = "") -> String {
    ended + " while it ran \(task)" + details + quotation
  }

  fileprivate var ended: String {
    switch reason {
    case .signal(let number): "worker \(processIdentifier) was ended by \(signalName(number))"
    case .exit(let status): "worker \(processIdentifier) exited with status \(status)"
    }
  }

  var quotation: String {
    let words = lastWords
    return words.isEmpty ? "" : "; its standard error ends with: \(words)"
  }
}

extension WorkerExit.Reason {
  /// From a status as `waitpid` gives it: the signal in the low seven bits, or zero there and the exit status above.
  init(waitStatus: Int32) {
    let signal = waitStatus & 0x7F
    self = signal == 0 ? .exit(status: waitStatus >> 8 & 0xFF) : .signal(signal)
  }
}

extension WorkerPoolError {
  /// Of a task whose worker ended.
  init(deathDuring label: TaskLabel, _ outcome: wp_task_outcome) {
    let exit = WorkerExit(outcome, taskName: "\(label)")
    switch outcome.passed {
    case WP_PASSED_MEMORY:
      self.init(
        code: .memoryLimitExceeded,
        message: """
          \(label) reached the memory limit of \(outcome.limit) bytes; \(exit.ended), whose resident memory was at most \
          \(exit.peakMemory) bytes\(deathDetails(outcome))\(exit.quotation)
          """, workerExit: exit)
    case WP_PASSED_CPU_TIME:
      let limit = Duration.nanoseconds(Int64(clamping: outcome.limit))
      self.init(
        code: .cpuTimeExceeded,
        message: """
          \(label) used more than \(limit) of processor time; \(exit.ended) after \
          \(exit.runDuration)\(deathDetails(outcome))\(exit.quotation)
          """, workerExit: exit)
    default:
      self.init(
        code: .workerDied, message: exit.message(whileRunning: "\(label)", details: deathDetails(outcome)),
        workerExit: exit)
    }
  }

  /// Of a pool whose workers could not start. `message` and `workerExit` say why.
  init(_ breakage: wp_process_breakage, initializer: TaskLabel?) {
    let reason = String(cString: breakage.reason) + failedCall(breakage)
    let exit = WorkerExit(
      processIdentifier: breakage.worker_pid, reason: WorkerExit.Reason(waitStatus: breakage.wait_status),
      taskName: breakage.in_initializer ? initializer.map { "\($0)" } ?? "" : "",
      standardError: String(engineBytes: breakage.output, count: breakage.output_length))
    let running = initializer.map { "the initializer \($0)" } ?? "the initializer"
    if breakage.reply_code != ReplyCode.output {
      let error = initializerError(breakage)
      self.init(code: .brokenPool, message: "\(running) failed in worker \(breakage.worker_pid): \(error)")
    } else if breakage.worker_pid == 0 {
      self.init(code: .brokenPool, message: reason)
    } else if breakage.in_initializer {
      self.init(code: .brokenPool, message: exit.message(whileRunning: running), workerExit: exit)
    } else {
      self.init(code: .brokenPool, message: "\(reason): \(exit.ended)\(exit.quotation)", workerExit: exit)
    }
  }
}

/// The system call that failed, in words; empty when none did.
private func failedCall(_ breakage: wp_process_breakage) -> String {
  guard let call = breakage.call else { return "" }
  return " (\(String(cString: call)): \(String(cString: strerror(breakage.system_errno))))"
}

/// What the initializer threw, in words.
private func initializerError(_ breakage: wp_process_breakage) -> String {
  guard breakage.reply_code == ReplyCode.error else { return "it replied with code \(breakage.reply_code)" }
  let bytes = UnsafeRawBufferPointer(
    start: breakage.reply, count: breakage.reply == nil ? 0 : Int(breakage.reply_length))
  do {
    return "\(try ErrorCoding.read(from: bytes))"
  } catch {
    return "with an error that cannot be read: \(error)"
  }
}

extension String {
  /// Bytes of the engine's, in which those that are not UTF-8 are replaced.
  fileprivate init(engineBytes bytes: UnsafePointer<CChar>?, count: Int) {
    self.init(decoding: UnsafeRawBufferPointer(start: bytes, count: bytes == nil ? 0 : count), as: UTF8.self)
  }
}

/// Takes down, during the creation of a pool, why its workers could not start.
final class StartFailure {
  private let initializer: TaskLabel?
  private(set) var error: WorkerPoolError?

  init(initializer: TaskLabel?) { self.initializer = initializer }

  /// Called on the thread that creates the pool, before that call returns.
  func note(_ breakage: wp_process_breakage) {
    error = WorkerPoolError(breakage, initializer: initializer)
  }
}
