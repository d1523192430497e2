/// A failure of the package itself, as opposed to one that a task threw.
///
/// Errors that tasks throw pass through unchanged; everything the package has to say for itself is a
/// `WorkerPoolError`. The code is open: a later version may add codes, so a `switch` over it needs a default.
///
/// ```swift
/// do {
///   print(try future.result())
/// } catch let error as WorkerPoolError where error.code == .workerDied {
///   print("worker ended with", error.workerExit!)
/// }
/// ```
public struct WorkerPoolError: Error, Sendable {
  /// What kind of failure this is.
  public var code: Code
  /// One sentence that names the value and the rule.
  public var message: String
  /// How the worker ended, for ``Code/workerDied``, ``Code/forbiddenCall`` and their kin.
  public var workerExit: WorkerExit?
  /// The failed system call and its `errno`, for ``Code/systemCall``; the forbidden one, with an `errno` of 0, for
  /// ``Code/forbiddenCall``, nil when the worker did not leave its number behind.
  public var systemCall: SystemCall?

  public init(code: Code, message: String, workerExit: WorkerExit? = nil, systemCall: SystemCall? = nil) {
    self.code = code
    self.message = message
    self.workerExit = workerExit
    self.systemCall = systemCall
  }

  /// An open set of failure kinds.
  public struct Code: Hashable, Sendable {
    let name: StaticName

    /// An argument breaks a documented rule.
    public static let invalidArgument = Code(.invalidArgument)
    /// The executor was shut down and takes no more work.
    public static let shutDown = Code(.shutDown)
    /// A system call failed; ``WorkerPoolError/systemCall`` says which.
    public static let systemCall = Code(.systemCall)
    /// A deadline passed first.
    public static let timedOut = Code(.timedOut)
    /// The worker process ended while it ran the task; ``WorkerPoolError/workerExit`` says how.
    public static let workerDied = Code(.workerDied)
    /// The pool lost what it needs to go on and takes no more work.
    public static let brokenPool = Code(.brokenPool)
    /// What was asked cannot be done the way this pool was started.
    public static let unsupported = Code(.unsupported)
    /// A job's type cannot be found by name in another process.
    public static let unresolvableType = Code(.unresolvableType)
    /// An argument or a result could not be encoded or decoded.
    public static let coding = Code(.coding)
    /// An argument or a result is larger than the pool's limit.
    public static let tooLarge = Code(.tooLarge)
    /// The executor belongs to the parent of this process: its threads do not exist in a forked child.
    public static let forked = Code(.forked)
    /// The call would wait for its own thread.
    public static let wouldDeadlock = Code(.wouldDeadlock)
    /// The last reference to a ``Promise`` went away before it was completed.
    public static let promiseDropped = Code(.promiseDropped)

    /// The worker process ended because its private memory reached ``WorkerLimits/memory`` or
    /// ``TaskOptions/memory``; ``WorkerPoolError/workerExit`` says how.
    public static let memoryLimitExceeded = Code(.memoryLimitExceeded)
    /// The task used more processor time than ``WorkerLimits/cpuTime`` or ``TaskOptions/cpuTime``;
    /// ``WorkerPoolError/workerExit`` says how its worker ended.
    public static let cpuTimeExceeded = Code(.cpuTimeExceeded)
    /// A task ran for longer than its ``TaskOptions/timeout``.
    public static let taskTimedOut = Code(.taskTimedOut)
    /// A running task was ended with its worker: by ``ProcessPoolExecutor/terminate(_:)``, or by a shutdown whose
    /// deadline and grace period had passed.
    public static let terminated = Code(.terminated)
    /// The task made a system call that the pool's ``ProcessPoolExecutor/Sandbox`` forbids, which ended its worker;
    /// ``WorkerPoolError/systemCall`` says which.
    public static let forbiddenCall = Code(.forbiddenCall)

    /// The task ended the thread that it ran on, by `pthread_exit` say, instead of returning.
    public static let threadEnded = Code(.threadEnded)

    init(_ name: StaticName) { self.name = name }

    enum StaticName: String, Sendable {
      case invalidArgument, shutDown, systemCall, timedOut, workerDied, brokenPool, unsupported
      case unresolvableType, coding, tooLarge, forked, wouldDeadlock, promiseDropped
      case memoryLimitExceeded, cpuTimeExceeded
      case taskTimedOut, terminated
      case forbiddenCall
      case threadEnded
    }
  }

  /// A system call that failed.
  public struct SystemCall: Hashable, Sendable {
    /// The call's name, such as `pthread_create`.
    public var name: String
    /// The value of `errno`.
    public var errno: Int32

    public init(name: String, errno: Int32) {
      self.name = name
      self.errno = errno
    }
  }
}

extension WorkerPoolError: CustomStringConvertible {
  public var description: String { message }
}

extension WorkerPoolError.Code: CustomStringConvertible {
  public var description: String { name.rawValue }
}
