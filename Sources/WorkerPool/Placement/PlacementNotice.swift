/// Something that the system did not let the package do, and that it goes on without: about placement above all.
///
/// In a container memory may not be placed, a CPU may be unplugged, a kernel may have no NUMA: work is done all the same,
/// where the system puts it. A process pool may get a worker later, or go on with fewer. The package says so once for each ``Kind`` in the life of the process, by default in a line
/// on standard error.
///
/// ```swift
/// PlacementNotice.handler = { notice in logger.warning("\(notice.message)") }
/// ```
public struct PlacementNotice: Sendable {
  /// What could not be done.
  public var kind: Kind
  /// One sentence that names what was asked for and why it was not had.
  public var message: String
  /// The `errno` of the system call that failed, nil where none did.
  public var errno: Int32?

  /// Is told of notices.
  public typealias Handler = @Sendable (PlacementNotice) -> Void

  /// Who is told of all notices to come, in this process: ``printToStandardError`` unless set; nil for nobody.
  ///
  /// It is called on whichever thread finds out, a pool's worker among them, so it returns soon and waits for no task. A
  /// handler that is replaced may be told a last notice meanwhile. Worker processes have their own: set it there in
  /// a ``WorkerInitializer``. Thread-safe. O(1).
  public static var handler: Handler? {
    get { NoticeHandler.current }
    set { NoticeHandler.current = newValue }
  }

  /// The default handler: writes one line, `swift-worker-pool: ` and the message.
  public static let printToStandardError: Handler = { NoticeHandler.print($0) }

  /// An open set of kinds: a later version may add some.
  public struct Kind: Hashable, Sendable {
    let name: StaticName

    /// The system refused to place memory on the nodes that were asked for: it lies where it is first touched.
    public static let memoryNotPlaced = Kind(.memoryNotPlaced)
    /// A CPU that a worker was to be pinned to is not there, or not allowed, any more: the worker floats.
    public static let cpuGone = Kind(.cpuGone)
    /// The system refused to pin a worker: it floats.
    public static let affinityNotSet = Kind(.affinityNotSet)
    /// Placement on nodes was asked for, and the kernel has no NUMA.
    public static let noNUMA = Kind(.noNUMA)
    /// `WORKER_POOL_CPUS` is no number, and ``ThreadPoolExecutor/shared``, which cannot throw, does not heed it.
    public static let environmentIgnored = Kind(.environmentIgnored)
    /// A worker process that is wanted, or the template process for it, did not start, or ended as soon as it was there. The
    /// message says whether that is tried again, or whether no time cures it.
    public static let workerNotStarted = Kind(.workerNotStarted)
    /// A forked template process was lost, and its pool goes on with re-executed workers
    /// (``ProcessPoolExecutor/Configuration/TemplateLoss/reexecute``).
    public static let templateReexecuted = Kind(.templateReexecuted)
    /// One that this version of the Swift layer has no name for.
    public static let other = Kind(.other)

    init(_ name: StaticName) { self.name = name }

    enum StaticName: String, Sendable {
      case memoryNotPlaced, cpuGone, affinityNotSet, noNUMA, environmentIgnored, workerNotStarted, templateReexecuted,
        other
    }
  }
}

extension PlacementNotice: CustomStringConvertible {
  public var description: String { message }
}

extension PlacementNotice.Kind: CustomStringConvertible {
  public var description: String { name.rawValue }
}
