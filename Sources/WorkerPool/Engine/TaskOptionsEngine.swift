import CWorkerPool

extension TaskOptions {
  /// As the engine takes them, nil when they ask for nothing. Throws for values that break a rule.
  func engineValue() throws -> wp_task_options? {
    var options = wp_task_options()
    if let timeout {
      guard timeout > .zero else { throw refused("timeout", "\(timeout)", "positive") }
      options.timeout_ns = nanoseconds(timeout)
    }
    guard gracePeriod >= .zero else { throw refused("gracePeriod", "\(gracePeriod)", "zero or positive") }
    options.grace_ns = nanoseconds(gracePeriod)
    guard let retries = UInt32(exactly: retries) else {
      throw refused("retries", "\(retries)", "between 0 and \(UInt32.max)")
    }
    options.retries = retries
    options.cpu_ns = try cpuTime.map { try positiveNanoseconds($0, "cpuTime") } ?? 0
    options.memory = UInt64(try checked(memory, "memory", in: 1...Int.max) ?? 0)
    // A grace period by itself asks for nothing.
    let asks = timeout != nil || retries > 0 || cpuTime != nil || memory != nil
    return asks ? options : nil
  }

  private func refused(_ name: String, _ value: String, _ rule: String) -> WorkerPoolError {
    WorkerPoolError(code: .invalidArgument, message: "\(name) is \(value); it must be \(rule)")
  }
}

/// Nanoseconds of a duration that is not negative, at least 1 for a positive one; 146 years for what is longer.
func nanoseconds(_ duration: Duration) -> UInt64 {
  let total = min(duration.clampedNanoseconds, 1 << 62)
  return total == 0 && duration > .zero ? 1 : total
}
