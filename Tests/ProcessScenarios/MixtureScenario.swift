import Glibc
import Synchronization
import WorkerPool

// Retries, timeouts, ends, shared arrays, large inputs, lent results and callbacks, all in one pool.

/// Carries everything that a task can carry, and ends in one of several ways.
package struct Carry: Job {
  package enum Fate: UInt8, BitwiseWireCodable, CaseIterable { case returns, diesOnce, diesTwice, hangs, isEnded }

  package var fate: Fate
  package var array: SharedArray<Int>
  package var bytes: [UInt8]

  package init(_ fate: Fate, number: Int) throws {
    self.fate = fate
    // How often it was begun, and a number to find.
    array = try SharedArray([0, number], workers: .readWrite)
    bytes = Array(repeating: UInt8(truncatingIfNeeded: number), count: number % 4 == 0 ? 200_000 : 100 + number)
  }

  package func encode(into encoder: inout WireEncoder) throws { try encoder.encode(fate, array, bytes) }

  package init(decoding decoder: inout WireDecoder) throws {
    fate = try decoder.decode()
    array = try decoder.decode()
    bytes = try decoder.decode()
  }

  package var options: TaskOptions? {
    switch fate {
    case .diesOnce: TaskOptions(retries: 1)
    case .diesTwice: TaskOptions(timeout: .seconds(60), retries: 1)
    case .hangs: TaskOptions(timeout: .milliseconds(20), gracePeriod: .milliseconds(1), retries: 2)
    default: nil
    }
  }

  package func run() -> SharedResult<Int> {
    array[0] += 1
    if fate == .diesOnce && array[0] == 1 || fate == .diesTwice { kill(getpid(), SIGKILL) }
    while fate == .hangs { pause() }
    return expected
  }

  package var expected: SharedResult<Int> {
    let sum = bytes.reduce(array[1]) { $0 + Int($1) }
    return SharedResult(count: 2000) { elements in for index in elements.indices { elements[index] = sum + index } }
  }
}

func runMixture(_ method: ProcessPoolExecutor.StartMethod) throws {
  for waitsFirst in [true, false] {
    let told = Told()
    var tasks: [(job: Carry, future: Future<SharedResult<Int>>)] = []
    let pool = try ProcessPoolExecutor(maxWorkers: 3, startMethod: waitsFirst ? method : .automatic)
    for number in 0..<120 {
      let job = try Carry(Carry.Fate.allCases[number % Carry.Fate.allCases.count], number: number)
      let future = try pool.submit(job, options: job.options)
      future.addDoneCallback { _ in told.count.add(1, ordering: .relaxed) }
      if job.fate == .isEnded { pool.terminate(future) }
      tasks.append((job, future))
    }
    if waitsFirst { for task in tasks { try check(task.job, task.future) } }
    pool.shutdown()
    try expectEqual(told.count.load(ordering: .relaxed), tasks.count)
    for task in tasks { try check(task.job, task.future) }
  }
}

private final class Told: Sendable {
  let count = Atomic(0)
}

private func check(_ job: Carry, _ future: Future<SharedResult<Int>>) throws {
  switch job.fate {
  case .returns, .diesOnce:
    try expect(try future.result().elementsEqual(job.expected), "\(job.fate): other elements")
    try expectEqual(job.array[0], job.fate == .diesOnce ? 2 : 1)
  case .diesTwice:
    try expectError(.workerDied, saying: "2 workers have died of this task") { try future.result() }
  case .hangs:
    try expectError(.taskTimedOut) { try future.result() }
    try expect(job.array[0] <= 1, "it was begun again")
  case .isEnded:
    // Cancelled, ended while it ran, or faster.
    guard case .failure(let error) = Result(catching: { try future.result() }) else { return }
    try expect(error is CancellationError || (error as? WorkerPoolError)?.code == .terminated, "\(error)")
  }
}
