// Eight tasks on five workers, some of which fail: callbacks report each, `asCompleted` gathers them.
import ArgumentParser
import Glibc
import WorkerPool

struct Unlucky: Error { var task: Int }

struct SplitMix64: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    let mixed = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
    let again = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return again ^ again >> 31
  }
}

@main struct Futures: ParsableCommand {
  @Option(help: "Repeats the run that gave this number.") var seed = UInt64.random(in: 0...9999)

  func run() throws {
    var random = SplitMix64(state: seed)
    try withThreadPoolExecutor(maxWorkers: 5) { pool in
      let futures = try (1...8).map { task in
        let milliseconds = UInt32.random(in: 100...500, using: &random)
        let fails = Double.random(in: 0..<1, using: &random) < 0.3
        return try pool.submit {
          usleep(milliseconds * 1000)
          if fails { throw Unlucky(task: task) }
          return "task \(task): \(milliseconds) ms"
        }
      }
      for future in futures { future.addDoneCallback { print($0.outcome!) } }
      let outcomes = asCompleted(futures).map { future in Result { try future.result() } }
      let successes = outcomes.count { (try? $0.get()) != nil }
      print("seed \(seed): \(successes) succeeded, \(outcomes.count - successes) failed")
    }
  }
}
