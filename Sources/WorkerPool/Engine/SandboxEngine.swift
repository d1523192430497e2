import CWorkerPool

extension ProcessPoolExecutor.Sandbox {
  var engineValue: wp_sandbox_level {
    switch level {
    case .computeOnly: WP_SANDBOX_COMPUTE_ONLY
    }
  }
}

extension WorkerPoolError {
  /// Of a task whose worker was ended for a call that its sandbox forbids.
  init(forbiddenCallBy label: TaskLabel, _ outcome: wp_task_outcome) {
    let name = systemCallName(outcome.forbidden_call)
    let call =
      name.map { "called '\($0)', which its sandbox forbids" }
      ?? "made a system call that its sandbox forbids, with SIGSYS blocked (as posix_spawn does) so that it stays unnamed"
    let exit = WorkerExit(outcome, taskName: "\(label)")
    self.init(
      code: .forbiddenCall,
      message: "worker \(outcome.worker_pid) \(call), while it ran \(label)\(deathDetails(outcome))\(exit.quotation)",
      workerExit: exit,
      systemCall: name.map { SystemCall(name: $0, errno: 0) })
  }
}

/// The name of a call as the engine reports it; its number when it has no name, nil when it is not known.
private func systemCallName(_ forbiddenCall: UInt32) -> String? {
  // WP_FORBIDDEN_CALL_UNKNOWN
  guard forbiddenCall != .max else { return nil }
  return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { name in
    guard let start = name.baseAddress, wp_system_call_name(forbiddenCall, start, name.count) > 0 else {
      return "system call \(forbiddenCall - 1)"
    }
    return String(cString: start)
  }
}
