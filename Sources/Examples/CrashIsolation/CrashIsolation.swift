// Three jobs on worker processes: two of them crash, and the program goes on with what the third returns.
import WorkerPool

/// A bug that is found at run time: the process that meets it ends.
struct Trap: Job, BitwiseWireCodable {
  func run() -> Int { fatalError("a state that cannot be") }
}

/// A read behind the end of an array, which Swift checks.
struct RunOff: Job, BitwiseWireCodable {
  var index: Int
  func run() -> Int { [1, 2, 3][index] }
}

struct Square: Job, BitwiseWireCodable {
  var number: Int
  func run() -> Int { number * number }
}

@main struct CrashIsolation {
  static func main() throws {
    try withProcessPoolExecutor(maxWorkers: 2) { pool in
      let trapped = try pool.submit(Trap())
      let ranOff = try pool.submit(RunOff(index: 7))
      let squares = try pool.map((1...1000).map { Square(number: $0) })
      print("neighbours: \(squares.count) squares, their sum is \(squares.reduce(0, +))")
      for (name, future) in [("Trap", trapped), ("RunOff", ranOff)] {
        do {
          print("\(name): \(try future.result())")
        } catch let error as WorkerPoolError where error.code == .workerDied {
          print("\(name): \(error)")
        }
      }
    }
  }
}
