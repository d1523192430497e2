import ArgumentParser
import BenchReport
import Foundation

/// The first sentence about this package: one line.
struct HeadlineCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "headline",
    abstract: "Counts primes in processes, ours and Python's, and prints how many times as fast ours are.")

  @Option(help: ArgumentHelp("The subject with Python's ProcessPoolExecutor.", valueName: "command"))
  var python = "/usr/bin/python3 Sources/bench/Peers/python/peer.py - process"

  @Option(help: "How often each is measured, at least 3.")
  var rounds = 7

  func validate() throws {
    if rounds < 3 { throw ValidationError("--rounds is \(rounds), but fewer than 3 have no middle") }
    if pythonCommand.isEmpty { throw ValidationError("--python is '\(python)', but must be a command") }
  }

  func run() throws {
    signal(SIGPIPE, SIG_IGN)
    let peer = Peer(name: Headline.python, command: pythonCommand)
    var measurement = Measurement(.headline, rounds: rounds, isSmoke: false)
    let comparison = try measurement.run(programs: [peer])
    guard let headline = Headline(comparison) else {
      throw SubjectError(description: "\(python) does not offer \(comparison.bench)")
    }
    print(headline.line)
  }

  private var pythonCommand: [String] { python.split(separator: " ").map(String.init) }
}

extension Bench {
  /// The work that this package began with, without the subject that has no pool.
  fileprivate static var headline: Bench {
    var bench = seed
    bench.contestants.removeAll { $0.subject != .ours }
    return bench
  }
}
