extension ProcessPoolExecutor {
  /// What the workers of a pool may do and use. The default asks for nothing.
  public struct Configuration: Sendable {
    /// What tasks may do and use that are submitted without options of their own.
    public var taskOptions = TaskOptions()

    /// What each worker may use.
    public var limits = WorkerLimits()

    /// Where standard output of the workers goes.
    public var standardOutput: WorkerOutput = .inherit

    /// Where standard error of the workers goes. By default users see it as ever, and errors carry the end of it: what
    /// `fatalError` said, for one. Workers then write to a pipe and not to a terminal, and what they and the program
    /// write at the same time may appear in either order.
    public var standardError: WorkerOutput = .capture(limit: 16 << 10, echo: true)

    /// A worker that has run so many tasks is replaced before the next; nil for never. A chunk of a `map` is one task.
    public var maxTasksPerWorker: Int?

    /// A worker whose resident memory in bytes is larger than this after a task is replaced; nil for never. What it
    /// shares with others counts. Against leaks: a task that is never to use so much needs ``WorkerLimits/memory``.
    public var maxWorkerMemory: Int?

    /// What each worker runs before it takes tasks.
    public var initializer: WorkerInitializer?

    /// How long the pool may be without a worker before it breaks, from the first start that fails then, until a worker has
    /// been of use: has begun a task, or lived for ten seconds. 30 seconds unless set.
    ///
    /// What does not start is tried again, after pauses that double from 10 milliseconds to 5 seconds, with jitter; tasks wait
    /// meanwhile, and other workers go on. A pool with a worker that lives does not break for those that cannot start. What
    /// no time would cure, as a call that is not permitted, breaks a pool without a worker at once. Must be positive.
    public var outageLimit: Duration = .seconds(30)

    /// What becomes of the pool when the template process of a forked pool is lost, as by a SIGKILL, and its workers with it.
    /// A pool that was started by re-executing the program gets another one in any case.
    public var onTemplateLoss: TemplateLoss = .breakPool

    /// Is told, once, that the pool has broken: a readiness probe would say no from now on, or the program end. The error
    /// is that of later submissions, and says why.
    ///
    /// It is called on a thread of the pool, before or after what waited is failed, and ``ProcessPoolExecutor/isBroken`` is
    /// true by then. It returns soon, and waits for no task of the pool. It is let go of with the pool.
    public var onBreak: (@Sendable (WorkerPoolError) -> Void)?

    /// What a forked pool does without its template process.
    public enum TemplateLoss: Hashable, Sendable {
      /// It breaks. A job may read what the program had in memory when the pool was made, and that is in no process any more
      /// but the program, which has threads now.
      case breakPool
      /// It goes on with workers that are started by re-executing the program, which have nothing of that: for pools whose
      /// jobs read nothing of it, no global that the program has set, no file that it has opened. A ``FunctionHandle`` is
      /// refused from then on with ``WorkerPoolError/Code/unsupported``, and fails with that if it was submitted before;
      /// an initializer that is a function is refused when the pool is made.
      case reexecute
    }

    /// What the kernel lets tasks do, not the initializer, nor the constructors of what that loads; nil for whatever the
    /// program may do. Needs the package trait `Sandbox`.
    public var sandbox: Sandbox?

    public init() {}
  }
}
