import CWorkerPool
import Foundation
import Testing

/// The process engine, driven by a C program that links it alone: a forked template needs a host with one thread,
/// which a test runner is not. Every scenario runs with workers forked from that program and with re-executed ones.
@Suite struct ProcessEngineTests {
  static let scenarios = [
    "round-trips", "payload-sizes", "reply-limits", "names-and-identity", "cancels", "discards", "takes-over",
    "bad-arguments", "deaths", "killed-from-outside", "runs-wild", "dies-at-start", "queued-survive", "leaves-nothing",
    "host-killed", "template-killed", "create-fails", "forked-host", "released-in-callback", "many-pools",
    "sigchld-ignored", "pinned", "stress",
  ]

  @Test(.timeLimit(.minutes(5)), arguments: scenarios, ["fork", "reexec"])
  func holds(_ scenario: String, _ method: String) throws {
    let (status, output) = try check(scenario, method)
    #expect(status == 0, "\(output)")
  }

  @Test func everyScenarioIsRun() throws {
    let (_, output) = try check()
    #expect(output.split(separator: "\n").map(String.init).sorted() == Self.scenarios.sorted())
  }

  @Test func anUnknownScenarioIsRefused() throws {
    #expect(try check("no-such-scenario", "fork").status == 64)
  }

  /// Here, where threads of every kind run: to fork is refused with the reason.
  @Test func aForkIsRefusedBesideOtherThreads() {
    var config = wp_process_pool_config()
    config.worker_count = 1
    config.start_method = WP_START_FORK
    config.handler = { _, _, _ in }
    var pool: OpaquePointer?
    var error = wp_error()
    #expect(wp_process_pool_create(&config, &pool, &error) == WP_UNSUPPORTED)
    #expect(pool == nil)
    #expect(error.rule.map { String(cString: $0) }?.contains("more than one thread") == true)
  }

  private func check(_ arguments: String...) throws -> (status: Int32, output: String) {
    let program = Process()
    // Beside the test's own program: SwiftPM builds all executables into one folder.
    let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    program.executableURL = URL(fileURLWithPath: own).deletingLastPathComponent()
      .appendingPathComponent("process-engine-check")
    program.arguments = arguments
    let pipe = Pipe()
    program.standardOutput = pipe
    program.standardError = pipe
    try program.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    program.waitUntilExit()
    return (program.terminationStatus, String(decoding: output, as: UTF8.self))
  }
}
