import Glibc
import ThreadTestSupport

/// Stacks of pools' threads that are mapped though no pool is left: their threads were neither joined nor detached.
///
/// Their size tells them from others. The C library keeps the stacks of ended threads for later ones; it has to be told
/// not to (``keepNoStacks()``).
func leakedStacks() -> Int {
  // The last thread that ended alone is unmapped by the next one.
  RunningThread {}.join()
  guard let file = fopen("/proc/self/maps", "r") else { return 0 }
  defer { fclose(file) }
  var line = [CChar](repeating: 0, count: 512)
  var count = 0
  while fgets(&line, Int32(line.count), file) != nil {
    let text = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    let fields = text.split(separator: " ", maxSplits: 2)
    let bounds = fields[0].split(separator: "-").compactMap { Int($0, radix: 16) }
    guard bounds.count == 2, fields[1].hasPrefix("rw-p") else { continue }
    let size = bounds[1] - bounds[0]
    for whole in [PoolState.stackSize, PoolState.smallStackSize] where (whole - 1 << 14...whole).contains(size) {
      count += 1
    }
  }
  return count
}

/// Starts the program anew, with a C library that does not keep stacks, unless that has been done.
func keepNoStacks() {
  let setting = "glibc.pthread.stack_cache_size=0"
  guard !runsUnderSanitizer, getenv("GLIBC_TUNABLES") == nil else { return }
  setenv("GLIBC_TUNABLES", setting, 1)
  execv("/proc/self/exe", CommandLine.arguments.map { strdup($0) } + [nil])
}
