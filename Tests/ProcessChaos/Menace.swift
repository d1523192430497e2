import Glibc
import ThreadTestSupport
import WorkerPool

/// Kills and stops the processes of a pool at random, every few milliseconds, signals their groups, and lets them run short of
/// processes and descriptors, while the load goes on.
struct Menace {
  private struct Stopped {
    /// As for `kill`: a group is negative.
    var process: Int32
    var end: ContinuousClock.Instant
  }

  private let pool: ProcessPoolExecutor
  private let board: Board
  private let ledger: Ledger
  private var random: Random
  private var stopped: [Stopped] = []
  private var shortage: Shortage?
  /// A pool gives up when a worker has failed to start three times in a row: what hits those that start is done once
  /// between times at which all of them were at work.
  private var mayHitStarting = false
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
      if shortage?.isOver == true { shortage = nil }
      strike()
    }
    letGoOn { _ in true }
    shortage = nil
  }

  private mutating func strike() {
    let listed = Set(pool.workerProcessIdentifiers)
    let working = board.atWork.filter(listed.contains)
    if working.count == pool.maxWorkers && shortage == nil { mayHitStarting = true }
    guard let victim = working.randomElement(using: &random) else { return }
    switch Int.random(in: 0..<100, using: &random) {
    case 0..<8: stop(victim)
    case 8..<12: stop(-victim)
    case 12..<14: if let template = parent(of: victim) { stop(template) }
    case 14..<18: killTemplate(of: victim)
    case 18..<26: killStarting(listed.subtracting(working))
    case 26..<36: signal(victim)
    case 36..<42: startShortage(for: victim)
    default:
      // Its group is killed with it in any case.
      kill(random.chance(20) ? -victim : victim, SIGKILL)
      ledger.kills.add()
    }
  }

  private mutating func stop(_ process: Int32) {
    guard process != getpid() else { return }
    kill(process, SIGSTOP)
    stopped.append(Stopped(process: process, end: .now + .milliseconds(Int.random(in: 1..<40, using: &random))))
    ledger.stops.add()
  }

  private mutating func letGoOn(_ isDue: (Stopped) -> Bool) {
    for stopped in stopped where isDue(stopped) { kill(stopped.process, SIGCONT) }
    stopped.removeAll(where: isDue)
  }

  /// What ends or stops other programs, to the group of a worker or to the template: neither heeds it.
  private mutating func signal(_ worker: Int32) {
    let signals = [SIGTERM, SIGHUP, SIGINT, SIGTTIN, SIGTTOU]
    if random.chance(70) {
      kill(-worker, signals.randomElement(using: &random) ?? SIGTERM)
    } else if let template = parent(of: worker), template != getpid() {
      kill(template, (signals + [SIGTSTP]).randomElement(using: &random) ?? SIGTERM)
    }
    ledger.signals.add()
  }

  /// For a moment the template can start no worker.
  private mutating func startShortage(for worker: Int32) {
    guard mayHitStarting, shortage == nil, let template = parent(of: worker), template != getpid() else { return }
    let length = Duration.milliseconds(Int.random(in: 5..<50, using: &random))
    let countable = random.chance(50) ? Countable.processes : .descriptors
    guard let started = Shortage(of: countable, in: template, for: length) else { return }
    mayHitStarting = false
    shortage = started
    ledger.shortages.add()
    for worker in board.atWork where random.chance(50) && parent(of: worker) == template {
      kill(worker, SIGKILL)
      ledger.kills.add()
    }
  }

  /// A forked template cannot be replaced. Its workers have been at work, so it has not died three times in a row
  /// without, which would break the pool. It dies as it sleeps, while it is stopped, or while it replaces all of its workers; and
  /// the next one, perhaps, while it starts.
  private mutating func killTemplate(of worker: Int32) {
    guard pool.startMethod == .reexec, .now >= nextTemplateKill, let template = parent(of: worker),
      template != getpid(),
      pool.workerProcessIdentifiers.contains(worker)
    else { return }
    let known = Set(children(of: getpid()) + children(of: template))
    let manner = Int.random(in: 0..<4, using: &random)
    if manner == 1 { kill(template, SIGSTOP) }
    if manner >= 2 { for worker in children(of: template) { kill(worker, SIGKILL) } }
    if manner == 3 { usleep(UInt32.random(in: 0..<3000, using: &random)) }
    kill(template, SIGKILL)
    ledger.templateKills.add()
    if random.chance(40) { killNextTemplate(known) }
    nextTemplateKill = .now + .milliseconds(300)
  }

  /// The child that is none of these, at some moment of its start.
  private mutating func killNextTemplate(_ known: Set<Int32>) {
    let end = ContinuousClock.now + .milliseconds(50)
    while .now < end {
      if let next = children(of: getpid()).first(where: { !known.contains($0) && parent(of: $0) == getpid() }) {
        usleep(UInt32.random(in: 0..<6000, using: &random))
        kill(next, SIGKILL)
        ledger.templateKills.add()
        return
      }
      sched_yield()
    }
  }

  private mutating func killStarting(_ starting: Set<Int32>) {
    guard mayHitStarting, let victim = starting.randomElement(using: &random) else { return }
    mayHitStarting = false
    kill(victim, SIGKILL)
    ledger.kills.add()
  }
}
