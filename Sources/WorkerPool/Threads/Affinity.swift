/// Where an executor's workers may run.
public enum Affinity: Hashable, Sendable {
  /// Anywhere: the kernel places workers on any CPU the process may use. The default, and right for most programs.
  case none
  /// One CPU for each worker, one NUMA node filled before the next, physical cores before their SMT siblings: for
  /// workers that share data.
  case compact
  /// One CPU for each worker, dealt to the nodes in turn, physical cores before their SMT siblings: for workers that
  /// need memory bandwidth.
  case spread
  /// One CPU of this NUMA node, by its system number, for each worker, physical cores before their SMT siblings.
  case node(Int)
  /// These CPUs, by system number, given to workers in turn.
  case cpus([Int])
}
