import Glibc
import ThreadTestSupport
import WorkerPool

/// Kills and stops the processes of a pool at random, every few milliseconds, while the load goes on.
struct Menace {
  private struct Stopped {
    var process: Int32
    var end: ContinuousClock.Instant
  }

  private let pool: ProcessPoolExecutor
  private let board: Board
  private let ledger: Ledger
  private var random: Random
  private var stopped: [Stopped] = []
  private var mayKillStarting = false
  private var nextTemplateKill = ContinuousClock.now

  init(_ pool: ProcessPoolExecutor, _ board: Board, _ ledger: Ledger, _ random: Random) {
    self.pool = pool
    self.board = board
    self.ledger = ledger
    self.random = random
  }

  mutating func run(while goesOn: () -> Bool) {
    // A sanitizer's processes take longer to start, and should come to some work in between.
    let pace = runsUnderSanitizer ? 10 : 1
    while goesOn() {
      usleep(UInt32(pace * Int.random(in: 500..<8000, using: &random)))
      letGoOn { $0.end < .now }
      strike()
    }
    letGoOn { _ in true }
  }

  private mutating func strike() {
    let listed = Set(pool.workerProcessIdentifiers)
    let working = board.atWork.filter(listed.contains)
    if working.count == pool.maxWorkers { mayKillStarting = true }
    guard let victim = working.randomElement(using: &random) else { return }
    switch Int.random(in: 0..<100, using: &random) {
    case 0..<12: stop(victim)
    case 12..<14: stop(parent(of: victim))
    case 14..<18: killTemplate(of: victim)
    case 18..<26: killStarting(listed.subtracting(working))
    default:
      kill(victim, SIGKILL)
      ledger.kills.add()
    }
  }

  private mutating func stop(_ process: Int32?) {
    guard let process, process != getpid() else { return }
    kill(process, SIGSTOP)
    stopped.append(Stopped(process: process, end: .now + .milliseconds(Int.random(in: 1..<40, using: &random))))
    ledger.stops.add()
  }

  private mutating func letGoOn(_ isDue: (Stopped) -> Bool) {
    for stopped in stopped where isDue(stopped) { kill(stopped.process, SIGCONT) }
    stopped.removeAll(where: isDue)
  }

  /// A forked template cannot be replaced. Its workers have been at work, so it has not died three times in a row
  /// without, which would break the pool.
  private mutating func killTemplate(of worker: Int32) {
    guard pool.startMethod == .reexec, .now >= nextTemplateKill, let template = parent(of: worker),
      template != getpid(),
      pool.workerProcessIdentifiers.contains(worker)
    else { return }
    kill(template, SIGKILL)
    ledger.templateKills.add()
    nextTemplateKill = .now + .milliseconds(200)
  }

  /// A pool gives up when a worker is killed three times before it has got ready, so this is done once between times
  /// at which all of them were at work.
  private mutating func killStarting(_ starting: Set<Int32>) {
    guard mayKillStarting, let victim = starting.randomElement(using: &random) else { return }
    mayKillStarting = false
    kill(victim, SIGKILL)
    ledger.kills.add()
  }
}
