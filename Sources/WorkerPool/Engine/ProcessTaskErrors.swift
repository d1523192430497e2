import CWorkerPool

// What becomes of tasks that the pool has ended, or asked to end.

extension WorkerPoolError {
  static func timedOut(_ label: TaskLabel, _ outcome: wp_task_outcome) -> WorkerPoolError {
    let ran = Duration.nanoseconds(Int64(clamping: outcome.run_ns))
    let timeout = Duration.nanoseconds(Int64(clamping: outcome.timeout_ns))
    let killed = outcome.end == WP_TASK_TIMED_OUT
    let how = killed ? "and had to be killed with its worker \(outcome.worker_pid)" : "and stopped when asked to"
    return WorkerPoolError(
      code: .taskTimedOut, message: "\(label) ran for \(ran), over its timeout of \(timeout), \(how)",
      workerExit: killed ? WorkerExit(outcome, taskName: "\(label)") : nil)
  }

  static func terminated(_ label: TaskLabel, _ outcome: wp_task_outcome) -> WorkerPoolError {
    let ran = Duration.nanoseconds(Int64(clamping: outcome.run_ns))
    return WorkerPoolError(
      code: .terminated,
      message: "\(label) was terminated after it had run for \(ran), by killing its worker \(outcome.worker_pid)",
      workerExit: WorkerExit(outcome, taskName: "\(label)"))
  }
}

/// Why else a worker died, and whether others had before: what follows on the sentence that a worker died.
func deathDetails(_ outcome: wp_task_outcome) -> String {
  let reason = outcome.reason.map { ": \(String(cString: $0))" } ?? ""
  let others = outcome.workers_lost
  return others > 1 ? "\(reason); \(others) workers have died of this task, and it is given up" : reason
}
