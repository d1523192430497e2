import ThreadTestSupport
import WorkerPool

// What has to hold at the ends of pools and of the program.

extension Execution {
  /// A pool of n workers with few spares never has more threads than that in its tasks.
  func checkPlaces(of id: Int) {
    guard let number = program.strands[id].pool, let spares = program.pools[number].spares,
      !pools[number].isResized.isSet
    else { return }
    let running = program.strands.indices.filter {
      program.strands[$0].pool == number && program.strands[$0].holdsPool && strands[$0].isRunning
    }
    // Strands may end while this counts: a thread counts when it has been there all the time. One may have just begun.
    let threads = Set(running.map { strands[$0].thread.value }.filter { $0 != 0 })
    let limit = program.pools[number].workers + spares
    guard threads.count > limit else { return }
    let still = Set(running.filter { strands[$0].isRunning }.map { strands[$0].thread.value }.filter { $0 != 0 })
    // That is set before a resize.
    guard still.count > limit, !pools[number].isResized.isSet else { return }
    violated("\(still.count) threads run tasks of pool \(number), not \(limit)")
  }

  /// After a call that has waited for the pool's end.
  func checkEnded(_ number: Int) {
    let state = pools[number]
    state.hasEnded.set()
    if state.started.value != state.stopped.value {
      violated("pool \(number) has ended, and \(state.stopped.value) of \(state.started.value) threads have")
    }
    for (id, strand) in program.strands.enumerated() where strand.pool == number && strand.holdsPool {
      if strands[id].isRunning, !strands[id].hasLeft.isSet {
        violated("pool \(number) has ended, strand \(id) has not")
      }
      if strand.hasPoolFuture, strands[id].fate == .accepted, strands[id].outcome == nil {
        violated("pool \(number) has ended, and the future of strand \(id) has not")
      }
    }
  }

  func checkAtEnd() {
    for id in strands.indices { checkStrand(id) }
    for (number, promise) in promises.enumerated() {
      guard let outcome = promise.future.outcome else {
        violated("promise \(number) was not completed")
      }
      check(outcome, of: .promise(number))
      if promise.told.value != PromiseState.callbacks {
        violated("promise \(number) called \(promise.told.value) of \(PromiseState.callbacks) callbacks")
      }
    }
    for (number, pool) in pools.enumerated() {
      guard eventually({ threads(named: pool.name).isEmpty }) else {
        violated("pool \(number) has ended, and has threads: \(threads(named: pool.name).map(\.name))")
      }
      guard eventually({ pool.started.value == pool.stopped.value }) else {
        violated("\(pool.stopped.value) of \(pool.started.value) threads of pool \(number) have ended")
      }
    }
  }

  private func checkStrand(_ id: Int) {
    let (strand, state) = (program.strands[id], strands[id])
    if state.claim == .begun, state.ended.value != 1, !state.hasLeft.isSet { violated("strand \(id) has not ended") }
    if state.claim == .none { violated("nothing was heard of strand \(id)") }
    if state.wasTakenBack.isSet, state.claim == .begun { violated("strand \(id) was taken back and has run") }
    if state.fate == .refused, state.claim == .begun, strand.kind != .task(.executeBatch) {
      violated("strand \(id) was refused and has run")
    }
    guard strand.isAwaitable else { return }
    guard let outcome = state.outcome else { violated("the future of strand \(id) is not done") }
    check(outcome, of: .strand(id))
    if strand.hasPoolFuture, state.fate == .accepted {
      guard eventually({ state.told.value == 1 }) else {
        violated("the future of strand \(id) called its callback \(state.told.value) times")
      }
      if case .success = outcome, state.claim != .begun { violated("strand \(id) has a value and has not run") }
    }
    let mayBeDropped =
      state.fate != .accepted || state.cancelAsked.isSet
      || strand.pool.map { pools[$0].isDiscarding.isSet || pools[$0].isClosing.isSet && strand.hasPoolFuture } ?? false
    if state.claim == .forfeited, !mayBeDropped { violated("strand \(id) was accepted and has not run") }
  }
}
