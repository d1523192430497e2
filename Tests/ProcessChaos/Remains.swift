import Glibc
import ThreadTestSupport

/// What a pool could leave behind in the program that had it.
struct Remains {
  private let descriptors = ownDescriptors()
  private let mappings = sharedMappings()

  /// Ends what has become a child of this process and is dead, and expects that there is no other child.
  func expectNothingElse() throws {
    var reaped: pid_t
    repeat { reaped = waitpid(-1, nil, WNOHANG) } while reaped > 0
    try expect(reaped < 0 && errno == ECHILD, "a process is left: \(children(of: getpid()))")
    try expect(eventually { threads(named: "chaos").isEmpty }, "threads are left: \(threads(named: "chaos"))")
    try expect(ownDescriptors() == descriptors, "\(ownDescriptors()) descriptors are open, not \(descriptors)")
    try expect(sharedMappings() == mappings, "\(sharedMappings()) shared memories are mapped, not \(mappings)")
  }
}

/// Number of open descriptors but those that Dispatch opens for Swift tasks when it likes; a pool has none of these kinds.
func ownDescriptors() -> Int {
  let ofDispatch = ["anon_inode:[eventpoll]", "anon_inode:[eventfd]", "anon_inode:[timerfd]"]
  return openDescriptorTargets().count { !ofDispatch.contains($0) }
}
