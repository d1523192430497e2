import CStress
import Glibc

/// One thread of this process as the kernel sees it.
public struct ThreadStatus: Sendable {
  public var id: Int
  public var name: String
  /// `S` asleep, `R` running or ready, and so on.
  public var state: Character
  /// Voluntary and involuntary context switches since it started.
  public var switches: Int
  /// The voluntary ones: each time that it went to sleep.
  public var sleeps: Int
  public var blockedSignals: Set<Int32>

  /// Nil when the thread is gone.
  public init?(id: Int) {
    guard let name = contents(of: "/proc/self/task/\(id)/comm"),
      let status = contents(of: "/proc/self/task/\(id)/status")
    else { return nil }
    var fields: [Substring: Substring] = [:]
    for line in status.split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 1)
      if parts.count == 2 { fields[parts[0]] = parts[1].drop { $0 == " " || $0 == "\t" } }
    }
    guard let state = fields["State"]?.first, let mask = fields["SigBlk"].flatMap({ UInt64($0, radix: 16) }),
      let voluntary = fields["voluntary_ctxt_switches"].flatMap({ Int($0) }),
      let involuntary = fields["nonvoluntary_ctxt_switches"].flatMap({ Int($0) })
    else { return nil }
    self.id = id
    self.name = String(name.dropLast())  // the newline
    self.state = state
    switches = voluntary + involuntary
    sleeps = voluntary
    blockedSignals = Set((1...64).filter { mask & 1 << UInt64($0 - 1) != 0 })
  }
}

/// Threads of this process whose names begin with `prefix`: the tests of one process run beside each other, so a test
/// gives its pools names of their own.
public func threads(named prefix: String) -> [ThreadStatus] {
  entries(of: "/proc/self/task").compactMap { Int($0) }.compactMap { ThreadStatus(id: $0) }
    .filter { $0.name.hasPrefix(prefix) }
}

/// Number of open descriptors of this process.
public func openDescriptors() -> Int { entries(of: "/proc/self/fd").count }

/// What the open descriptors of this process lead to, as the kernel names it.
public func openDescriptorTargets() -> [String] {
  entries(of: "/proc/self/fd").compactMap { descriptor in
    var target = [UInt8](repeating: 0, count: 256)
    let length = readlink("/proc/self/fd/\(descriptor)", &target, target.count)
    return length > 0 ? String(decoding: target[..<length], as: UTF8.self) : nil
  }
}

/// Waits for something that the kernel does in its own time, such as taking an ended thread off /proc after it was
/// joined. False when it has not happened within 20 s.
public func eventually(_ condition: () -> Bool) -> Bool {
  let clock = ContinuousClock()
  let deadline = clock.now + .seconds(20)
  while !condition() {
    if clock.now > deadline { return false }
    sched_yield()
  }
  return true
}

/// Resident memory of this process that stands for no file, in bytes, after the allocator gave back what it can. Code
/// that is used for the first time does not count.
public func residentBytes() -> Int {
  cs_trim_memory()
  guard let status = contents(of: "/proc/self/status"),
    let line = status.split(separator: "\n").first(where: { $0.hasPrefix("RssAnon:") }),
    let kilobytes = line.split(whereSeparator: { !$0.isNumber }).first.flatMap({ Int($0) })
  else { fatalError("/proc/self/status tells no RssAnon") }
  return kilobytes << 10
}

/// Bytes of the heap that an object takes, without the allocator's own.
public func allocatedBytes(for object: AnyObject) -> Int {
  cs_block_size(Unmanaged.passUnretained(object).toOpaque())
}

/// Processes that `process` has started or adopted, and that nobody has waited for.
public func children(of process: Int32) -> [Int32] {
  entries(of: "/proc/\(process)/task").flatMap { thread in
    contents(of: "/proc/\(process)/task/\(thread)/children")?.split(separator: " ").compactMap { Int32($0) } ?? []
  }
}

/// Nil when the process is gone.
public func parent(of process: Int32) -> Int32? {
  // The name may hold anything but ends with the last parenthesis; state and parent follow.
  guard let line = contents(of: "/proc/\(process)/stat"), let end = line.lastIndex(of: ")") else { return nil }
  let fields = line[end...].split(separator: " ")
  return fields.count > 2 ? Int32(fields[2]) : nil
}

/// Makes descendants whose parents die children of this process, and not of the system's first.
public func adoptOrphans() { cs_adopt_orphans() }

/// Makes this process, if it is root's, that of a user who has no other: root may have any number of processes, and others as
/// many as a limit says for all that they have.
public func leaveRoot() {
  // A sanitizer reads files of ours in a program that is started anew.
  if geteuid() == 0 && !runsUnderSanitizer { _ = cs_become_user(100_000 + UInt32(getpid())) }
}

/// What a process may have only so many of.
public enum Countable { case processes, descriptors }

/// Limits another process, and returns what the limit was; nil where that cannot be set.
public func limit(_ process: Int32, _ countable: Countable, to limit: UInt64) -> UInt64? {
  var before: UInt64 = 0
  return cs_limit_process(process, countable == .descriptors, limit, &before) ? before : nil
}

/// Number of open descriptors of a process.
public func openDescriptors(of process: Int32) -> Int { entries(of: "/proc/\(process)/fd").count }

/// Number of mappings of anonymous files in this process.
public func sharedMappings() -> Int {
  contents(of: "/proc/self/maps")?.split(separator: "\n").count { $0.contains("/memfd:") } ?? 0
}

/// Number of mappings of `bytes` bytes in this process, with or without a page to guard them: the stacks of threads that were
/// given such a size, and of those that have ended and that nobody has joined.
public func mappings(of bytes: Int) -> Int {
  let sizes = [bytes, bytes - Int(sysconf(Int32(_SC_PAGESIZE)))]
  return contents(of: "/proc/self/maps")?.split(separator: "\n").count { line in
    let ends = line.prefix { $0 != " " }.split(separator: "-").compactMap { Int($0, radix: 16) }
    return ends.count == 2 && sizes.contains(ends[1] - ends[0])
  } ?? 0
}

/// CPUs that the calling thread may use, ascending.
public func allowedCPUs() -> [Int] {
  var cpus = [Int32](repeating: 0, count: 4096)
  let count = cs_allowed_cpus(&cpus, cpus.count)
  return cpus.prefix(count).map { Int($0) }
}

/// Whether a sanitizer has laid out the address space.
public var runsUnderSanitizer: Bool {
  dlsym(nil, "__tsan_init") != nil || dlsym(nil, "__asan_init") != nil
}

private func entries(of folder: String) -> [String] {
  guard let stream = opendir(folder) else { return [] }
  defer { closedir(stream) }
  var names: [String] = []
  while let entry = readdir(stream) {
    let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
      String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    if !name.hasPrefix(".") { names.append(name) }
  }
  return names
}

private func contents(of path: String) -> String? {
  guard let file = fopen(path, "r") else { return nil }
  defer { fclose(file) }
  var bytes: [UInt8] = []
  var piece = [UInt8](repeating: 0, count: 8192)
  while case let length = fread(&piece, 1, piece.count, file), length > 0 { bytes += piece[..<length] }
  return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
}
