import Foundation
import TestSupport
import Testing

@Suite struct ExampleTests {
  @Test func processPool() throws {
    let result = try runProduct("process-pool")
    let lines = result.outputLines
    try #require(result.status == 0 && lines.count == 3, "\(result)")
    #expect(lines[0].hasPrefix("sequential:   [5133, 5133, 5133, 5133] in "))
    #expect(lines[1].hasPrefix("process pool: [5133, 5133, 5133, 5133] in "))
    #expect(try #require(lines[2].split(separator: " ").last.flatMap { Double($0) }) > 0)
    #expect(result.errors == "")
  }

  @Test func futures() throws {
    let result = try runProduct("futures", ["--seed", "7"])
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

  @Test func futuresRepeatsARun() throws {
    let runs = try (0..<2).map { _ in try runProduct("futures", ["--seed", "42"]).outputLines.sorted() }
    #expect(runs[0].count == 9)
    #expect(runs[0] == runs[1])
  }

  /// Four times 200 ms, one after another, would be 0.8 s; two at a time, 0.4 s.
  @Test func asyncBridge() throws {
    let result = try runProduct("async-bridge")
    let lines = result.outputLines
    try #require(result.status == 0 && lines.count == 2, "\(result)")
    #expect(lines[0] == "[100, 400, 900, 1600]")
    let seconds = try #require(lines[1].split(separator: " ").dropFirst().first.flatMap { Double($0) })
    #expect(seconds >= 0.2 && seconds < 0.4)
    #expect(result.errors == "")
  }

  @Test(arguments: ["ProcessPool", "Futures", "AsyncBridge"])
  func staysUnderFortyLines(example: String) throws {
    let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../..")
    let folder = package.appendingPathComponent("Sources/Examples/\(example)").standardized
    let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
    let lines = try files.map { try String(contentsOf: $0, encoding: .utf8).split(separator: "\n").count }
    #expect((1..<40).contains(lines.reduce(0, +)))
  }
}
