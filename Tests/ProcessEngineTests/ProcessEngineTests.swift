import CWorkerPool
import TestSupport
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
    let result = try check(scenario, method)
    #expect(result.status == 0, "\(result)")
  }

  @Test func everyScenarioIsRun() throws {
    let list = try check()
    #expect((list.outputLines + list.errorLines).sorted() == Self.scenarios.sorted())
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
}

private func check(_ arguments: String...) throws -> ProgramResult {
  try runProduct("process-engine-check", arguments)
}
