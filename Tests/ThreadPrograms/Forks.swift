import ThreadTestSupport
import WorkerPool

// Forks: steps that end when their parts have ended.

extension Execution {
  func join(_ number: Int, _ a: Int, _ b: Int, by id: Int) {
    enter(number, parts: [a, b], by: id) { pool in
      let values = try pool.join({ try self.run(a) }, { try self.run(b) })
      if values != (Self.value(ofStrand: a), Self.value(ofStrand: b)) { violated("the join gave \(values)") }
    } failsAs: { error in
      // The first half's error goes before the second one's.
      error.strand == (self.program.strands[a].fails ? a : b)
    }
  }

  func scope(_ number: Int, _ body: Int, by id: Int) {
    let members = program.strands.indices.filter { program.strands[$0].kind == .spawned(scope: body) }
    enter(number, parts: [body], by: id) { pool in
      let value = try pool.withScope { scope in
        self.strands[body].scope.set(scope)
        return try self.run(body)
      }
      if value != Self.value(ofStrand: body) { violated("the scope gave \(value)") }
    } failsAs: { error in
      error.strand == body || members.contains(error.strand)
    }
    strands[body].scope.set(nil)
    for member in members where strands[member].fate == .accepted {
      if strands[member].ended.value != 1 { violated("scope \(body) ended before strand \(member)") }
    }
  }

  func spawn(_ id: Int) {
    guard case .spawned(let body) = program.strands[id].kind, let scope = strands[body].scope.value else {
      violated("strand \(id) has no scope")
    }
    strands[id].fate = .accepted
    noteSubmission(of: id)
    scope.spawn { _ = try self.run(id) }
  }

  func perform(_ number: Int, _ calls: [Int], grain: Int, by id: Int) {
    enter(number, parts: calls, by: id, .calls) { pool in
      try pool.concurrentPerform(iterations: calls.count, grain: grain) { _ = try self.run(calls[$0]) }
    } failsAs: { error in
      calls.contains(error.strand)
    }
  }

  func map(_ number: Int, _ calls: [Int], _ mapping: Mapping, chunk: Int, by id: Int) {
    let manner: Manner = if case .lazily = mapping { .lazy } else { .calls }
    enter(number, parts: calls, by: id, manner) { pool in
      switch mapping {
      case .collection: checkOutputs(try pool.map(calls, chunkSize: chunk) { try self.run($0) }, calls)
      case .sequence:
        checkOutputs(try pool.map(errands(calls), chunkSize: chunk) { try $0.run() }, calls)
      case .lazily(let reads): try mapLazily(pool, calls, reads: reads, chunk: chunk, by: id)
      }
    } failsAs: { error in
      calls.contains(error.strand)
    }
  }

  /// Held by their chunks alone: a chunk that is dropped forfeits what its calls should have done, while other calls wait
  /// for that.
  func errands(_ calls: [Int]) -> some Sequence<Errand> { AnySequence(calls.lazy.map { Errand(self, $0) }) }

  func checkOutputs(_ outputs: [Int], _ calls: [Int]) {
    if outputs != calls.map(Self.value(ofStrand:)) { violated("map gave \(outputs) for strands \(calls)") }
  }

  private func mapLazily(_ pool: ThreadPoolExecutor, _ calls: [Int], reads: Int, chunk: Int, by id: Int) throws {
    var read = 0
    for result in try pool.mapLazily(errands(calls), chunkSize: chunk, { try $0.run() }) {
      progress.add()
      do {
        let value = try result.get()
        if value != Self.value(ofStrand: calls[read]) { violated("output \(read) of \(calls) was \(value)") }
      } catch let error as Thrown where error.strand == calls[read] && program.strands[error.strand].fails {
      } catch let error as WorkerPoolError where error.code == .wouldDeadlock {
        noteRefusal(by: id, "a chunk", [])
        return
      } catch is CancellationError where isDiscarding(pool) {
        return
      }
      read += 1
      if read == reads { return }
    }
    if read < calls.count { noteRefusal(by: id, "a chunk", []) }
  }

  private func isDiscarding(_ pool: ThreadPoolExecutor) -> Bool {
    pools.contains { $0.executor === pool && $0.isDiscarding.isSet }
  }

  /// Has a fork made, and looks at how it ends.
  ///
  /// - Parameter manner: What else may happen to parts.
  private func enter(
    _ number: Int, parts: [Int], by id: Int, _ manner: Manner = .complete,
    _ body: (ThreadPoolExecutor) throws -> Void, failsAs isExpected: (Thrown) -> Bool
  ) {
    let state = pools[number]
    for part in parts { strands[part].fate = .accepted }
    guard let pool = state.executor else { return refuse(parts) }
    var mayLeaveOut = manner == .lazy
    var mayGoOn = manner == .lazy
    do {
      try body(pool)
      if manner != .lazy, let part = parts.first(where: { program.strands[$0].fails }) {
        violated("a fork of strand \(id) hides what strand \(part) throws")
      }
    } catch let error as Thrown {
      mayLeaveOut = manner != .complete
      let strand = program.strands[error.strand]
      if !strand.fails || !isExpected(error) || strands[error.strand].ended.value != 1 {
        violated("a fork of strand \(id) threw what strand \(error.strand) throws")
      }
    } catch let error as WorkerPoolError where error.code == .shutDown && state.isClosing.isSet {
      mayLeaveOut = true
      tally.refused.add()
    } catch is CancellationError where state.isDiscarding.isSet && manner != .complete {
      mayLeaveOut = true
    } catch let error as WorkerPoolError where error.code == .wouldDeadlock && manner != .complete {
      mayLeaveOut = true
      mayGoOn = true
      noteRefusal(by: id, "the parts of a fork", [])
    } catch {
      violated("a fork of strand \(id) failed: \(error)")
    }
    check(parts, mayLeaveOut: mayLeaveOut, mayGoOn: mayGoOn, by: id)
  }

  private enum Manner {
    /// All parts run.
    case complete
    /// A part that fails keeps those from running that have not begun.
    case calls
    /// Those that have begun may go on after the end.
    case lazy
  }

  private func refuse(_ parts: [Int]) {
    for part in parts {
      strands[part].fate = .refused
      forfeitUnreached(part)
    }
  }

  private func check(_ parts: [Int], mayLeaveOut: Bool, mayGoOn: Bool, by id: Int) {
    for part in parts {
      let state = strands[part]
      if state.claim != .begun {
        if !mayLeaveOut { violated("a fork of strand \(id) left strand \(part) out") }
        forfeitUnreached(part)
      } else if state.ended.value != 1, !mayGoOn {
        violated("a fork of strand \(id) ended before its part, strand \(part)")
      }
    }
  }
}
