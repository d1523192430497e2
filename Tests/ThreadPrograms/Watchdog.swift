import Glibc
import ThreadTestSupport
import WorkerPool

/// Grows with every step that any strand takes.
let progress = Counter()

/// What this process runs.
let current = Cell<Execution?>(nil)

private let isViolated = Flag()

/// Says what was not as it has to be, and ends the process.
func violated(_ what: String) -> Never {
  // The first one speaks, and has the time to.
  guard isViolated.set() else { while true { pause() } }
  if let execution = current.value {
    print("seed \(execution.program.seed), \(execution.program.profile): \(what)")
    print(execution.state)
  } else {
    print(what)
  }
  fflush(nil)
  _exit(1)
}

/// Watches over the programs that this process runs, on a thread of its own: one that makes no step for a long time
/// hangs. On a machine that is busy the watching thread is late, too, so it counts its own looks and not the time.
func startWatchdog(patience: Duration) {
  let looks = max(1, Int(patience / watchInterval))
  _ = RunningThread {
    var (last, same) = (0, 0)
    while true {
      usleep(UInt32(watchInterval / .microseconds(1)))
      let now = progress.value
      same = now == last ? same + 1 : 0
      last = now
      if same >= looks { violated("hangs: no step in \(patience)") }
      if let execution = current.value { watchForStarving(execution) }
    }
  }
}

private let watchInterval = Duration.milliseconds(50)

private func watchForStarving(_ execution: Execution) {
  guard let flooding = execution.flooding else { return }
  for (id, strand) in execution.strands.enumerated() where execution.canStarve(id) && flooding.isStarved(strand) {
    let later = flooding.count - strand.floodAtSubmission.value
    violated("strand \(id) is starved: \(later) later tasks have run")
  }
}

extension Execution {
  /// Calls and halves wait for who forked them as well.
  fileprivate func canStarve(_ id: Int) -> Bool {
    switch program.strands[id].kind {
    case .task, .spawned: program.strands[id].pool == 0 && strands[id].fate == .accepted
    case .main, .thread, .half, .scopeBody, .iteration, .swiftTask, .callback: false
    }
  }

  /// Where everything is, for whoever looks for the reason of a failure.
  fileprivate var state: String {
    var lines = pools.enumerated().map { index, pool in
      let threads = threads(named: pool.name).map { "\($0.name) \($0.id) \($0.state)" }.joined(separator: ", ")
      return "pool \(index): \(pool.plan)\(pool.isClosing.isSet ? ", closing" : ""); threads: \(threads)"
    }
    lines += strands.indices.map(state)
    let open = promises.indices.filter { promises[$0].future.outcome == nil }
    if !open.isEmpty { lines.append("promises that are not completed: \(open)") }
    return lines.joined(separator: "\n")
  }

  private func state(of id: Int) -> String {
    let (strand, state) = (program.strands[id], strands[id])
    let future = state.handle.future.outcome.flatMap { try? $0.get() }.map { ", \($0.state)" } ?? ""
    let place = strand.pool.map { " in pool \($0)" } ?? ""
    let position = state.position.value
    let step =
      state.isRunning && (1...max(1, strand.steps.count)).contains(position)
      ? ", thread \(state.thread.value), at: \(strand.steps[position - 1])" : ""
    let phase = state.claim == .begun ? (state.ended.value == 1 ? "ended" : "runs") : "\(state.claim), \(state.fate)"
    return "strand \(id), \(strand.kind)\(place): \(phase)\(future)\(step)"
  }
}
