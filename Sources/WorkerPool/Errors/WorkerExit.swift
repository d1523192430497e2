/// How a worker process ended.
public struct WorkerExit: Hashable, Sendable {
  /// Why the process is gone.
  public enum Reason: Hashable, Sendable {
    /// A signal ended it: `SIGKILL`, `SIGILL` after a Swift trap, `SIGSEGV`, and so on.
    case signal(Int32)
    /// It exited, with this status, without handing in the task's result.
    case exit(status: Int32)
  }

  /// Process id of the worker.
  public var processIdentifier: Int32
  public var reason: Reason
  /// What the worker ran: the job's type, or the name of the function.
  public var taskName: String
  /// From the task's start until its end was noticed, on the monotonic clock.
  public var runDuration: Duration
  /// Largest resident memory that the worker had in its life, in bytes, with what it shared with others; 0 when nobody
  /// could tell, as after the loss of the template.
  public var peakMemory: Int
  /// The end of what the worker wrote to standard error in its life, with this task and earlier ones; bytes that are not
  /// UTF-8 are replaced. Empty when it is not captured (``ProcessPoolExecutor/Configuration/standardError``).
  public var standardError: String

  public init(
    processIdentifier: Int32, reason: Reason, taskName: String = "", runDuration: Duration = .zero,
    peakMemory: Int = 0, standardError: String = ""
  ) {
    self.processIdentifier = processIdentifier
    self.reason = reason
    self.taskName = taskName
    self.runDuration = runDuration
    self.peakMemory = peakMemory
    self.standardError = standardError
  }

  /// The last lines of ``standardError``, for a message: at most ten, and the last 2,000 characters of these.
  var lastWords: String {
    let lines = standardError.split(separator: "\n").suffix(10)
    return String(lines.joined(separator: "\n").suffix(2000))
  }
}

extension WorkerExit: CustomStringConvertible {
  public var description: String {
    switch reason {
    case .signal(let number): "worker \(processIdentifier) was ended by \(signalName(number))"
    case .exit(let status): "worker \(processIdentifier) exited with status \(status) before its task ended"
    }
  }
}

extension WorkerExit: WireCodable {
  public func encode(into encoder: inout WireEncoder) throws {
    switch reason {
    case .signal(let number): try encoder.encode(processIdentifier, true, number)
    case .exit(let status): try encoder.encode(processIdentifier, false, status)
    }
    try encoder.encode(taskName, runDuration, peakMemory, standardError)
  }

  public init(decoding decoder: inout WireDecoder) throws {
    let processIdentifier = try decoder.decode(Int32.self)
    let isSignal = try decoder.decode(Bool.self)
    let number = try decoder.decode(Int32.self)
    let taskName = try decoder.decode(String.self)
    self.init(
      processIdentifier: processIdentifier, reason: isSignal ? .signal(number) : .exit(status: number),
      taskName: taskName, runDuration: try decoder.decode(), peakMemory: try decoder.decode(),
      standardError: try decoder.decode())
  }
}
