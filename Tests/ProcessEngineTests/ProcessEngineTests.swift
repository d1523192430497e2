import CWorkerPool
import TestSupport
import Testing

/// The process engine, driven by a C program that links it alone: a forked template needs a host with one thread,
/// which a test runner is not. Every scenario runs with workers forked from that program and with re-executed ones.
@Suite(.serialized) struct ProcessEngineTests {
  static let scenarios = [
    "round-trips", "payload-sizes", "reply-limits", "names-and-identity", "cancels", "discards", "takes-over",
    "bad-arguments", "deaths", "killed-from-outside", "runs-wild", "dies-at-start", "queued-survive", "leaves-nothing",
    "host-killed", "host-leaves", "interrupted", "interrupts", "bystanders", "waits-for-any", "maker-ends", "confined",
    "not-startable", "replaced", "origins", "far-descriptors", "markers", "lost-hosts", "template-killed",
    "create-fails", "forked-host", "released-in-callback",
    "many-pools", "sigchld-ignored", "pinned", "places", "places-refused", "floats", "cpu-taken", "cpuset-shrinks",
    "grows", "shrinks", "wanted-again", "shrinks-and-ends", "shrinks-deaf", "resize-limits", "resize-small-file",
    "resize-places", "grows-short", "grows-without-descriptors", "resizes-in-storm", "stress", "prints", "echoes",
    "limits", "recycles", "initializes", "timeouts", "timeout-races", "stop-requests", "terminations", "retries",
    "stopped-workers", "bounded-end", "shared-memories", "shared-limits", "shared-ends", "shared-taken-back", "loans",
    "large-arguments", "large-again", "out-of-descriptors", "waiting-threads", "hostile", "hostile-driven", "breakouts",
    "lies", "oom-scores", "no-pages", "runs-short", "pools-after-fork", "tasks-after-fork", "large-waits",
    "little-address-space", "inherited-numbers", "prints-in-time",
    "waiting-timeouts", "waiting-tidies", "tidying", "restart-fails", "bells-filled", "left-calls", "cgroup-places",
    "memory-cgroups", "sandbox-refuses", "sandbox-allows", "sandbox-not-granted", "sandbox-filter",
    "sandbox-widths", "sandbox-breakouts",
    "nested",
    "kills-without-rights", "stopped-template", "stubborn-template", "terminal-stops", "terminal-stops-handled",
    "terminal-hangs-up", "ignored-signals", "group-signals", "task-children", "task-children-of-killed",
    "ready-then-gone", "start-shortage", "initializer-recovers", "restart-recovers", "restart-refused", "flaps",
    "slow-sends", "few-descriptors", "loss-reexecutes", "adopts-orphans",
  ]

  /// All but one of the pairs: a worker of a re-executed template cannot be told to die at its start.
  static let cases = scenarios.flatMap { scenario in
    ["fork", "reexec"].map { (scenario, $0) }
  }.filter { $0 != ("dies-at-start", "reexec") }

  @Test(.timeLimit(.minutes(5)), arguments: cases)
  func holds(_ scenario: String, _ method: String) async throws {
    let result = try await check(scenario, method)
    #expect(result.status == 0, "\(result)")
  }

  @Test func everyScenarioIsRun() async throws {
    let list = try await check()
    #expect((list.outputLines + list.errorLines).sorted() == Self.scenarios.sorted())
  }

  @Test func anUnknownScenarioIsRefused() async throws {
    #expect(try await check("no-such-scenario", "fork").status == 64)
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

private func check(_ arguments: String...) async throws -> ProgramResult {
  try await runProduct("process-engine-check", arguments)
}
