import Glibc
import PrimeWorkload
import WorkerPool

/// Counts the primes in one piece of the plan and says who did it and when.
struct TimedCount: Job, BitwiseWireCodable {
  var piece: Int
  var lower: UInt32
  var upper: UInt32
  var kernel: PrimeKernel

  struct Output: BitwiseWireCodable, Sendable {
    var piece: Int
    var count: Int
    /// Nanoseconds on CLOCK_MONOTONIC, which all processes of a machine share.
    var end: UInt64
    /// Linux thread id; of a worker process, its process id.
    var worker: Int
  }

  func run() -> Output {
    let count = countPrimes(in: lower..<upper, kernel: kernel)
    return Output(piece: piece, count: count, end: monotonicNanoseconds(), worker: currentThreadID())
  }
}

extension TimedCount {
  init(_ piece: Int, of plan: Plan) {
    let range = plan.pieces[piece].range
    self.init(piece: piece, lower: range.lowerBound, upper: range.upperBound, kernel: plan.kernel)
  }
}

func monotonicNanoseconds() -> UInt64 {
  var now = timespec()
  clock_gettime(CLOCK_MONOTONIC, &now)
  return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
}

/// The Linux thread id, which `gettid` would give if the Glibc module had it; about 2 µs.
private func currentThreadID() -> Int {
  var link = [UInt8](repeating: 0, count: 64)
  let length = link.withUnsafeMutableBytes { buffer in
    readlink("/proc/thread-self", buffer.baseAddress!.assumingMemoryBound(to: CChar.self), buffer.count)
  }
  // "1234/task/1235"
  let path = String(decoding: link.prefix(max(length, 0)), as: UTF8.self)
  return path.split(separator: "/").last.flatMap { Int($0) } ?? 0
}
