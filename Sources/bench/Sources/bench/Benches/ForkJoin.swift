import BenchedPrimes
import Dispatch
import Foundation
import WorkerPool

/// Every node forks fib(n-1), computes fib(n-2) and joins; no cut-off.
let spawnFib = Bench(name: "spawn-fib") {
  let (number, value, forks) = (23, 28_657, 46_367)
  let pool = try ThreadPoolExecutor(maxWorkers: workers)
  @Sendable func ours(_ n: Int) throws -> Int {
    guard n > 1 else { return n }
    let (a, b) = try pool.join({ try ours(n - 1) }, { try ours(n - 2) })
    return a + b
  }
  @Sendable func tasks(_ n: Int) async -> Int {
    guard n > 1 else { return n }
    async let a = tasks(n - 1)
    let b = await tasks(n - 2)
    return await a + b
  }
  return [
    Subject(name: "swift-concurrency", workers: workers, operations: forks) {
      try check(try blocking { await tasks(number) }, is: value)
    },
    Subject(name: "ours", workers: workers, operations: forks) { try check(try ours(number), is: value) },
  ]
}

/// Ten million trivial elements.
let mapUniform = Bench(name: "map-uniform") {
  let count = 10_000_000
  let pool = try ThreadPoolExecutor(maxWorkers: workers)
  let input = Array(0..<count)
  return [
    Subject(name: "dispatch", workers: workers, operations: count) {
      let output = [Int](unsafeUninitializedCapacity: count) { buffer, initialized in
        nonisolated(unsafe) let base = buffer.baseAddress!
        let chunk = count / 64
        DispatchQueue.concurrentPerform(iterations: 64) { part in
          for index in part * chunk..<(part + 1) * chunk { base[index] = input[index] &* 3 }
        }
        initialized = count
      }
      try check(output[count - 1], is: (count - 1) * 3)
    },
    Subject(name: "ours", workers: workers, operations: count) {
      let output = try pool.map(input) { $0 &* 3 }
      try check(output[count - 1], is: (count - 1) * 3)
    },
  ]
}

/// 200 prime counts of very different size.
let mapIrregular = Bench(name: "map-irregular") {
  let limits = (1...200).map { UInt32(500 * $0) }
  let expected = limits.map { countPrimes(below: $0) }.reduce(0, +)
  let pool = try ThreadPoolExecutor(maxWorkers: workers)
  return [
    Subject(name: "dispatch", workers: workers, operations: limits.count) {
      let counts = [Int](unsafeUninitializedCapacity: limits.count) { buffer, initialized in
        nonisolated(unsafe) let base = buffer.baseAddress!
        DispatchQueue.concurrentPerform(iterations: limits.count) { base[$0] = countPrimes(below: limits[$0]) }
        initialized = limits.count
      }
      try check(counts.reduce(0, +), is: expected)
    },
    Subject(name: "ours", workers: workers, operations: limits.count) {
      try check(try pool.map(limits) { countPrimes(below: $0) }.reduce(0, +), is: expected)
    },
    Subject(name: "swift-concurrency", workers: workers, operations: limits.count) {
      let found = try blocking {
        await withTaskGroup(of: Int.self) { group in
          for limit in limits { group.addTask { countPrimes(below: limit) } }
          return await group.reduce(0, +)
        }
      }
      try check(found, is: expected)
    },
  ]
}

/// Children of one task group, on the pool and on the default executor.
let taskExecutor = Bench(name: "task-executor") {
  let count = 100_000
  let pool = try ThreadPoolExecutor(maxWorkers: workers)
  @Sendable func children() async -> Int {
    await withTaskGroup(of: Int.self) { group in
      for index in 0..<count { group.addTask { index & 1 } }
      return await group.reduce(0, +)
    }
  }
  return [
    Subject(name: "swift-concurrency", workers: workers, operations: count) {
      try check(try blocking { await children() }, is: count / 2)
    },
    Subject(name: "ours", workers: workers, operations: count) {
      try check(try blocking { await withTaskExecutorPreference(pool) { await children() } }, is: count / 2)
    },
  ]
}
