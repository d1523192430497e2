import Glibc
import Synchronization
import WorkerPool
import WorkerPoolFoundation

/// Writes to standard error, and then leaves without a result.
package struct Complain: Job, JSONWireCodable {
  var words: String
  package func run() -> NoValue {
    writeAll(words, to: STDERR_FILENO)
    _exit(7)
  }
}

/// Writes `count` numbered lines to a stream.
package struct Print: Job, JSONWireCodable {
  var descriptor: Int32
  var count: Int
  package func run() -> Int32 {
    for number in 0..<count { writeAll("line \(number)\n", to: descriptor) }
    return getpid()
  }
}

private func writeAll(_ text: String, to descriptor: Int32) {
  var text = text
  text.withUTF8 { bytes in
    var rest = UnsafeRawBufferPointer(bytes)
    while !rest.isEmpty, case let count = write(descriptor, rest.baseAddress, rest.count), count > 0 {
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
  }
}

/// Asks for memory in pieces of this size, without touching it, until there is none.
package struct Hoard: Job, BitwiseWireCodable {
  var piece: Int
  package func run() -> Int {
    var held: [UnsafeMutableRawPointer] = []
    while held.count < 1 << 20 { held.append(.allocate(byteCount: piece, alignment: 16)) }
    return held.count
  }
}

/// Touches so many bytes of shared memory, which is nobody's private memory.
package struct TouchShared: Job, BitwiseWireCodable {
  var byteCount: Int
  package func run() -> Int {
    guard let memory = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0),
      memory != MAP_FAILED
    else { return 0 }
    defer { munmap(memory, byteCount) }
    for offset in stride(from: 0, to: byteCount, by: 4096) {
      memory.storeBytes(of: 1, toByteOffset: offset, as: UInt8.self)
    }
    return byteCount
  }
}

package struct Burn: Job, BitwiseWireCodable {
  package func run() -> Int {
    var number = 1
    while getppid() != 0 { number = number &* 3 }
    return number
  }
}

/// Uses so much processor time.
package struct Spin: Job, BitwiseWireCodable {
  var milliseconds: Int
  package func run() -> Int {
    let end = used() + milliseconds * 1_000_000
    while used() < end { continue }
    return milliseconds
  }

  private func used() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return time.tv_sec * 1_000_000_000 + time.tv_nsec
  }
}

/// What a worker finds out about itself.
package struct Inspect: Job, BitwiseWireCodable {
  package func run() throws -> [Int] {
    var core = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &core)
    var opened: [Int32] = []
    while case let file = dup(0), file >= 0 { opened.append(file) }
    for file in opened { close(file) }
    return [
      Int(core.rlim_cur), Int(opened.last ?? -1), Int(getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0)),
      try oomScore(),
    ]
  }

  private func oomScore() throws -> Int {
    let file = open("/proc/self/oom_score_adj", O_RDONLY)
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 16)
    let count = read(file, &bytes, bytes.count)
    let text = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    return Int(text.split(separator: "\n").first ?? "") ?? -1
  }
}

// MARK: - Initializers

private let prepared = Mutex(0)

package struct Prepare: Job, BitwiseWireCodable {
  package var number: Int
  package func run() -> Int {
    prepared.withLock { $0 += number }
    return number
  }
}

package struct Prepared: Job, BitwiseWireCodable {
  package func run() -> Int { prepared.withLock { $0 } }
}

/// Throws once the file exists.
package struct Hesitate: Job, JSONWireCodable {
  var path: String
  package func run() throws -> NoValue {
    if access(path, F_OK) == 0 { throw CodeError(code: 42) }
    return NoValue()
  }
}
