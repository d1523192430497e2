import ArgumentParser
import Foundation

/// All benchmarks, in the order in which they run. Each has a file in Benches/.
let benches = [
  primeKernel, fanout, fanoutFuture, contend, spawnFib, pingpong, mapUniform, mapIrregular, taskExecutor, wide,
]

@main
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Runs the benchmarks and writes what they measured as JSON.")

  @Argument(help: "Which benchmarks to run. (default: all)")
  var names: [String] = []

  @Option(help: "How often each subject is measured.")
  var rounds = 15

  @Option(help: "Where the results go.")
  var output = ".build/bench/results.json"

  func validate() throws {
    if rounds < 7 {
      throw ValidationError("--rounds is \(rounds), but fewer than 7 say nothing on a noisy machine")
    }
    for name in names where !benches.contains(where: { $0.name == name }) {
      let known = benches.map(\.name).joined(separator: ", ")
      throw ValidationError("there is no benchmark '\(name)'; there are: \(known)")
    }
  }

  func run() throws {
    var results: [BenchResult] = []
    for bench in benches where names.isEmpty || names.contains(bench.name) {
      for result in try bench.measure(rounds: rounds) {
        print(result.line)
        results.append(result)
      }
    }
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    let file = URL(fileURLWithPath: output)
    try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try encoder.encode(results).write(to: file)
  }
}
