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
  let hint = outcome.unset_pointer ? "; \(hintAtGlobals)" : ""
  let others = outcome.workers_lost
  return others > 1 ? "\(reason)\(hint); \(others) workers have died of this task, and it is given up" : reason + hint
}

/// What a fault near address zero may come from in a re-executed worker.
private let hintAtGlobals = """
  it used an address near zero, as a global variable of main.swift does in a re-executed worker, where main.swift has not \
  run: declare it in another file, or as a static property
  """
