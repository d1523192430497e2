/// What each worker of a ``ProcessPoolExecutor`` may use.
///
/// A limit that the system does not grant fails the creation of the pool, with an error that names it.
public struct WorkerLimits: Hashable, Sendable {
  /// Memory of a worker in bytes, nil for as much as the program may have. What counts as private and writable is bounded
  /// in any case, with what a forked worker inherited and without the pages in which arguments and results travel. Where
  /// there are cgroups for it (``memoryCgroup``), so is everything that the worker is the first to touch.
  ///
  /// Past it allocations fail (RLIMIT_DATA), which in Swift is a trap. The task then fails with
  /// ``WorkerPoolError/Code/memoryLimitExceeded``, if the pool can tell: the worker has to have died of a fault (a trap,
  /// an abort, a bad pointer) within 1/16 of the limit, or right after an allocation had failed. A task that exits when
  /// it gets no memory fails with ``WorkerPoolError/Code/workerDied``; one that goes on without is not noticed.
  ///
  /// Past the limit of its cgroup the kernel kills the worker, and the task fails with
  /// ``WorkerPoolError/Code/memoryLimitExceeded`` whatever it was doing.
  ///
  /// Sanitizers reserve more than any limit, so that a program built with one cannot have this.
  public var memory: Int?

  /// Whether each worker gets a memory cgroup.
  public enum MemoryCgroup: Hashable, Sendable {
    /// Where the program may make one: as a user other than root where that user may write, and as root where the
    /// attribute `user.delegate` or `trusted.delegate` of the cgroup says that it was handed over (systemd's
    /// `Delegate=yes`). Elsewhere without; ``ProcessPoolExecutor/memoryLimitKind`` tells.
    case automatic
    /// Without.
    case never
    /// Where the program is able to make one, as root everywhere. Elsewhere creating the pool throws `.unsupported`, or
    /// `.systemCall`, with the reason.
    case required
  }

  /// Whether ``memory`` is kept up by cgroups as well. They count shared memory, files and what the kernel keeps for the
  /// worker, too; `.required` needs ``memory``.
  public var memoryCgroup = MemoryCgroup.automatic

  /// Processor time that one task may use, nil for no limit. Past it the task fails with
  /// ``WorkerPoolError/Code/cpuTimeExceeded``, and its worker is replaced. All threads of the worker count, and the
  /// system measures in steps of some milliseconds. Positive.
  public var cpuTime: Duration?

  /// Open files of a worker, at least 16; nil for as many as the program may have. Those that the program had open when it
  /// made the pool count, since their numbers are held, and so do about six of the worker's own.
  public var openFiles: Int?

  /// Largest core file in bytes, nil for as large as the program's may be. The default is none.
  public var coreSize: Int? = 0

  /// Added to the program's nice value, from -40 to 40; the sum stays between -20 and 19. To go below the program's own
  /// takes a privilege.
  public var niceness = 0

  public init(
    memory: Int? = nil, memoryCgroup: MemoryCgroup = .automatic, cpuTime: Duration? = nil, openFiles: Int? = nil,
    coreSize: Int? = 0, niceness: Int = 0
  ) {
    self.memory = memory
    self.memoryCgroup = memoryCgroup
    self.cpuTime = cpuTime
    self.openFiles = openFiles
    self.coreSize = coreSize
    self.niceness = niceness
  }
}
