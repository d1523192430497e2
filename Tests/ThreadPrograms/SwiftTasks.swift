import ThreadTestSupport
import WorkerPool

// Strands that are Swift tasks, on a pool or on Swift's own threads.

extension Execution {
  func runInSwiftTask(_ id: Int) async {
    guard begin(id) else { return }
    for (index, step) in program.strands[id].steps.enumerated() {
      strands[id].position.value = index + 1
      progress.add()
      await takeAsync(step, by: id)
    }
    strands[id].end.complete(with: Result { try end(id) })
  }

  private func takeAsync(_ step: Step, by id: Int) async {
    switch step {
    case .nap: await Task.yield()
    case .wait(let events, let way): await waitAsync(for: events, way, by: id)
    case .submit(let strand) where program.strands[strand].kind == .task(.run): await runAsync(strand)
    case .map(let pool, let calls, _, let chunk): await mapAsync(pool, calls, chunk: chunk)
    case .shutdown(let pool, let way): await shutDownAsync(pool, way)
    default: takeHere(step, by: id)
    }
  }

  /// A function that async code may call.
  private func takeHere(_ step: Step, by id: Int) { takeAtOnce(step, by: id) }

  private func waitAsync(for events: [Event], _ way: Wait, by id: Int) async {
    var awaited: [(Event, Future<Int>)] = []
    for event in events { if let future = await futureAsync(of: event) { awaited.append((event, future)) } }
    let futures = awaited.map { $0.1 }
    switch way {
    case .all, .first, .firstError:
      let condition: WaitCondition = way == .all ? .allCompleted : way == .first ? .firstCompleted : .firstError
      let (done, notDone) = await WorkerPool.wait(for: futures, returnWhen: condition)
      if done.count + notDone.count != futures.count || done.contains(where: { $0.outcome == nil }) {
        violated("strand \(id): \(done) are done and \(notDone) not")
      }
      if way == .all, !notDone.isEmpty { violated("strand \(id): \(notDone) are not done") }
    case .asCompleted:
      var count = 0
      for await future in asCompleted(futures) where future.outcome != nil { count += 1 }
      if count != futures.count { violated("strand \(id): \(count) of \(futures.count) futures came") }
    case .look: for future in futures { _ = future.state }
    case .result, .resultWithin, .allWithin, .blocking:
      for future in futures { _ = try? await future.value }
    }
    for (event, future) in awaited {
      if let outcome = future.outcome { check(outcome, of: event) }
    }
  }

  private func futureAsync(of event: Event) async -> Future<Int>? {
    switch event {
    case .promise(let promise): promises[promise].future
    case .strand(let strand): try? await strands[strand].handle.future.value
    }
  }

  private func runAsync(_ id: Int) async {
    guard let number = program.strands[id].pool else { return }
    let state = pools[number]
    guard let pool = state.executor else { return forfeitUnreached(id) }
    strands[id].fate = .accepted
    noteSubmission(of: id)
    let errand = Errand(self, id)
    do {
      let value = try await pool.run { try errand.run() }
      check(.success(value), of: .strand(id))
    } catch let error as WorkerPoolError where error.code == .shutDown && state.isClosing.isSet {
      strands[id].fate = .refused
      tally.refused.add()
    } catch {
      check(.failure(error), of: .strand(id))
    }
    guard strands[id].ended.value == 1 else { return forfeit(id) }
    strands[id].end.complete(
      with: program.strands[id].fails ? .failure(Thrown(strand: id)) : .success(Self.value(ofStrand: id)))
  }

  private func mapAsync(_ number: Int, _ calls: [Int], chunk: Int) async {
    let state = pools[number]
    for call in calls { strands[call].fate = .accepted }
    if let pool = state.executor {
      do {
        checkOutputs(try await pool.map(errands(calls), chunkSize: chunk) { try $0.run() }, calls)
      } catch let error as Thrown where calls.contains(error.strand) {
      } catch let error as WorkerPoolError where error.code == .shutDown && state.isClosing.isSet {
      } catch is CancellationError where state.isDiscarding.isSet {
      } catch {
        violated("map from a Swift task failed: \(error)")
      }
    }
    for call in calls where strands[call].claim != .begun { forfeitUnreached(call) }
  }

  func shutDownAsync(_ number: Int, _ way: Shutdown) async {
    let state = pools[number]
    guard let pool = state.executor else { return }
    state.isClosing.set()
    if way.discards { state.isDiscarding.set() }
    guard way.waits else { return beginShutdown(pool, way, state) }
    await pool.shutdown(cancelPending: way.discards)
    state.isClosed.set()
    checkEnded(number)
  }

  /// A function that async code may call.
  private func beginShutdown(_ pool: ThreadPoolExecutor, _ way: Shutdown, _ state: PoolState) {
    pool.shutdown(wait: false, cancelPending: way.discards)
    state.isClosed.set()
  }
}
