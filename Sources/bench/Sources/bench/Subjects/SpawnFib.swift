/// fib(k) where every node forks a child, with no cut-off: the cost of a fork and its join, and nothing else.
struct Fibonacci {
  let k: Int
  let value: Int
  let forks: Int

  /// The largest one that forks at most n times; fib(2), which forks once, at least.
  init(forksAtMost n: Int) {
    var (k, value, next) = (2, 1, 2)
    // fib(k) forks fib(k+1)-1 times.
    while value + next - 1 <= n { (k, value, next) = (k + 1, next, value + next) }
    (self.k, self.value, forks) = (k, value, next - 1)
  }
}

func spawnFib(_ n: Int, _ fib: @escaping (Int) throws -> Int) -> Workload {
  let fibonacci = Fibonacci(forksAtMost: n)
  return Workload(scale: Double(n) / Double(fibonacci.forks)) {
    let found = try fib(fibonacci.k)
    return {
      try check(found, is: fibonacci.value)
      return [:]
    }
  }
}
