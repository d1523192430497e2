import ArgumentParser
import PrimeWorkload
import WorkerPool

@main
struct Primes: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "primes",
    abstract: "Counts primes one after another, on threads and on processes, and compares.")

  @Option(
    parsing: .unconditional,
    help: "The limits below which primes are counted, separated by commas.",
    transform: parseLimits)
  var limits: [UInt32] = [50_000, 50_000, 50_000, 50_000]

  @Option(
    parsing: .unconditional,
    help: "How many workers each pool has. (default: as many as the process is granted CPUs)",
    transform: { try parseNumber($0, in: 1...1024) })
  var workers: Int?

  @Option(parsing: .unconditional, help: "What runs the work: sequential, threads, processes or all.")
  var executor = ExecutorChoice.all

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "How numbers are tested: scalar, simd or auto.",
      discussion: """
        The same trial division on every executor: one divisor at a time, or vectors of them as wide as the CPU has. \
        auto takes whichever is faster, which is simd on all CPUs so far. By default scalar: ten times as much work for \
        the pools to share out.
        """))
  var kernel = KernelChoice.scalar

  @Option(
    name: .customLong("repeat"),
    parsing: .unconditional,
    help: "How often everything is measured; the medians are printed.",
    transform: { try parseNumber($0, in: 1...1_000_000) })
  var repetitions = 1

  @Flag(help: "Print everything that was measured as JSON.")
  var json = false

  @Flag(help: "Print CPUs, nodes and how many CPUs the process is granted, and run nothing.")
  var topology = false

  /// As `ParsableCommand.main`, but bad input costs one line, without the usage.
  static func main() {
    do {
      var command = try parseAsRoot()
      do {
        try command.run()
      } catch let error as WorkerPoolError where error.code == .invalidArgument {
        throw ValidationError(error.message)
      }
    } catch  where exitCode(for: error) == .validationFailure {
      let line = message(for: error).split(separator: "\n").joined(separator: " ")
      standardError.write("primes: \(line)\n")
      exit(withError: ExitCode.validationFailure)
    } catch {
      exit(withError: error)
    }
  }

  func run() throws {
    if topology {
      print(try CPUTopology.current())
      return
    }
    let plan = Plan(limits: limits, kernel: kernel.kernel)
    let report = try measureAll(plan)
    print(json ? try report.json() : report.text)
    if !report.agree {
      standardError.write("primes: the executors disagree\n")
      throw ExitCode.failure
    }
  }

  private func measureAll(_ plan: Plan) throws -> Report {
    var runners: [any Runner] = []
    // The process pool comes first: its template is a fork of this process, which must have one thread only.
    var processes: ProcessPoolExecutor?
    var threads: ThreadPoolExecutor?
    defer {
      threads?.shutdown()
      processes?.shutdown()
    }
    if executor.includes(.processes) {
      processes = try ProcessPoolExecutor(maxWorkers: workers, name: "primes")
    }
    if executor.includes(.threads) {
      threads = try ThreadPoolExecutor(maxWorkers: workers, name: "primes")
    }
    if executor.includes(.sequential) {
      runners.append(SequentialRunner())
    }
    if let threads {
      runners.append(PoolRunner(kind: .threads, executor: threads))
    }
    if let processes {
      runners.append(PoolRunner(kind: .processes, executor: processes))
    }

    for runner in runners {
      try runner.warmUp(plan.kernel)
    }
    var measured: [[TimedRun]] = Array(repeating: [], count: runners.count)
    for _ in 0..<repetitions {
      for (index, runner) in runners.enumerated() {
        var progress = ProgressBar(label: runner.kind.rawValue, total: plan.cost, numbers: plan.numbers)
        defer { progress.clear() }
        measured[index].append(try runner.run(plan, progress: &progress))
      }
    }
    return Report(limits: limits, kernel: plan.kernel, runners: runners, measured: measured)
  }
}

/// The values of `--executor`.
enum ExecutorChoice: String, CaseIterable, Codable, ExpressibleByArgument {
  case sequential, threads, processes, all

  func includes(_ other: ExecutorChoice) -> Bool { self == .all || self == other }
}

/// The values of `--kernel`.
enum KernelChoice: String, CaseIterable, ExpressibleByArgument {
  case scalar, simd, auto

  var kernel: PrimeKernel { self == .scalar ? .scalar : .widest }
}

private func parseLimits(_ text: String) throws -> [UInt32] {
  if text.isEmpty {
    throw ValidationError("the list is empty, but there must be at least one limit")
  }
  return try text.split(separator: ",", omittingEmptySubsequences: false).map { item in
    guard let limit = UInt32(item) else {
      throw ValidationError("'\(item)' must be a whole number from 0 to \(UInt32.max)")
    }
    return limit
  }
}

private func parseNumber(_ text: String, in range: ClosedRange<Int>) throws -> Int {
  guard let number = Int(text), range.contains(number) else {
    throw ValidationError("must be a whole number from \(range.lowerBound) to \(range.upperBound)")
  }
  return number
}
