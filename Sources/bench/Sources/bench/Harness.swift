import Foundation

/// A question and the subjects that are compared to answer it.
struct Bench: Sendable {
  var name: String
  /// Makes the subjects; the first is the reference of the others. What they need (pools, data) is made here and
  /// lives as long as they do.
  var subjects: @Sendable () throws -> [Subject]

  init(name: String, subjects: @escaping @Sendable () throws -> [Subject]) {
    self.name = name
    self.subjects = subjects
  }
}

/// One way to do the work of a benchmark.
struct Subject {
  var name: String
  var workers = 1
  /// How many operations one call of `body` does.
  var operations: Int
  /// Does the work once, and throws when the result is wrong.
  var body: () throws -> Void
}

/// The timings of one subject. A round is one call of its body.
struct BenchResult: Encodable {
  var bench: String
  var subject: String
  var workers: Int
  /// Operations in a round.
  var n: Int
  /// Wall time of a round.
  var medianNs: Double
  var minNs: Double
  /// Median CPU time of a round, of all threads of this process. Of child processes, nothing.
  var cpuNs: Double
  var rounds: Int
  /// Median over the rounds of this subject's time over the reference's in the same round; 1 for the reference.
  var pairedRatio: Double

  var line: String {
    let label = "\(bench) \(subject)".padding(toLength: 32, withPad: " ", startingAt: 0)
    let perOperation = medianNs / Double(n)
    return label
      + String(format: "%8.3f ms  %9.2f ns/op  ratio %.3f", medianNs / 1e6, perOperation, pairedRatio)
  }
}

extension Bench {
  /// Measures all subjects in every round, one after another, so that a change in the machine's speed meets all of
  /// them; each round begins with another subject. One round before the first is not counted.
  func measure(rounds: Int) throws -> [BenchResult] {
    let subjects = try subjects()
    var wall = Array(repeating: [Double](), count: subjects.count)
    var cpu = wall
    for round in -1..<rounds {
      for offset in subjects.indices {
        let index = (offset + round + 1) % subjects.count
        let (wallStart, cpuStart) = (nanoseconds(CLOCK_MONOTONIC), nanoseconds(CLOCK_PROCESS_CPUTIME_ID))
        try subjects[index].body()
        let (wallEnd, cpuEnd) = (nanoseconds(CLOCK_MONOTONIC), nanoseconds(CLOCK_PROCESS_CPUTIME_ID))
        guard round >= 0 else { continue }
        wall[index].append(wallEnd - wallStart)
        cpu[index].append(cpuEnd - cpuStart)
      }
    }
    return subjects.indices.map { index in
      BenchResult(
        bench: name, subject: subjects[index].name, workers: subjects[index].workers, n: subjects[index].operations,
        medianNs: median(wall[index]), minNs: wall[index].min() ?? 0, cpuNs: median(cpu[index]), rounds: rounds,
        pairedRatio: median(zip(wall[index], wall[0]).map { $0 / $1 }))
    }
  }
}

/// A benchmark of a wrong result measures nothing.
struct WrongResult: Error, CustomStringConvertible {
  var description: String
}

func check<Value: Equatable>(_ value: Value, is expected: Value) throws {
  if value != expected { throw WrongResult(description: "got \(value), expected \(expected)") }
}

private func nanoseconds(_ clock: clockid_t) -> Double {
  var now = timespec()
  clock_gettime(clock, &now)
  return Double(now.tv_sec) * 1e9 + Double(now.tv_nsec)
}

private func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  let middle = sorted.count / 2
  return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
}
