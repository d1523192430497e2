import ArgumentParser
import BenchedPrimes

@main
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Compares pools of threads and of processes, each in a process of its own.",
    subcommands: [RunCommand.self, HeadlineCommand.self, SubjectCommand.self],
    defaultSubcommand: RunCommand.self)
}

/// One of those who are compared: a process that does a round whenever it is told to.
struct SubjectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "subject",
    abstract: "Prepares a benchmark, prints 'ready', and does a round for each line 'go'.")

  @Argument(help: "Whose pool is measured.")
  var subject: SubjectName

  @Argument(help: "The benchmark.")
  var bench: String

  @Argument(help: "Threads of the pool, where it lets itself be told.")
  var workers: Int

  @Argument(help: "Operations in a round.")
  var n: Int

  func validate() throws {
    if workers < 1 { throw ValidationError("workers is \(workers), but must be positive") }
    if n < 1 { throw ValidationError("n is \(n), but must be positive") }
  }

  func run() throws {
    do {
      guard let workload = try workload(of: subject, bench, workers, n) else {
        answer(["error": "unsupported"])
        throw ExitCode(2)
      }
      try workload.serve(n: n)
    } catch let error where !(error is ExitCode) {
      answer(["error": "\(error)"])
      throw ExitCode(1)
    }
  }
}

/// Nil for what this subject does not offer.
private func workload(of subject: SubjectName, _ name: String, _ workers: Int, _ n: Int) throws -> Workload? {
  if let bench = ProcessBenchName(rawValue: name) {
    switch subject {
    case .ours: return try ourProcesses(bench, workers: workers, n: n)
    case .oursNoCopy: return try ourLoans(bench, workers: workers, n: n)
    case .sequential: return sequential(bench, n: n)
    default: return nil
    }
  }
  if let bench = LatencyBenchName(rawValue: name) {
    return try latency(bench, of: subject, workers: workers, n: n)
  }
  guard let bench = BenchName(rawValue: name) else { return nil }
  return switch subject {
  case .ours: try ours(bench, workers: workers, n: n)
  case .dispatch: dispatch(bench, n: n)
  case .swiftConcurrency: swiftConcurrency(bench, n: n)
  case .nio: nio(bench, workers: workers, n: n)
  case .opqueue: operationQueue(bench, workers: workers, n: n)
  case .cO3: bench == .primeKernel ? primeKernel(n, countInC) : nil
  case .oursSIMD: bench == .primeKernel ? primeKernel(n) { countPrimes(in: 0..<$0, kernel: .widest) } : nil
  case .oursSIMD128: bench == .primeKernel ? primeKernel(n) { countPrimes(in: 0..<$0, kernel: .simd128) } : nil
  case .oursNoCopy, .sequential, .fifo: nil
  }
}
