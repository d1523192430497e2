/// On which NUMA nodes the pages of a ``SharedArray`` or a ``PlacedBuffer`` are to lie.
///
/// Nodes are given by their system numbers, which may have gaps. One that does not exist, has no memory, or that this
/// process may take no memory from (a cpuset), is refused by name. Where the system does not let memory be placed at all,
/// as many containers do not, or the kernel has no NUMA, memory lies where it is first written, and a ``PlacementNotice``
/// says so once.
public enum MemoryPlacement: Hashable, Sendable {
  /// Each page on the node of the thread that first writes to it: what the system does on its own. The default, and right
  /// where those who write first are those who go on to use it, as with `map` over the same elements again and again.
  /// A page is what the system makes it: where huge pages come unasked, 2 MiB go to one node.
  case firstTouch
  /// On these nodes and no others. When they are full, the kernel ends processes rather than go elsewhere.
  case nodes([Int])
  /// Page by page on these nodes in turn, or on all that there are: for what all workers read alike, where it is the
  /// memory's bandwidth that counts.
  case interleaved(over: [Int]? = nil)
}
