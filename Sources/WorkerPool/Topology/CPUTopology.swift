/// The CPUs and NUMA nodes of this machine, and how many CPUs this process may really use.
///
/// ```swift
/// let topology = try CPUTopology.current()
/// print(topology.grant, "CPUs on", topology.nodes.count(where: { !$0.cpus.isEmpty }), "nodes")
/// print(topology)
/// ```
///
/// A value is a snapshot. CPUs go offline, affinity masks and quotas change: ``current()`` reads anew each time it is
/// called, and two values that are equal say that nothing has changed between them.
///
/// CPUs and nodes go by the numbers that the system has given them, which may have gaps; cores and caches, which it
/// numbers by socket or not at all, are counted from 0.
public struct CPUTopology: Sendable, Hashable {
  /// The nodes that are online, ascending by ``Node/id``, those without CPUs and those without memory included; at least
  /// one. A machine whose nodes cannot be read, or that has no NUMA, is one node with the id 0.
  public let nodes: [Node]
  /// The CPUs that are online and that the process may use, ascending by ``CPU/id``; at least one.
  public let cpus: [CPU]
  /// How many CPUs are online, whether this process may use them or not.
  public let onlineCPUCount: Int
  /// How many CPUs' worth of time the cgroups of this process allow, rounded up: the tightest quota of v1 and v2 over all
  /// ancestors that can be seen. Nil for no quota.
  public let quota: Int?
  /// The number in the environment variable `WORKER_POOL_CPUS`, by which the user bounds what this process uses. Nil when
  /// it is not set.
  public let environmentLimit: Int?
  /// How many CPUs this process may really use, at least 1: the least of ``cpus``, ``quota`` and ``environmentLimit``.
  ///
  /// It is how many workers a pool has by default. Cpusets are accounted for in ``cpus``, since the kernel keeps every
  /// affinity mask within them.
  public let grant: Int
  /// Lines of text for people to read, as `primes --topology` prints them: the grant and what it is made of, nodes with
  /// their cores, and distances. The wording may change between versions.
  public let description: String

  /// A NUMA node: memory, and the CPUs that are near to it.
  public struct Node: Sendable, Hashable, Identifiable {
    /// The system's number of the node, as ``Affinity/node(_:)`` takes it.
    public let id: Int
    /// System numbers of the CPUs on the node that are in ``CPUTopology/cpus``, ascending. Empty for a node that is memory
    /// alone, and for one that the process may not run on.
    public let cpus: [Int]
    /// How many CPUs on the node are online, whether this process may use them or not.
    public let onlineCPUCount: Int
    /// Total memory of the node in bytes; 0 for a node without memory, and when it is not known.
    public let memory: Int
    /// Whether the process may take memory from the node: a cpuset can keep it from some. True when it is not known.
    public let isMemoryAllowed: Bool
    /// How far it is from this node to each of ``CPUTopology/nodes``, in their order, as the firmware tells it: 10 is the
    /// node itself, and 20 takes twice as long. What is not known counts as 10 to itself and 20 to others.
    public let distances: [Int]
  }

  /// A CPU of the kernel's: a hardware thread of a core.
  public struct CPU: Sendable, Hashable, Identifiable {
    /// The system's number of the CPU, as ``Affinity/cpus(_:)`` takes it.
    public let id: Int
    /// The ``Node/id`` of the node that the CPU is on.
    public let node: Int
    /// Number of the physical core; CPUs of one core, which share what computes, have the same.
    public let core: Int
    /// The system's number of the socket (the physical package); nil when it is not known.
    public let socket: Int?
    /// Number of the last-level cache, the data or unified cache of the highest level; CPUs that share one have the same.
    /// Where caches are not known, each core counts as having one of its own.
    public let lastLevelCache: Int
    /// Number of the hardware thread within its core, among those in ``CPUTopology/cpus``: 0 for the first.
    public let thread: Int
    /// Which kind of core the CPU belongs to.
    public let kind: Kind
    /// Speed relative to the fastest CPU of the machine, which has 1024, as the kernel's scheduler sees it; nil when it is
    /// not known, as on x86.
    public let capacity: Int?

    /// Whether a CPU with a lower number shares this one's core: an SMT sibling, which pools use last.
    public var isSibling: Bool { thread > 0 }
  }

  /// Kinds of cores.
  public enum Kind: Sendable, Hashable {
    /// All cores are alike, or the kernel does not tell them apart.
    case uniform
    /// One of the fastest kind.
    case performance
    /// One of a slower kind, made to use less energy.
    case efficiency
  }

  /// Reads the topology as it is now, with the affinity mask of the calling thread.
  ///
  /// What is malformed or missing below `/sys` and `/proc` falls back, as the properties say, and never throws. The call
  /// takes 1 ms or so on a small machine, a few on one of hundreds of CPUs, and reads files, so that a thread of Swift's
  /// cooperative pool is blocked for that long. O(CPUs·log CPUs + nodes²). May be called from any thread; cancellation
  /// has no effect.
  ///
  /// - Throws: ``WorkerPoolError`` with the code ``WorkerPoolError/Code/invalidArgument`` when `WORKER_POOL_CPUS` is set
  ///   to anything but a whole number of at least 1, or ``WorkerPoolError/Code/systemCall`` when memory or the affinity
  ///   mask cannot be had.
  public static func current() throws -> CPUTopology {
    try CPUTopology(source: Source())
  }

  /// Where to read; nil means this machine's own.
  package struct Source {
    package var sysRoot: String?
    package var procRoot: String?
    /// A list of CPUs in place of the calling thread's mask.
    package var affinity: String?
    /// In place of the value of `WORKER_POOL_CPUS`.
    package var environmentCPUs: String?

    package init(
      sysRoot: String? = nil, procRoot: String? = nil, affinity: String? = nil, environmentCPUs: String? = nil
    ) {
      self.sysRoot = sysRoot
      self.procRoot = procRoot
      self.affinity = affinity
      self.environmentCPUs = environmentCPUs
    }
  }
}

extension CPUTopology: CustomStringConvertible {}

extension CPUTopology.Kind: CustomStringConvertible {
  public var description: String {
    switch self {
    case .uniform: "uniform"
    case .performance: "performance"
    case .efficiency: "efficiency"
    }
  }
}
