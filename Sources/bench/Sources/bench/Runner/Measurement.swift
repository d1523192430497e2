import BenchReport
import Foundation

/// One bench: its subjects started, and asked in turn.
struct Measurement {
  /// CPUs that the rest of the machine may use before a round is repeated.
  static let tolerable = 0.3
  /// What is counted in ticks of 10 ms says nothing of less.
  static let shortestJudged = 100e6

  let bench: Bench
  let rounds: Int
  let isSmoke: Bool
  private var subjects: [(process: SubjectProcess, series: Series)] = []

  init(_ bench: Bench, rounds: Int, isSmoke: Bool) {
    self.bench = bench
    self.rounds = isSmoke ? rounds : rounds * bench.roundFactor
    self.isSmoke = isSmoke
  }

  /// Starts all subjects, measures, and ends them. Rounds in which the machine was busy with other things are repeated,
  /// at most as often as there are rounds.
  mutating func run(programs: [Peer]) throws -> Comparison {
    defer { for subject in subjects { subject.process.stop() } }
    for contestant in bench.contestants {
      let n = isSmoke ? bench.smokeN : contestant.n
      let command = [CommandLine.executable, "subject", contestant.subject.rawValue]
      try start(contestant.subject.rawValue, command, workers: contestant.workers, n: n)
    }
    for program in programs {
      let n = isSmoke ? bench.smokeN : bench.n
      let divisor = bench.isDivisible ? program.divisor : 1
      try start(program.name, program.command, workers: bench.workers, n: max(1, n / divisor))
    }
    if subjects.isEmpty { throw SubjectError(description: "none of the subjects offers \(bench.name)") }
    var busy: [Double] = []
    var repeats = isSmoke ? 0 : rounds
    while busy.count < rounds {
      let (readings, others) = try round(beginningWith: busy.count)
      if others > Self.tolerable, repeats > 0 {
        repeats -= 1
        continue
      }
      busy.append(others)
      for index in subjects.indices { subjects[index].series.append(readings[index]) }
    }
    warn(of: busy.count { $0 > Self.tolerable })
    return Comparison(bench: bench.name, series: subjects.map(\.series), busy: busy)
  }

  private mutating func start(_ name: String, _ command: [String], workers: Int, n: Int) throws {
    let process = try SubjectProcess.start(
      label: "\(name) in \(bench.name)",
      command: bench.environment + command + [bench.name, String(workers), String(n)])
    guard let process else { return }
    subjects.append((process, Series(subject: name, workers: workers, n: n)))
  }

  /// What each subject read, and how many CPUs everybody else used meanwhile.
  private func round(beginningWith first: Int) throws -> (readings: [[String: Double]], others: Double) {
    let usedBefore = subjects.map(\.process.cpuNanoseconds)
    let start = try MachineClock()
    var readings = Array(repeating: [String: Double](), count: subjects.count)
    let order = subjects.indices.map { ($0 + first) % subjects.count }
    if bench.isSideBySide {
      for index in order { try subjects[index].process.go() }
      for index in order { readings[index] = try subjects[index].process.reading() }
    } else {
      for index in order {
        try subjects[index].process.go()
        readings[index] = try subjects[index].process.reading()
      }
    }
    let end = try MachineClock()
    // The clock of a process has what it does between rounds, but not the processes that it started in turn, of which
    // its reading tells.
    let used = subjects.indices.map { index in
      max(subjects[index].process.cpuNanoseconds - usedBefore[index], readings[index]["cpu_ns", default: 0])
    }
    guard end.wall - start.wall >= Self.shortestJudged else { return (readings, 0) }
    return (readings, max(0, (end.busy - start.busy - used.reduce(0, +)) / (end.wall - start.wall)))
  }

  private func warn(of count: Int) {
    guard count > 0, !isSmoke else { return }
    let rounds = "\(count) of \(rounds) rounds of \(bench.name)"
    note("warning: in \(rounds) the rest of the machine used more than \(Self.tolerable) CPUs")
  }
}

/// Tells whoever waits; results alone go to standard output.
func note(_ text: String) {
  FileHandle.standardError.write(Data((text + "\n").utf8))
}

extension CommandLine {
  /// This program, wherever it was started from.
  fileprivate static var executable: String {
    (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? arguments[0]
  }
}
