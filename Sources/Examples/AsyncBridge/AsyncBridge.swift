// A blocking computation, awaited from async code: the threads that wait are the pool's, not Swift's.
import Glibc
import WorkerPool

func slowSquare(_ number: Int) -> Int {
  usleep(200_000)
  return number * number
}

@main struct AsyncBridge {
  static func main() async throws {
    try await withThreadPoolExecutor(maxWorkers: 4) { pool in
      let start = ContinuousClock.now
      async let first = pool.run { slowSquare(10) }
      async let second = pool.run { slowSquare(20) }
      async let third = pool.run { slowSquare(30) }
      async let fourth = pool.run { slowSquare(40) }
      print(try await [first, second, third, fourth])
      print("took \(ContinuousClock.now - start)")
    }
  }
}
