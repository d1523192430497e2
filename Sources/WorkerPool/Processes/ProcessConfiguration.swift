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

    /// What the kernel lets tasks do, not the initializer, nor the constructors of what that loads; nil for whatever the
    /// program may do. Needs the package trait `Sandbox`.
    public var sandbox: Sandbox?

    public init() {}
  }
}
