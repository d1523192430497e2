import ArgumentParser
import BenchReport
import Foundation

/// Runs benchmarks, and writes tables, results.json, machine.json and charts.
struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Runs the benchmarks, prints tables, and writes JSON and charts.")

  @Option(help: ArgumentHelp("Which benchmarks, separated by commas. (default: all)", valueName: "names"))
  var only: String?

  @Option(help: "How often each subject is measured, at least 3.")
  var rounds = 7

  @Option(help: ArgumentHelp("Where the results go.", valueName: "folder"))
  var output = ".build/bench"

  @Option(help: ArgumentHelp("More subjects: lines of name, command and perhaps a divisor of n.", valueName: "file"))
  var peers: String?

  @Option(help: ArgumentHelp("Such lines for the engine alone, ours among them.", valueName: "file"))
  var engine: String?

  @Option(help: ArgumentHelp("Results of an older run, to compare ours with.", valueName: "file"))
  var base: String?

  @Flag(help: "Little work, and nothing judged but answers: do all benchmarks still run?")
  var smoke = false

  func validate() throws {
    if rounds < 3 { throw ValidationError("--rounds is \(rounds), but fewer than 3 have no middle") }
    _ = try chosenBenches()
  }

  func run() throws {
    // One that ends early is an error of its own, with a name.
    signal(SIGPIPE, SIG_IGN)
    let benches = try chosenBenches()
    let programs: [Bench.Programs: [Peer]] = try [
      .peers: peers.map { try readPeers($0, "--peers") } ?? [],
      .engine: engine.map { try readPeers($0, "--engine") } ?? [],
    ]
    let base = try base.map(readBase)
    var comparisons: [Comparison] = []
    for bench in benches {
      note("\(bench.name) …")
      var measurement = Measurement(bench, rounds: rounds, isSmoke: smoke)
      comparisons.append(try measurement.run(programs: programs[bench.programs] ?? []))
    }
    let rows = comparisons.flatMap(\.rows)
    try write(rows, comparisons.map { Chart(title: $0.bench, rows: $0.rows) })
    if smoke { try check(readBase(folder.appendingPathComponent("results.json").path), is: rows) }
    print(resultsTable(comparisons))
    if !smoke, let table = floorsTable(comparisons) { print("\nFloors\n\n" + table) }
    if let base { print("\nOurs, then and now\n\n" + baseTable(now: rows, base: base)) }
  }

  private var folder: URL { URL(fileURLWithPath: output, isDirectory: true) }

  private func chosenBenches() throws -> [Bench] {
    let offered = Bench.all.filter { $0.programs != .engine || engine != nil }
    guard let only, !only.isEmpty else { return offered }
    let names = only.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
    for name in names where !offered.contains(where: { $0.isCalled(name) }) {
      guard !Bench.all.contains(where: { $0.isCalled(name) }) else {
        throw ValidationError("there is no benchmark '\(name)' without --engine, which names its subjects")
      }
      let known = offered.map(\.name).joined(separator: ", ")
      throw ValidationError("there is no benchmark '\(name)'; there are: \(known)")
    }
    return offered.filter { bench in names.contains(where: bench.isCalled) }
  }

  private func readPeers(_ path: String, _ option: String) throws -> [Peer] {
    do {
      return try parsePeers(read(path, option))
    } catch let error as PeersError {
      throw ValidationError("\(option) is '\(path)', in which \(error)")
    }
  }

  private func read(_ path: String, _ option: String) throws -> String {
    do {
      return try String(contentsOfFile: path, encoding: .utf8)
    } catch {
      throw ValidationError("\(option) is '\(path)', which cannot be read")
    }
  }

  private func readBase(_ path: String) throws -> [Row] {
    do {
      return try JSONDecoder().decode([Row].self, from: Data(read(path, "--base").utf8))
    } catch is DecodingError {
      throw ValidationError("--base is '\(path)', which is not the results.json of a run")
    }
  }

  private func write(_ rows: [Row], _ charts: [Chart]) throws {
    let machine = Machine()
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let newline = Data("\n".utf8)
    try (encoder.encode(rows) + newline).write(to: folder.appendingPathComponent("results.json"))
    try (encoder.encode(machine) + newline).write(to: folder.appendingPathComponent("machine.json"))
    for chart in charts {
      try Data(chart.svg.utf8).write(to: folder.appendingPathComponent("\(chart.title).svg"))
    }
    let caption = "Less is better · \(machine.line)"
    try Data(Chart.overview(charts, caption: caption).utf8).write(to: folder.appendingPathComponent("overview.svg"))
  }
}
