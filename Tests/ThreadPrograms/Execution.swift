import Glibc
import ThreadTestSupport
import WorkerPool

/// One run of a program.
final class Execution: Sendable {
  let program: Program
  let pools: [PoolState]
  let strands: [StrandState]
  let promises: [PromiseState]
  let meetings: [Counter]
  let started = Log<RunningThread>()
  let flooding: Flooding?
  /// Set when a strand is about to end the process.
  let exits = Flag()

  init(_ program: Program) throws {
    self.program = program
    let pools = try program.pools.enumerated().map { index, plan in
      try PoolState(plan, name: "p\(program.seed)\(["a", "b"][index])")
    }
    self.pools = pools
    strands = program.strands.map { strand in
      let state = StrandState()
      if strand.isAwaitable, !strand.hasPoolFuture { state.handle.succeed(state.end.future) }
      return state
    }
    promises = (0..<program.promises).map { PromiseState($0) }
    meetings = (0..<program.meetings).map { _ in Counter() }
    flooding = program.flood.map { Flooding($0, pools[0]) }
  }

  /// What a strand gives.
  static func value(ofStrand strand: Int) -> Int { strand &* 31 &+ 7 }

  static func value(ofPromise promise: Int) -> Int { promise &* 17 &+ 3 }

  func run() {
    flooding?.start()
    _ = try? run(0)
    for promise in program.neverKept { promises[promise].forfeit() }
    switch program.epilogue {
    case .waitFirst: break
    case .shutdown: for pool in pools.indices { shutDown(pool, .wait, by: 0) }
    case .discard: for pool in pools.indices { shutDown(pool, .discardAndWait, by: 0) }
    case .asyncShutdown: shutDownInSwiftTask()
    case .release: for pool in pools.indices { release(pool) }
    }
    waitForStrands()
    flooding?.end()
    shutDown()
    for pool in pools { pool.release() }
    checkAtEnd()
  }

  /// Shuts idle pools down, perhaps while they are resized.
  private func shutDown() {
    guard let last = program.lastResize else {
      for pool in pools.indices { shutDown(pool, .wait, by: 0) }
      return
    }
    let resizer = RunningThread {
      self.meet(last.meeting)
      for pool in self.pools.indices { self.resize(pool, last.workers) }
    }
    meet(last.meeting)
    spin(microseconds: last.microseconds)
    for pool in pools.indices { shutDown(pool, .wait, by: 0) }
    resizer.join()
  }

  private func shutDownInSwiftTask() {
    let ended = Promise<Void>()
    Task {
      for pool in pools.indices { await shutDownAsync(pool, .wait) }
      ended.succeed(())
    }
    try? ended.future.result()
  }

  /// Every strand has begun and ended after this, or never will begin, and every promise is completed.
  private func waitForStrands() {
    for (index, strand) in program.strands.enumerated() where strand.isAwaitable {
      _ = try? strands[index].handle.future.result().result()
      progress.add()
    }
    // A thread may be started by one that was started before.
    var joined = 0
    while true {
      let all = started.entries
      if joined == all.count, strands.allSatisfy({ isSettled($0) }),
        promises.allSatisfy({ $0.told.value >= PromiseState.callbacks })
      {
        break
      }
      for thread in all[joined...] { thread.join() }
      joined = all.count
      usleep(20)
    }
  }

  private func isSettled(_ strand: StrandState) -> Bool {
    strand.ended.value == 1 || strand.claim == .forfeited || strand.hasLeft.isSet && strand.outcome != nil
  }

  // MARK: Strands

  /// Runs a strand on the calling thread.
  func run(_ id: Int) throws -> Int {
    guard begin(id) else { return Self.value(ofStrand: id) }
    for (index, step) in program.strands[id].steps.enumerated() {
      strands[id].position.value = index + 1
      progress.add()
      take(step, by: id)
    }
    return try end(id)
  }

  /// False for a call that its reader has left, or that another one has failed beside: whether it is made is a matter of
  /// luck.
  func begin(_ id: Int) -> Bool {
    guard strands[id].claim(as: .begun) else {
      if program.strands[id].kind == .iteration, strands[id].claim == .forfeited { return false }
      violated("strand \(id) begins, and is \(strands[id].claim) already")
    }
    strands[id].thread.value = currentThreadID()
    checkPlaces(of: id)
    tally.strands.add()
    progress.add()
    return true
  }

  func end(_ id: Int) throws -> Int {
    let state = strands[id]
    state.position.value = program.strands[id].steps.count + 1
    if state.ended.add() != 1 { violated("strand \(id) ended twice") }
    progress.add()
    if program.strands[id].fails {
      // Those that have not begun may be left out, and others wait for what they should have done.
      for sibling in program.strands[id].siblings { forfeit(sibling) }
      throw Thrown(strand: id)
    }
    return Self.value(ofStrand: id)
  }

  /// Runs a strand whose end nobody but the program itself notes.
  func runAlone(_ id: Int) {
    strands[id].end.complete(with: Result { try run(id) })
  }

  /// Completes whatever a strand should have completed that will not run: its promises, and what it should have started.
  func forfeit(_ id: Int) {
    let state = strands[id]
    guard state.claim(as: .forfeited) else { return }
    state.end.fail(Forfeited())
    let steps = program.strands[id].steps
    for step in steps {
      switch step {
      case .keep(let promise), .drop(let promise), .link(_, let promise): promises[promise].forfeit()
      default: for part in step.strands { forfeitUnreached(part) }
      }
    }
  }

  func forfeitUnreached(_ id: Int) {
    forfeit(id)
    strands[id].handle.succeed(strands[id].end.future)
  }

  /// The event's future, which may have to be waited for itself; nil when that took too long.
  func future(of event: Event, by id: Int) -> Future<Int>? {
    switch event {
    case .promise(let promise): return promises[promise].future
    case .strand(let strand):
      let handle = strands[strand].handle.future
      if let outcome = handle.outcome { return try? outcome.get() }
      if program.isLimited, program.strands[id].pool != nil {
        return try? handle.result(timeout: .milliseconds(2))
      }
      do {
        return try handle.result()
      } catch {
        violated("waiting for the future of strand \(strand): \(error)")
      }
    }
  }
}

/// What the closure of a task holds. If the closure goes and has not been called, what others wait for is forfeited.
final class Errand: Sendable {
  private let execution: Execution
  private let strand: Int

  init(_ execution: Execution, _ strand: Int) {
    self.execution = execution
    self.strand = strand
  }

  deinit { execution.forfeit(strand) }

  func run() throws -> Int { try execution.run(strand) }

  func runAlone() { execution.runAlone(strand) }
}

extension Step {
  /// The strands that it starts.
  var strands: [Int] {
    switch self {
    case .submit(let strand), .start(let strand), .callback(_, let strand), .scope(_, let strand), .spawn(let strand):
      [strand]
    case .batch(let strands), .perform(_, let strands, _), .map(_, let strands, _, _): strands
    case .join(_, let a, let b): [a, b]
    default: []
    }
  }
}
