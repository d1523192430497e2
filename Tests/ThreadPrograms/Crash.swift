import Glibc
import ThreadTestSupport

/// The seed that runs, for a signal handler.
private let seedThatRuns = Mark()

func noteSeed(_ seed: UInt64) { seedThatRuns.value = Int(truncatingIfNeeded: seed) }

/// Has a crash say which seed ran, and no more, unless SWIFT_BACKTRACE asks for Swift's own report.
func nameSeedOfCrash() {
  guard getenv("SWIFT_BACKTRACE") == nil else { return }
  noteSeed(0)  // made before any handler reads it
  for number in [SIGSEGV, SIGBUS, SIGILL, SIGABRT, SIGTRAP, SIGFPE] {
    signal(number) { number in
      writeSeed()
      signal(number, SIG_DFL)
      raise(number)
    }
  }
}

/// Calls nothing that a signal handler must not.
private func writeSeed() {
  withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 32) { bytes in
    var place = bytes.count
    func put(_ byte: UInt8) {
      place -= 1
      bytes[place] = byte
    }
    put(UInt8(ascii: "\n"))
    var seed = UInt64(bitPattern: Int64(seedThatRuns.value))
    repeat {
      put(UInt8(ascii: "0") + UInt8(seed % 10))
      seed /= 10
    } while seed > 0
    let words: StaticString = "crashes with seed "
    write(STDOUT_FILENO, words.utf8Start, words.utf8CodeUnitCount)
    write(STDOUT_FILENO, bytes.baseAddress! + place, bytes.count - place)
  }
}
