import CWorkerPool
import Glibc

/// The /sys and /proc of another machine, for a pool whose workers float: it then has that machine's nodes. Lives as long as
/// the process, since a pool reads it anew when it is resized.
final class MachineFiles: Sendable {
  // SAFETY: written in `init` alone.
  nonisolated(unsafe) let source: UnsafeMutablePointer<wp_topology_source>

  /// Two CPUs on each of four nodes in a ring: distances 10, 16, 22, 16.
  static let fourNodes = MachineFiles("four-nodes")
  /// Nodes 0 and 1 with two CPUs each, and far memory without CPUs: node 2.
  static let withFarMemory = MachineFiles("cxl")

  private init(_ fixture: String) {
    let root =
      #filePath.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/TopologyTests/Fixtures/" + fixture
    source = .allocate(capacity: 1)
    source.initialize(to: wp_topology_source())
    source.pointee.sys_root = UnsafePointer(strdup(root + "/sys"))
    source.pointee.proc_root = UnsafePointer(strdup(root + "/proc"))
    source.pointee.affinity = UnsafePointer(strdup("0-63"))
  }
}
