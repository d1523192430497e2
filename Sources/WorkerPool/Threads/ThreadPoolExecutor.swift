/// Runs work on a pool of threads.
///
/// For CPU-bound work, and for calls that block: a blocked worker does not block Swift's cooperative pool.
///
/// ```swift
/// let pool = try ThreadPoolExecutor(maxWorkers: 4)
/// let future = try pool.submit { countPrimes(below: 50_000) }
/// print(try future.result())
/// print(try pool.map([10, 20, 30]) { $0 * $0 })
/// pool.shutdown()
/// ```
///
/// Tasks submitted from outside begin in the order of their submission, and about in that order where they take less than
/// some 20 µs; tasks that a worker submits go to that worker's own queue, newest first, from which idle workers steal the
/// oldest (<doc:Threads>). An idle pool uses no CPU.
///
/// A task that runs cannot be ended, as a thread cannot: what may have to be belongs in a ``ProcessPoolExecutor``.
///
/// All members may be used from any thread, from tasks included. An executor that is released without a shutdown
/// takes no more work, runs what it has and then ends its threads. In a child that somebody else forked the pool's
/// threads do not exist: submitting there throws ``WorkerPoolError/Code/forked``.
public final class ThreadPoolExecutor: JobExecutor {
  @usableFromInline let engine: ThreadPool
  private let isShared: Bool

  /// The pool for everybody who needs no pool of their own, made on first use with the default settings: so that ten
  /// libraries in one program do not start ten pools. It is never shut down; asking it to has no effect. Its threads block
  /// the signals of the thread that uses it first (<doc:Threads>).
  public static let shared: ThreadPoolExecutor = {
    do {
      return try ThreadPoolExecutor(settings: .init(name: "shared", toleratesEnvironment: true), isShared: true)
    } catch {
      preconditionFailure("ThreadPoolExecutor.shared cannot start: \(error)")
    }
  }()

  /// Starts a pool.
  ///
  /// - Parameters:
  ///   - maxWorkers: Number of threads, 1 to 4094; nil for as many CPUs as the process is granted
  ///     (``CPUTopology/grant``); then it throws if `WORKER_POOL_CPUS` is no whole number of at least 1.
  ///   - maxSpares: How many further threads may run tasks in the place of workers that block, so that a task which waits for
  ///     another one does not hold up the pool; with `maxWorkers` at most 4094. nil for 256, or as many as there is room for.
  ///     They are started as they are needed, and end after some seconds without need. With 0 the pool never runs more tasks at
  ///     once than it has workers, also while some of these wait; a wait for a task of the pool that then no thread is
  ///     left to begin throws ``WorkerPoolError/Code/wouldDeadlock``, and one for anything else lasts until that comes.
  ///   - name: What the threads are called, with a dash and a number behind; cut to Linux's 15 bytes.
  ///   - stackSize: Bytes of stack for each thread, rounded up to pages; nil for the system's default (8 MiB as a rule).
  ///   - affinity: Which CPUs the threads may use.
  ///   - spinDuration: How long a worker without work looks for some before it sleeps; nil for the default of 20 µs,
  ///     zero for not at all. Only one worker spins at a time.
  ///   - blockedSignals: Signals that the pool's threads block, besides those that the calling thread blocks now. Their
  ///     handlers do not run there, and a program that a task starts begins with them blocked (<doc:Threads>). It throws
  ///     for `SIGKILL` and `SIGSTOP`, and for a signal that a thread raises by its own instructions, such as `SIGSEGV`.
  ///   - onWorkerStart: Called with the worker's index on each thread before its first task. With one of these, or with
  ///     more stack than callers have, no caller takes a worker's place (``join(_:_:)``).
  ///   - onWorkerStop: Likewise after its last.
  /// - Throws: ``WorkerPoolError`` with ``WorkerPoolError/Code/invalidArgument`` or
  ///   ``WorkerPoolError/Code/systemCall``; nothing is left behind then.
  /// - Complexity: O(workers); about 50 µs each.
  public convenience init(
    maxWorkers: Int? = nil, maxSpares: Int? = nil, name: String = "worker", stackSize: Int? = nil,
    affinity: Affinity = .none, spinDuration: Duration? = nil, blockedSignals: [Int32] = [],
    onWorkerStart: (@Sendable (Int) -> Void)? = nil,
    onWorkerStop: (@Sendable (Int) -> Void)? = nil
  ) throws {
    try self.init(
      settings: .init(
        maxWorkers: maxWorkers, maxSpares: maxSpares, name: name, stackSize: stackSize, affinity: affinity,
        spinDuration: spinDuration, blockedSignals: blockedSignals, onWorkerStart: onWorkerStart,
        onWorkerStop: onWorkerStop))
  }

  private init(settings: ThreadPool.Settings, isShared: Bool = false) throws {
    engine = try ThreadPool(settings)
    self.isShared = isShared
    engine.setTaskExecutor(asUnownedTaskExecutor())
  }

  /// Number of threads that are wanted; see ``resize(maxWorkers:)``.
  public var maxWorkers: Int { engine.workerCount }

  /// Index of the calling thread among this pool's workers, nil on any other thread. A thread that stands in for a blocked
  /// worker has an index from 4096 on; one that takes a sleeping worker's place, in ``join(_:_:)`` and its like, has that
  /// worker's. O(1).
  public var currentWorkerIndex: Int? { engine.currentWorker }

  /// Submits a task.
  ///
  /// - Returns: the future of what `body` returns or throws. Cancelling it before the task has begun takes the task back.
  /// - Throws: ``WorkerPoolError`` with ``WorkerPoolError/Code/shutDown`` or ``WorkerPoolError/Code/forked``; `body` was
  ///   not taken then.
  /// - Complexity: O(1), lock-free.
  @inlinable
  @discardableResult
  public func submit<Success>(_ body: @escaping @Sendable () throws -> Success) throws -> Future<Success> {
    let future = Future.make(home: engine.pool, body: body)
    try engine.submitTask { future.answer($0) }
    return future
  }

  /// Submits a job; as submitting the closure `{ try job.run() }`.
  @inlinable
  @discardableResult
  public func submit<J: Job>(_ job: J) throws -> Future<J.Output> {
    try submit { try job.run() }
  }

  /// Submits a task that nobody waits for: nothing is allocated beyond the closure itself.
  ///
  /// A shutdown that cancels pending work drops it silently; throwing is not allowed, as nobody could see it.
  ///
  /// - Throws: as `submit`.
  public func execute(_ body: @escaping @Sendable () -> Void) throws {
    try engine.submit(body)
  }

  /// Runs a task and suspends until it has ended: the bridge from async code to blocking or heavy work.
  ///
  /// Owns its work: cancelling the awaiting Swift task takes the work back if it has not begun; the call then throws
  /// `CancellationError`. Work that runs is not interrupted; the call then still ends at once, without its result.
  ///
  /// - Throws: what `body` threw; otherwise as `submit`.
  @inlinable
  public func run<Success: Sendable>(_ body: @escaping @Sendable () throws -> Success) async throws -> Success {
    try await submit(body).valueOfOwnTask
  }

  /// Ends the pool: it takes no more work, and its threads end when there is none left.
  ///
  /// - Parameters:
  ///   - wait: Whether to block until all threads have ended. A worker of the same pool never waits, as it would for
  ///     itself; in the place of a worker of another pool a spare runs meanwhile.
  ///   - cancelPending: Whether to cancel the tasks that have not begun; otherwise they still run.
  ///
  /// May be called more than once, and from several threads. On ``shared`` it has no effect.
  @available(*, noasync, message: "blocks a thread of the cooperative pool; use the async form")
  public func shutdown(wait: Bool = true, cancelPending: Bool = false) {
    guard beginShutdown(cancelPending: cancelPending), wait else { return }
    engine.join()
  }

  /// Ends the pool and suspends until all its threads have ended; the async form of
  /// ``shutdown(wait:cancelPending:)``. Cancelling the awaiting task does not end the wait: threads that still run are
  /// never left behind unnoticed.
  ///
  /// A Swift task that runs on this pool waits, too: it is suspended, so that its thread is free for the work that is left, and
  /// goes on on Swift's own threads.
  public func shutdown(cancelPending: Bool = false) async {
    guard beginShutdown(cancelPending: cancelPending) else { return }
    await withUnsafeContinuation { continuation in
      engine.runOnDetachedThread { [engine] in
        engine.join()
        continuation.resume()
      }
    }
  }

  private func beginShutdown(cancelPending: Bool) -> Bool {
    guard !isShared else { return false }
    engine.close()
    if cancelPending { engine.discardPending() }
    return true
  }
}
