// Where threads run.
import CLinux
import Foundation

/// The numbers of the CPUs that this process may use.
func grantedCPUs() throws -> [Int] {
  var granted = cpu_set_t()
  guard sched_getaffinity(0, MemoryLayout.size(ofValue: granted), &granted) == 0 else {
    throw failure(of: "sched_getaffinity")
  }
  return withUnsafeBytes(of: &granted) { bytes in
    (0..<bytes.count * 8).filter { bytes[$0 / 8] & 1 << UInt8($0 % 8) != 0 }
  }
}

/// Keeps all threads that this process has so far on one CPU.
func stay(onCPU cpu: Int) throws {
  var place = cpu_set_t()
  withUnsafeMutableBytes(of: &place) { bytes in bytes[cpu / 8] = 1 << UInt8(cpu % 8) }
  for thread in try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").compactMap({ pid_t($0) }) {
    guard sched_setaffinity(thread, MemoryLayout.size(ofValue: place), &place) == 0 else {
      throw failure(of: "sched_setaffinity")
    }
  }
}

/// Of a system call, with what `errno` says.
func failure(of call: String) -> WrongResult {
  WrongResult(description: "\(call) failed: \(String(cString: strerror(errno)))")
}
