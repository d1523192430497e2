/// A pool of worker processes.
///
/// For work that may trap, leak, run away or must not see the rest of the program: whatever a worker does to itself
/// costs the one task it was running, whose future then fails with ``WorkerPoolError/Code/workerDied`` and the signal
/// or exit status. The pool replaces the worker and goes on.
///
/// ```swift
/// struct CountPrimes: Job, BitwiseWireCodable {
///   var limit: UInt32
///   func run() -> Int { countPrimes(below: limit) }
/// }
///
/// let pool = try ProcessPoolExecutor(maxWorkers: 4)
/// let future = try pool.submit(CountPrimes(limit: 50_000))
/// print(try future.result())
/// ```
///
/// Two kinds of work can be submitted: ``Job`` values, always, and functions, by a ``FunctionHandle`` made before the
/// pool, when the pool is forked (see ``StartMethod``).
///
/// Errors that a task throws come out of its future as they went in if their type is ``WireCodable``, or `Codable` with
/// `WorkerPoolFoundation` imported, and not generic (or registered: ``RemoteError/register(_:)``), else as ``RemoteError``.
///
/// All members may be used from any thread. A pool that is let go of without a shutdown takes no more work, ends what
/// it had accepted, and then ends its processes.
public final class ProcessPoolExecutor: JobExecutor {
  /// How the workers' ancestor, a process with a single thread, comes into being.
  public enum StartMethod: Hashable, Sendable {
    /// ``fork`` while the program has one thread, else ``reexec``.
    case automatic
    /// Forked from the program: workers have its memory as it was, and function handles work. Only while the
    /// program has a single thread and has used neither `Task` nor Dispatch: first thing in `main`.
    case fork
    /// The program started anew, as it was when the pool was made, and stopped where `main` would begin: workers share nothing
    /// with it, and take jobs only. Constructors run, `main.swift` does not: its global variables are zeros. Takes some tens of
    /// milliseconds, whatever the program is doing.
    case reexec
  }

  @usableFromInline let pool: ProcessPool

  /// How many tasks can run at once: as the pool was made, or resized to last.
  public var maxWorkers: Int { pool.workerCount }

  /// Starts the workers, and returns when all of them are ready.
  ///
  /// - Parameters:
  ///   - maxWorkers: From 1 to 1024; nil for as many as CPUs that the process is granted.
  ///   - name: What `ps` shows the workers as, with their number behind it.
  ///   - startMethod: See ``StartMethod``.
  ///   - maxPayload: Largest input and largest result of a task in bytes, nil for 1 GiB. It costs address space, up to
  ///     72 times as much for each worker and at least 3 times, as far as there is any; memory is used as far as inputs and
  ///     results reach.
  ///   - affinity: Which CPUs the workers may use. On a machine with several nodes, memory through which a placed worker
  ///     exchanges inputs and results is preferred on its node. A worker whose CPU goes away later runs on any that is left,
  ///     which a ``PlacementNotice`` says once.
  ///   - spinDuration: How long a worker without a task looks for one before it sleeps; nil for the engine's default,
  ///     zero for not at all.
  ///   - prefetch: How many tasks a worker may hold, from 1 (nothing waits behind a running task) to 16; nil for 2,
  ///     which hides the time that a task takes to reach its worker, and for more while tasks take microseconds only.
  ///   - configuration: What workers may do and use.
  /// - Throws: ``WorkerPoolError``: `.invalidArgument`, `.unsupported` when the start method cannot be had,
  ///   `.systemCall` with the call that failed, `.brokenPool` when workers die at start. Nothing is left behind then. The
  ///   environment is read, so that no other thread may change it meanwhile.
  public init(
    maxWorkers: Int? = nil, name: String = "worker", startMethod: StartMethod = .automatic, maxPayload: Int? = nil,
    affinity: Affinity = .none, spinDuration: Duration? = nil, prefetch: Int? = nil,
    configuration: Configuration = Configuration()
  ) throws {
    pool = try ProcessPool(
      ProcessPool.Settings(
        maxWorkers: maxWorkers, name: name, startMethod: startMethod, maxPayload: maxPayload,
        affinity: affinity, spinDuration: spinDuration, prefetch: prefetch, configuration: configuration))
  }

  deinit { pool.close() }

  /// Whether the pool has broken: it has no worker and tries to get none any more, and submitting throws
  /// ``WorkerPoolError`` with `.brokenPool`. Never false again. For readiness probes; see also
  /// ``Configuration/onBreak``. False in a child of the program. O(1).
  public var isBroken: Bool { pool.isBroken }

  /// The method that was picked: ``StartMethod/fork`` or ``StartMethod/reexec``; the latter also once the pool has gone over
  /// to it (``Configuration/TemplateLoss/reexecute``).
  public var startMethod: StartMethod { pool.wasForked ? .fork : .reexec }

  /// What keeps up a limit of memory.
  public enum MemoryLimitKind: Hashable, Sendable {
    /// The kernel's limit on private memory (RLIMIT_DATA) alone.
    case privateMemory
    /// That, and a cgroup for each worker, which counts everything.
    case cgroup
  }

  /// What keeps up ``WorkerLimits/memory`` in this pool; nil without that limit. ``MemoryLimitKind/privateMemory`` also
  /// when one of the workers that live now could not join its cgroup. O(workers).
  public var memoryLimitKind: MemoryLimitKind? { pool.memoryLimitKind }

  /// Process ids of the workers that live now. A worker that dies is replaced, under another id.
  public var workerProcessIdentifiers: [Int32] { pool.workerProcessIdentifiers }

  // MARK: - One task

  /// Accepts a job and returns at once. As ``submit(_:options:)``, with the pool's options.
  @inlinable
  public func submit<J: Job>(_ job: J) throws -> Future<J.Output> {
    try pool.submit(job, nil)
  }

  /// Accepts a job and returns at once.
  ///
  /// Cancelling the future takes the job back if no worker has begun it. A job that runs is asked to stop, which it
  /// sees through ``TaskContext``; `cancel()` then returns false. ``terminate(_:)`` ends it.
  ///
  /// - Parameters:
  ///   - job: What to run.
  ///   - options: What it may do and use; nil for what the pool's configuration says.
  /// - Throws: What encoding the job throws, and ``WorkerPoolError``: `.unresolvableType` for a type that a worker cannot
  ///   find by name, `.invalidArgument` for options that break a rule, `.tooLarge`, `.shutDown`, `.brokenPool`,
  ///   `.forked` in a child of the program.
  /// - Complexity: O(bytes of the job).
  @inlinable
  public func submit<J: Job>(_ job: J, options: TaskOptions?) throws -> Future<J.Output> {
    try pool.submit(job, options)
  }

  /// Accepts a call of `function` with `input` and returns at once. As ``submit(_:options:)``.
  ///
  /// - Throws: Also ``WorkerPoolError`` with `.unsupported` for a handle that the workers do not have.
  public func submit<Input, Output>(
    _ function: FunctionHandle<Input, Output>, _ input: Input, options: TaskOptions? = nil
  ) throws -> Future<Output> {
    try pool.submit(function, input, options)
  }

  /// Runs a job and returns its output.
  ///
  /// Cancelling the calling task takes the job back if it has not begun, asks it to stop if it has, and ends the wait
  /// with `CancellationError` in any case.
  public nonisolated(nonsending) func run<J: Job>(_ job: J, options: TaskOptions? = nil) async throws -> J.Output {
    try await submit(job, options: options).valueOfOwnTask
  }

  /// Calls a function in a worker and returns its output. Cancellation as in ``run(_:options:)``.
  public nonisolated(nonsending) func run<Input, Output>(
    _ function: FunctionHandle<Input, Output>, _ input: Input, options: TaskOptions? = nil
  ) async throws -> Output {
    try await submit(function, input, options: options).valueOfOwnTask
  }

  // MARK: - Ends

  /// Takes no more work; submitting throws ``WorkerPoolError`` with `.shutDown` from now on. May be called more than
  /// once, and from several threads.
  ///
  /// - Parameters:
  ///   - wait: Whether to block until all accepted work has ended and all processes are gone. Ignored in a callback of
  ///     one of this pool's futures, which runs on the thread that this would wait for.
  ///   - cancelPending: Whether to cancel tasks that no worker has begun.
  @available(*, noasync, message: "blocks a thread of the cooperative pool; use the async form")
  public func shutdown(wait: Bool = true, cancelPending: Bool = false) {
    pool.close()
    if cancelPending { pool.cancelPending() }
    if wait { pool.join() }
  }

  /// The async form of ``shutdown(wait:cancelPending:)``: suspends until all accepted work has ended and all processes
  /// are gone. Cancelling the awaiting task does not end the wait: no process is left behind unnoticed.
  public func shutdown(cancelPending: Bool = false) async {
    pool.close()
    if cancelPending { pool.cancelPending() }
    await withUnsafeContinuation { continuation in
      pool.runOnDetachedThread { [pool] in
        pool.join()
        continuation.resume()
      }
    }
  }
}
