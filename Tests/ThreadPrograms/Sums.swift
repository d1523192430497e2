import ThreadTestSupport
import WorkerPool

// A recursive sum, whose tasks wait for their halves in one of several ways: many more tasks than threads.

extension Execution {
  func sum(_ number: Int, _ count: Int, _ way: SumWay, by id: Int) {
    guard let pool = pools[number].executor else { return }
    let sum = Sum(pool: pool, way: way)
    do {
      let value = try pool.currentWorkerIndex == nil ? sum.fromOutside(count) : sum.of(0..<count)
      if value != count * (count - 1) / 2 { violated("the sum of strand \(id) is \(value)") }
    } catch let error as WorkerPoolError where error.code == .shutDown && pools[number].isClosing.isSet {
      tally.refused.add()
    } catch is CancellationError where pools[number].isDiscarding.isSet {
    } catch let error as WorkerPoolError where error.code == .wouldDeadlock && program.pools[number].spares != nil {
      tally.refusals.add()
    } catch {
      violated("the sum of strand \(id) failed: \(error)")
    }
  }
}

private struct Sum: Sendable {
  let pool: ThreadPoolExecutor
  let way: SumWay

  func fromOutside(_ count: Int) throws -> Int { try pool.submit { try of(0..<count) }.result() }

  func of(_ range: Range<Int>) throws -> Int {
    progress.add()
    guard range.count > 2 else { return range.reduce(0, +) }
    let middle = (range.lowerBound + range.upperBound) / 2
    let halves = [range.lowerBound..<middle, middle..<range.upperBound]
    switch way {
    case .result: return try submitted(halves).reduce(0) { try $0 + $1.result() }
    case .wait:
      let (done, notDone) = wait(for: try submitted(halves))
      if !notDone.isEmpty { throw WorkerPoolError(code: .wouldDeadlock, message: "not done") }
      return try done.reduce(0) { try $0 + $1.result() }
    case .asCompleted:
      var sum = 0
      var count = 0
      for half in asCompleted(try submitted(halves)) {
        sum += try half.result()
        count += 1
      }
      if count < 2 { throw WorkerPoolError(code: .wouldDeadlock, message: "not done") }
      return sum
    case .mapLazily: return try pool.mapLazily(halves, chunkSize: 1) { try of($0) }.reduce(0) { try $0 + $1.get() }
    case .join:
      let (a, b) = try pool.join({ try of(halves[0]) }, { try of(halves[1]) })
      return a + b
    case .scope: return try inScope(halves)
    }
  }

  private func submitted(_ halves: [Range<Int>]) throws -> [Future<Int>] {
    try halves.map { half in try pool.submit { try of(half) } }
  }

  private func inScope(_ halves: [Range<Int>]) throws -> Int {
    let sum = Counter()
    try pool.withScope { scope in
      for half in halves { scope.spawn { sum.add(try of(half)) } }
    }
    return sum.value
  }
}
