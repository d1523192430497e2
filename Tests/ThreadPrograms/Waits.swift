import ThreadTestSupport
import WorkerPool

// Waiting, and what may come of it.

extension Execution {
  func wait(for events: [Event], _ way: Wait, by id: Int) {
    let before = ownThreads(id)
    let awaited = events.compactMap { event in future(of: event, by: id).map { (event, $0) } }
    let futures = awaited.map { $0.1 }
    switch way {
    case .result: for (event, future) in awaited { waitForResult(future, event, within: nil, by: id, before) }
    case .resultWithin(let microseconds):
      for (event, future) in awaited {
        waitForResult(future, event, within: .microseconds(microseconds), by: id, before)
      }
    case .all: expectParts(WorkerPool.wait(for: futures), of: awaited, .allCompleted, by: id, before)
    case .allWithin(let microseconds):
      _ = WorkerPool.wait(for: futures, timeout: .microseconds(microseconds))
    case .first:
      expectParts(
        WorkerPool.wait(for: futures, returnWhen: .firstCompleted), of: awaited, .firstCompleted, by: id, before)
    case .firstError:
      expectParts(WorkerPool.wait(for: futures, returnWhen: .firstError), of: awaited, .firstError, by: id, before)
    case .asCompleted:
      let completed = WorkerPool.asCompleted(futures).map { $0 }
      if completed.count != futures.count { violated("\(completed.count) of \(futures.count) futures came") }
      // One that would never be done comes all the same.
      if completed.contains(where: { $0.outcome == nil }) { noteRefusal(by: id, "all of \(futures.count)", before) }
    case .look(let microseconds): look(at: futures, microseconds: microseconds)
    case .blocking: block(futures, by: id)
    }
    for (event, future) in awaited {
      if let outcome = future.outcome { check(outcome, of: event) }
    }
  }

  private func waitForResult(
    _ future: Future<Int>, _ event: Event, within timeout: Duration?, by id: Int, _ before: [RunningStep]
  ) {
    do {
      let value = try timeout.map { try future.result(timeout: $0) } ?? future.result()
      check(.success(value), of: event)
    } catch let error as WorkerPoolError where error.code == .wouldDeadlock && !isReason(error, event) {
      noteRefusal(by: id, "\(event)", before)
    } catch let error as WorkerPoolError where error.code == .timedOut && timeout != nil {
      tally.timedOut.add()
    } catch {
      check(.failure(error), of: event)
    }
  }

  private func isReason(_ error: WorkerPoolError, _ event: Event) -> Bool { false }

  private func look(at futures: [Future<Int>], microseconds: Int) {
    let end = nanoseconds() + microseconds * 1000
    while futures.contains(where: { $0.outcome == nil }), nanoseconds() < end {}
    for future in futures { _ = future.state }
  }

  private func block(_ futures: [Future<Int>], by id: Int) {
    let number = program.strands[id].pool
    // Of the thread's own pool, which may be released.
    guard let pool = number.map({ pools[$0].executor }) ?? pools[0].executor else {
      for future in futures { _ = try? future.result() }
      return
    }
    let done = Semaphore()
    for future in futures { future.addDoneCallback { _ in done.signal() } }
    pool.withBlocking { done.wait(futures.count) }
  }

  private func expectParts(
    _ parts: (done: [Future<Int>], notDone: [Future<Int>]), of awaited: [(Event, Future<Int>)],
    _ condition: WaitCondition, by id: Int, _ before: [RunningStep]
  ) {
    guard parts.done.count + parts.notDone.count == awaited.count else {
      violated("\(parts.done.count) done and \(parts.notDone.count) not, of \(awaited.count)")
    }
    if let future = parts.done.first(where: { $0.outcome == nil }) { violated("\(future) was called done") }
    let isMet =
      switch condition {
      case .allCompleted: parts.notDone.isEmpty
      case .firstCompleted: !parts.done.isEmpty || awaited.isEmpty
      case .firstError:
        parts.notDone.isEmpty || parts.done.contains { if case .failure? = $0.outcome { true } else { false } }
      }
    if !isMet { noteRefusal(by: id, "\(condition) of \(awaited.count)", before) }
  }

  // MARK: Refusals

  /// A step of another strand of the same pool in which a thread of the pool runs or waits for something else.
  struct RunningStep: Sendable {
    var strand: Int
    var position: Int
  }

  /// What other threads of the pool are at that keeps a wait from being a deadlock.
  private func ownThreads(_ id: Int) -> [RunningStep] {
    guard program.isLimited, let pool = program.strands[id].pool else { return [] }
    let thread = currentThreadID()
    return program.strands.indices.compactMap { other in
      guard program.strands[other].pool == pool, program.strands[other].holdsPool, strands[other].isRunning,
        strands[other].thread.value != thread
      else { return nil }
      let position = strands[other].position.value
      let steps = program.strands[other].steps
      guard position >= 1, position <= steps.count, keepsRunning(steps[position - 1]) else { return nil }
      return RunningStep(strand: other, position: position)
    }
  }

  private func keepsRunning(_ step: Step) -> Bool {
    switch step {
    case .spin, .nap, .meet, .resize: true
    // A promise is no work of the pool. What is may be run by the thread that waits, and wait in its turn.
    case .wait(let events, _): events.allSatisfy { if case .promise = $0 { true } else { false } }
    default: false
    }
  }

  /// A wait was refused that would have been a deadlock. That can only be where the pool has few spares, and when none of
  /// its threads runs: `before` are those that ran before the wait, and each that is still at the same step has run all the
  /// time.
  func noteRefusal(by id: Int, _ what: String, _ before: [RunningStep]) {
    guard let number = program.strands[id].pool, program.pools[number].spares != nil else {
      violated("strand \(id) was not to wait for \(what), and no pool could have come to a stop")
    }
    tally.refusals.add()
    for step in before where strands[step.strand].position.value == step.position {
      violated("strand \(id) was not to wait for \(what), while strand \(step.strand) of the same pool ran")
    }
  }

  // MARK: Outcomes

  /// An event may have the value that it is to have, or an error that there was a reason for.
  func check(_ outcome: Result<Int, any Error>, of event: Event) {
    switch outcome {
    case .success(let value):
      guard value == self.value(of: event) else { violated("\(event) gave \(value)") }
    case .failure(let error):
      guard isExplained(error, event) else { violated("\(event) failed without a reason: \(error)") }
    }
  }

  private func value(of event: Event) -> Int {
    switch event {
    case .strand(let strand): Self.value(ofStrand: strand)
    case .promise(let promise): promises[promise].source.value.map(value) ?? Self.value(ofPromise: promise)
    }
  }

  private func isExplained(_ error: any Error, _ event: Event) -> Bool {
    switch event {
    case .strand(let strand): isExplained(error, strand: strand)
    case .promise(let promise): isExplained(error, promise: promises[promise])
    }
  }

  private func isExplained(_ error: any Error, strand: Int) -> Bool {
    let state = strands[strand]
    let pool = program.strands[strand].pool.map { pools[$0] }
    switch error {
    case let error as Thrown: return error.strand == strand && program.strands[strand].fails && state.ended.value == 1
    case is CancellationError:
      return state.claim != .begun && (state.cancelAsked.isSet || pool?.isDiscarding.isSet ?? false)
        && !state.wasTooLate.isSet
    case is Forfeited: return state.claim != .begun
    case is Left: return state.hasLeft.isSet
    case let error as WorkerPoolError where error.code == .shutDown:
      return state.claim != .begun && pool?.isClosing.isSet ?? false
    default: return state.hasLeft.isSet
    }
  }

  private func isExplained(_ error: any Error, promise: PromiseState) -> Bool {
    if error is CancellationError, promise.cancelAsked.isSet { return true }
    if let error = error as? WorkerPoolError, error.code == .promiseDropped, promise.wasForfeited.isSet { return true }
    return promise.source.value.map { isExplained(error, $0) } ?? false
  }
}
