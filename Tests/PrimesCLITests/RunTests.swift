import Foundation
import PrimeWorkload
import TestSupport
import Testing

@testable import primes

@Suite struct RunTests {
  @Test func runsTheMainJob() async throws {
    let result = try await runProduct("primes", ["--workers", "2"])
    #expect(result.status == 0)
    #expect(result.errors == "")
    #expect(result.outputLines.count == 3)
    for (line, name) in zip(result.outputLines, ["sequential", "threads", "processes"]) {
      #expect(line.hasPrefix(name))
      #expect(line.contains("[5133 5133 5133 5133]"))
      #expect(line.contains("×"))
    }
  }

  @Test(arguments: [ExecutorChoice.sequential, .threads, .processes])
  func runsOneExecutor(choice: ExecutorChoice) async throws {
    let arguments = ["--executor", choice.rawValue, "--limits", "100,0,2,1000", "--workers", "2", "--json"]
    let result = try await runProduct("primes", arguments)
    #expect(result.status == 0)
    let report = try JSONDecoder().decode(Report.self, from: Data(result.output.utf8))
    let run = try #require(report.runs.first)
    #expect(report.runs.count == 1)
    #expect(report.limits == [100, 0, 2, 1000])
    #expect(run.executor == choice)
    #expect(run.results == [25, 0, 0, 168])
    #expect((run.medianSpeedup == nil) == (choice != .sequential))
  }

  @Test(arguments: KernelChoice.allCases)
  func saysWhichKernelRan(choice: KernelChoice) async throws {
    let arguments = ["--limits", "100000,70", "--workers", "2", "--kernel", choice.rawValue]
    let expected = choice == .scalar ? PrimeKernel.scalar : .widest
    let text = try await runProduct("primes", arguments)
    #expect(text.status == 0)
    #expect(text.outputLines.count == 3)
    for line in text.outputLines {
      #expect(line.contains("[9592 19]"))
      #expect(line.hasSuffix(", \(expected)"))
    }

    let json = try await runProduct("primes", arguments + ["--json"])
    #expect(json.output.contains("\"kernel\" : \"\(expected)\""))
    let report = try JSONDecoder().decode(Report.self, from: Data(json.output.utf8))
    #expect(report.agree)
    #expect(report.runs.map(\.results) == Array(repeating: [9592, 19], count: 3))
  }

  /// Every piece takes the kernel along, to workers in other processes as well.
  @Test func jobsCarryTheKernel() throws {
    for kernel in PrimeKernel.allCases {
      let plan = Plan(limits: [100], kernel: kernel)
      #expect(TimedCount(0, of: plan).kernel == kernel)
    }
  }

  @Test func reportsEveryRepetitionAndWorker() async throws {
    let result = try await runProduct(
      "primes", ["--limits", "300000,50000", "--workers", "3", "--repeat", "3", "--json"])
    #expect(result.status == 0)
    let report = try JSONDecoder().decode(Report.self, from: Data(result.output.utf8))
    let pieces = Plan(limits: [300_000, 50_000], kernel: .scalar).pieces.count
    #expect(report.agree)
    #expect(report.runs.map(\.executor) == [.sequential, .threads, .processes])
    #expect(report.runs.map(\.workers) == [1, 3, 3])
    for run in report.runs {
      #expect(run.results == [25_997, 5133])
      #expect(run.repetitions.count == 3)
      for repetition in run.repetitions {
        #expect(repetition.results == run.results)
        #expect(repetition.speedup != nil)
        #expect((1...run.workers).contains(repetition.workers.count))
        #expect(repetition.workers.map(\.pieces).reduce(0, +) == pieces)
        #expect(Set(repetition.workers.map(\.id)).count == repetition.workers.count)
        #expect(repetition.workers.allSatisfy { $0.endSeconds > 0 && $0.endSeconds <= repetition.wallSeconds })
      }
    }
    // A worker is a thread of the program, or a process of its own: no two executors share one.
    let workers = report.runs.map { run in Set(run.repetitions.flatMap(\.workers).map(\.id)) }
    #expect(workers.dropFirst().reduce(workers[0]) { $0.union($1) }.count == workers.map(\.count).reduce(0, +))
  }
}

@Suite struct PlanTests {
  @Test func smallLimitsStayWhole() {
    let plan = Plan(limits: [50_000, 100, 0, 50_000], kernel: .scalar)
    #expect(plan.pieces.map(\.range) == [0..<50_000, 0..<100, 0..<50_000])
    #expect(plan.pieces.map(\.limitIndex) == [0, 1, 3])
  }

  @Test(arguments: [5_000_000, UInt32.max])
  func largeLimitsAreCutForBalance(limit: UInt32) {
    let plan = Plan(limits: [limit], kernel: .scalar)
    #expect(plan.pieces.count >= 256)
    #expect(plan.pieces.count <= Plan.mostPieces)
    #expect(plan.numbers == Int(limit))
    #expect(plan.pieces.allSatisfy { $0.cost < plan.cost / 256 })
  }

  @Test func largestComesFirst() {
    let plan = Plan(limits: [100, 50_000, 1000], kernel: .scalar)
    #expect(plan.largestFirst == [1, 2, 0])
  }
}

@Suite struct ReportTests {
  @Test func medians() {
    #expect(median([3]) == 3)
    #expect(median([3, 1, 2]) == 2)
    #expect(median([4, 1, 2, 3]) == 2.5)
  }

  @Test func noticesDisagreement() {
    func run(_ results: [Int]) -> TimedRun {
      TimedRun(wallSeconds: 1, speedup: nil, results: results, endSpread: 0, workers: [])
    }
    let runners = [SequentialRunner(), SequentialRunner()]
    let (right, wrong) = (run([25]), run([24]))
    func agree(_ measured: [[TimedRun]]) -> Bool {
      Report(limits: [100], kernel: .scalar, runners: runners, measured: measured).agree
    }
    #expect(agree([[right, right], [right, right]]))
    #expect(!agree([[right, right], [right, wrong]]))
    #expect(!agree([[wrong, right], [right, right]]))
  }
}
