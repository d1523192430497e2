import Foundation
import TestSupport
import Testing

@Suite struct ExampleTests {
  @Test func processPool() async throws {
    let result = try await runProduct("process-pool")
    let lines = result.outputLines
    try #require(result.status == 0 && lines.count == 3, "\(result)")
    #expect(lines[0].hasPrefix("sequential:   [5133, 5133, 5133, 5133] in "))
    #expect(lines[1].hasPrefix("process pool: [5133, 5133, 5133, 5133] in "))
    #expect(try #require(lines[2].split(separator: " ").last.flatMap { Double($0) }) > 0)
    #expect(result.errors == "")
  }

  @Test func crashIsolation() async throws {
    let result = try await runProduct("crash-isolation")
    let lines = result.outputLines
    try #require(result.status == 0 && lines.count >= 3, "\(result)")
    #expect(lines[0] == "neighbours: 1000 squares, their sum is 333833500")
    // A signal of Swift's traps: which, depends on the processor.
    for (task, words) in [("Trap", "a state that cannot be"), ("RunOff", "Index out of range")] {
      let death = try Regex("\(task): worker \\d+ was ended by SIG(ILL|TRAP) while it ran \(task).*")
      #expect(lines.contains { $0.wholeMatch(of: death) != nil }, "\(result)")
      // Release builds leave out what the standard library says of an index.
      #expect(result.errors.contains(words) || task == "RunOff", "\(result)")
    }
  }

  @Test func futures() async throws {
    let result = try await runProduct("futures", ["--seed", "7"])
    let lines = result.outputLines
    try #require(result.status == 0 && lines.count == 9, "\(result)")
    let failed = lines.compactMap { $0.wholeMatch(of: /failure\(.*Unlucky\(task: (\d)\)\)/)?.1 }
    let succeeded = lines.compactMap { $0.wholeMatch(of: /success\("task (\d): \d+ ms"\)/)?.1 }
    #expect((failed + succeeded).compactMap { Int($0) }.sorted() == Array(1...8))
    #expect(lines[8] == "seed 7: \(succeeded.count) succeeded, \(failed.count) failed")
    // Seed 7 has some of each.
    #expect(!succeeded.isEmpty && !failed.isEmpty)
    #expect(result.errors == "")
  }

  @Test func futuresRepeatsARun() async throws {
    let first = try await runProduct("futures", ["--seed", "42"]).outputLines.sorted()
    let second = try await runProduct("futures", ["--seed", "42"]).outputLines.sorted()
    #expect(first.count == 9)
    #expect(first == second)
  }

  /// Four times 200 ms, one after another, would be 0.8 s; two at a time, 0.4 s. The best of three, as the machine may
  /// be busy with other tests.
  @Test func asyncBridge() async throws {
    var seconds: [Double] = []
    for _ in 0..<3 {
      let result = try await runProduct("async-bridge")
      let lines = result.outputLines
      try #require(result.status == 0 && lines.count == 2, "\(result)")
      #expect(lines[0] == "[100, 400, 900, 1600]")
      #expect(result.errors == "")
      seconds.append(try #require(lines[1].split(separator: " ").dropFirst().first.flatMap { Double($0) }))
    }
    #expect(seconds.allSatisfy { $0 >= 0.2 })
    #expect(try #require(seconds.min()) < 0.4)
  }

  @Test(arguments: ["ProcessPool", "CrashIsolation", "Futures", "AsyncBridge"])
  func staysUnderFortyLines(example: String) throws {
    let folder = packageFolder.appendingPathComponent("Sources/Examples/\(example)")
    let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
    let counts = try files.map { try lines(of: $0).count }
    #expect((1..<40).contains(counts.reduce(0, +)))
  }
}

@Suite struct ReadmeTests {
  /// The consumer package compiles and runs this code; here it is compared, but for indentation.
  @Test func itsCodeIsTheConsumers() throws {
    let consumer = try lines(of: packageFolder.appendingPathComponent("Tests/Consumer/Sources/consumer/Readme.swift"))
    let readme = try lines(of: packageFolder.appendingPathComponent("README.md"))
    let blocks = readme.split(separator: "```", omittingEmptySubsequences: false)
      .flatMap { $0.split(separator: "```swift").dropFirst() }
    #expect(blocks.count >= 4)
    for block in blocks {
      #expect(consumer.contains(block), "not in Readme.swift: \(block.joined(separator: "\n"))")
    }
  }
}

private let packageFolder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
  .appendingPathComponent("../..").standardized

/// Without indentation.
private func lines(of file: URL) throws -> [String] {
  try String(contentsOf: file, encoding: .utf8).trimmingCharacters(in: .newlines)
    .split(separator: "\n", omittingEmptySubsequences: false)
    .map { $0.trimmingCharacters(in: .whitespaces) }
}
