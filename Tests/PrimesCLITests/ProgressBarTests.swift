import Foundation
import TestSupport
import Testing

@testable import primes

@Suite struct ProgressBarTests {
  @Test func showsShareRateAndTimeLeft() {
    let line = ProgressBar.line(label: "threads", fraction: 0.25, numbers: 5_000_000, elapsed: 2)
    #expect(line == "threads    [######------------------]  25%  625k numbers/s  0:06 left")
  }

  @Test func startsWithoutAnEstimate() {
    let line = ProgressBar.line(label: "sequential", fraction: 0, numbers: 1000, elapsed: 0.5)
    #expect(line == "sequential [------------------------]   0%  0 numbers/s  --:-- left")
  }

  @Test(arguments: [0, 0.001, 0.5, 0.999, 1, 1.5])
  func fitsATerminal(fraction: Double) {
    for elapsed in [0.5, 1000, 1e6] {
      let line = ProgressBar.line(label: "sequential", fraction: fraction, numbers: 1 << 36, elapsed: elapsed)
      #expect(line.count <= 79)
    }
  }

  @Test func durations() {
    #expect(ProgressBar.duration(0) == "0:00")
    #expect(ProgressBar.duration(0.2) == "0:01")
    #expect(ProgressBar.duration(59.5) == "1:00")
    #expect(ProgressBar.duration(3723) == "1:02:03")
  }

  @Test func scaledNumbers() {
    #expect(ProgressBar.scaled(0) == "0")
    #expect(ProgressBar.scaled(999.4) == "999")
    #expect(ProgressBar.scaled(999.6) == "1.00k")
    #expect(ProgressBar.scaled(1234) == "1.23k")
    #expect(ProgressBar.scaled(45_600_000) == "45.6M")
    #expect(ProgressBar.scaled(7e9) == "7G")
  }

  #if DEBUG
    private static let longLimit = 2_000_000
  #else
    private static let longLimit = 8_000_000
  #endif
  /// Longer than the bar's delay.
  private static let longWork = ["--executor", "sequential", "--kernel", "scalar", "--limits", "\(longLimit)"]

  @Test func drawsNothingWithoutATerminal() async throws {
    let result = try await runProduct("primes", Self.longWork)
    #expect(result.status == 0)
    #expect(result.errors == "")
  }

  @Test func drawsOnATerminalAndClearsItself() async throws {
    let terminal = try PseudoTerminal()
    let result = try await runProduct("primes", Self.longWork, terminal: terminal.writer)
    #expect(result.status == 0)
    let drawn = try await terminal.contents()
    let lines = drawn.split(separator: "\r\u{1B}[K", omittingEmptySubsequences: false)
    #expect(lines.count > 2)
    #expect(lines.first == "")
    #expect(lines.last == "")
    #expect(lines.dropFirst().dropLast().allSatisfy { $0.hasPrefix("sequential [") && $0.hasSuffix(" left") })
  }

  @Test func shortWorkDrawsNothingOnATerminal() async throws {
    let terminal = try PseudoTerminal()
    let result = try await runProduct(
      "primes", ["--executor", "sequential", "--limits", "100"], terminal: terminal.writer)
    #expect(result.status == 0)
    #expect(try await terminal.contents() == "")
  }
}
