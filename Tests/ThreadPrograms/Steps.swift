import Glibc
import ThreadTestSupport
import WorkerPool

// The steps that neither wait nor fork. All but pauses may also be taken in callbacks and Swift tasks.

extension Execution {
  /// Takes a step on a thread that may block.
  func take(_ step: Step, by id: Int) {
    switch step {
    case .wait(let events, let way): wait(for: events, way, by: id)
    case .join(let pool, let a, let b): join(pool, a, b, by: id)
    case .scope(let pool, let body): scope(pool, body, by: id)
    case .spawn(let strand): spawn(strand)
    case .perform(let pool, let calls, let grain): perform(pool, calls, grain: grain, by: id)
    case .map(let pool, let calls, let mapping, let chunk): map(pool, calls, mapping, chunk: chunk, by: id)
    case .sum(let pool, let count, let way): sum(pool, count, way, by: id)
    case .shutdown(let pool, let way): shutDown(pool, way, by: id)
    default: takeAtOnce(step, by: id)
    }
  }

  func takeAtOnce(_ step: Step, by id: Int) {
    switch step {
    case .spin(let microseconds): spin(microseconds: microseconds)
    case .nap(let microseconds): usleep(UInt32(microseconds))
    case .meet(let meeting): meet(meeting)
    case .submit(let strand): submit(strand)
    case .batch(let strands): submit(strands)
    case .start(let strand): start(strand)
    case .keep(let promise): keep(promise)
    case .drop(let promise): promises[promise].forfeit()
    case .link(let event, let promise): link(event, to: promise)
    case .callback(let event, let strand): callBack(strand, after: event)
    case .cancel(let event): cancel(event)
    case .resize(let pool, let workers): resize(pool, workers)
    case .release(let pool): release(pool)
    case .inspect(let pool): inspect(pool)
    case .pour: flooding?.pour()
    case .leaveThread: leaveThread(id)
    case .exit:
      exits.set()
      exit(Program.exitStatus)
    default: violated("\(step) is no step for a \(program.strands[id].kind)")
    }
  }

  /// Returns when the other one is there, or does not come.
  func meet(_ meeting: Int) {
    let end = nanoseconds() + 500_000
    meetings[meeting].add()
    while meetings[meeting].value < 2, nanoseconds() < end {}
  }

  // MARK: Tasks

  private func submit(_ id: Int) {
    guard let number = program.strands[id].pool, case .task(let submission) = program.strands[id].kind else {
      violated("strand \(id) is no task")
    }
    accept([id], pool: number) { pool, errands in
      let errand = errands[0]
      switch submission {
      case .execute:
        try pool.execute { errand.runAlone() }
        return []
      case .onNode: return [try pool.submit(onNode: 0) { try errand.run() }]
      default: return [try pool.submit { try errand.run() }]
      }
    }
  }

  private func submit(_ ids: [Int]) {
    guard let number = program.strands[ids[0]].pool, case .task(let submission) = program.strands[ids[0]].kind else {
      violated("strands \(ids) are no tasks")
    }
    accept(ids, pool: number) { pool, errands in
      if submission == .batch { return try pool.submit(forEach: errands) { try $0.run() } }
      try pool.execute(forEach: errands) { $0.runAlone() }
      return []
    }
  }

  /// Notes what becomes of tasks. A batch may be taken in part.
  private func accept(
    _ ids: [Int], pool number: Int, _ submit: (ThreadPoolExecutor, [Errand]) throws -> [Future<Int>]
  ) {
    let state = pools[number]
    let errands = ids.map { Errand(self, $0) }
    let isClosed = state.isClosed.isSet
    for id in ids { noteSubmission(of: id) }
    do {
      guard let pool = state.executor else { return refuse(ids, WorkerPoolError(code: .shutDown, message: "released")) }
      let futures = try submit(pool, errands)
      if isClosed { violated("pool \(number) was shut down and has taken strands \(ids)") }
      for (id, future) in zip(ids, futures) {
        future.addDoneCallback { [strands] _ in strands[id].told.add() }
        strands[id].handle.succeed(future)
      }
      for id in ids { strands[id].fate = .accepted }
    } catch let error as WorkerPoolError where error.code == .shutDown && state.isClosing.isSet {
      tally.refused.add()
      // Those of an `execute` of several may have been taken all the same.
      refuse(ids, error)
    } catch {
      violated("strands \(ids) were refused: \(error)")
    }
  }

  private func refuse(_ ids: [Int], _ error: any Error) {
    for id in ids {
      strands[id].fate = .refused
      guard program.strands[id].hasPoolFuture else { continue }
      strands[id].end.fail(error)
      strands[id].handle.succeed(strands[id].end.future)
    }
  }

  func noteSubmission(of id: Int) {
    strands[id].floodAtSubmission.value = flooding?.count ?? 0
    strands[id].submitted.value = nanoseconds()
  }

  private func start(_ id: Int) {
    strands[id].fate = .accepted
    if program.strands[id].kind == .thread {
      started.append(RunningThread { self.runAlone(id) })
      return
    }
    guard let number = program.strands[id].pool else {
      Task { await self.runInSwiftTask(id) }
      return
    }
    guard let pool = pools[number].executor else { violated("pool \(number) was released") }
    Task(executorPreference: pool) { await self.runInSwiftTask(id) }
  }

  // MARK: Promises and futures

  private func keep(_ number: Int) {
    let state = promises[number]
    guard let promise = state.take() else { violated("promise \(number) is to be kept twice") }
    if !promise.succeed(Self.value(ofPromise: number)), !state.cancelAsked.isSet {
      violated("promise \(number) was completed by somebody else")
    }
  }

  private func link(_ event: Event, to number: Int) {
    let state = promises[number]
    state.source.set(event)
    guard let promise = state.take() else { violated("promise \(number) is to be kept twice") }
    onFuture(of: event) { future in
      future.addDoneCallback { promise.complete(with: $0.outcome ?? .failure(Forfeited())) }
    }
  }

  private func callBack(_ id: Int, after event: Event) {
    strands[id].fate = .accepted
    onFuture(of: event) { future in
      future.addDoneCallback { _ in _ = try? self.runInCallback(id) }
    }
  }

  private func runInCallback(_ id: Int) throws -> Int {
    guard begin(id) else { return 0 }
    for (index, step) in program.strands[id].steps.enumerated() {
      strands[id].position.value = index + 1
      if case .shutdown(let pool, let way) = step {
        shutDown(pool, way, by: id)
      } else {
        takeAtOnce(step, by: id)
      }
    }
    return try end(id)
  }

  /// Now or later, on any thread.
  private func onFuture(of event: Event, _ body: @escaping @Sendable (Future<Int>) -> Void) {
    switch event {
    case .promise(let promise): body(promises[promise].future)
    case .strand(let strand):
      strands[strand].handle.future.addDoneCallback { handle in
        if case .success(let future)? = handle.outcome { body(future) }
      }
    }
  }

  private func cancel(_ event: Event) {
    switch event {
    case .promise(let number):
      promises[number].cancelAsked.set()
      promises[number].future.cancel()
    case .strand(let id):
      guard program.strands[id].hasPoolFuture, case .success(let future)? = strands[id].handle.future.outcome else {
        return
      }
      let state = strands[id]
      state.cancelAsked.set()
      if future.cancel() {
        if state.fate != .refused, future.state != .cancelled { violated("strand \(id) was taken back and goes on") }
        state.wasTakenBack.set()
      } else {
        state.wasTooLate.set()
      }
    }
  }

  // MARK: Pools

  func resize(_ number: Int, _ workers: Int) {
    pools[number].isResized.set()
    let isClosed = pools[number].isClosed.isSet
    do {
      guard let pool = pools[number].executor else { return }
      try pool.resize(maxWorkers: workers)
      if isClosed { violated("pool \(number) was shut down and has been resized") }
    } catch let error as WorkerPoolError where error.code == .shutDown && pools[number].isClosing.isSet {
    } catch {
      violated("resizing pool \(number): \(error)")
    }
  }

  func release(_ number: Int) { pools[number].release() }

  /// Of no effect on a pool that was released.
  func shutDown(_ number: Int, _ way: Shutdown, by id: Int) {
    let state = pools[number]
    guard let pool = state.executor else { return }
    state.isClosing.set()
    if way.discards { state.isDiscarding.set() }
    let isOwn = pool.currentWorkerIndex != nil
    pool.shutdown(wait: way.waits, cancelPending: way.discards)
    state.isClosed.set()
    if way.waits, !isOwn { checkEnded(number) }
  }

  private func inspect(_ number: Int) {
    guard let pool = pools[number].executor else { return }
    let workers = pool.maxWorkers
    if !(1...4).contains(workers) { violated("pool \(number) has \(workers) workers") }
    _ = pool.workerCounters
  }

  private func leaveThread(_ id: Int) {
    strands[id].hasLeft.set()
    if !program.strands[id].hasPoolFuture { strands[id].end.fail(Left()) }
    pthread_exit(nil)
  }
}
