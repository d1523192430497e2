// Forks, and the ends of pools.

extension Generator {
  // MARK: Forks

  /// The pool that the strand's next fork is for, nil when there is none.
  func poolToEnter(_ id: Int) -> Int? {
    let own = program.strands[id].pool
    if actors[id].isLeaf { return own }
    return program.pools.indices.first { mayEnter($0, id) }
  }

  private func mayEnter(_ pool: Int, _ id: Int) -> Bool {
    guard let own = program.strands[id].pool, !isSwiftTask(id) else { return !isClosing[pool] }
    return pool == own || (!isClosing[pool] && (!program.isLimited || own < pool))
  }

  private mutating func pickPoolToEnter(_ id: Int) -> Int? {
    if actors[id].isLeaf { return program.strands[id].pool }
    if let own = program.strands[id].pool, !isSwiftTask(id), random.chance(75) { return own }
    let pools = program.pools.indices.filter { mayEnter($0, id) }
    return pools.isEmpty ? poolToEnter(id) : random.pick(pools)
  }

  mutating func addJoin(_ id: Int) {
    guard let pool = pickPoolToEnter(id) else { return }
    let halves = (addPart(.half, pool: pool, of: id), addPart(.half, pool: pool, of: id))
    let awaited = addTaskForVisitors(of: pool, by: id)
    append(.join(pool: pool, halves.0, halves.1), to: id)
    open(halves.0)
    open(halves.1)
    if let awaited, canGoOn(halves.0) { addWait(of: halves.0, for: awaited) }
    // The first half needs another thread then, for the second.
    if !actors[id].isLeaf, random.chance(20), canGoOn(halves.0), !waits(halves.1, for: halves.0) {
      addWait(of: halves.0, for: halves.1)
    }
    if random.chance(40) { meet(halves.0, halves.1) }
    if !actors[halves.1].scopes.isEmpty, random.chance(30), canGoOn(halves.1) { addSpawn(halves.1) }
  }

  /// Gives the strand's own pool a task, which a part of a fork in another pool is to wait for: whoever waits for the fork
  /// must not keep its pool from the task.
  private mutating func addTaskForVisitors(of pool: Int, by id: Int) -> Int? {
    guard let own = program.strands[id].pool, own != pool, !isSwiftTask(id), !actors[id].isLeaf, !isClosing[own],
      random.chance(60)
    else { return nil }
    let task = addFree(.task(.submit), pool: own, by: id)
    append(.submit(task), to: id)
    begin(task)
    return actors[task].leavesThread ? nil : task
  }

  mutating func addScope(_ id: Int) {
    guard let pool = pickPoolToEnter(id) else { return }
    let body = addPart(.scopeBody, pool: pool, of: id)
    let awaited = addTaskForVisitors(of: pool, by: id)
    append(.scope(pool: pool, body), to: id)
    openScope(body)
    if let awaited, canGoOn(body) { addWait(of: body, for: awaited) }
  }

  mutating func addSpawn(_ id: Int) {
    let scope = random.pick(actors[id].scopes)
    guard let pool = program.strands[scope].pool, pool == program.strands[id].pool else { return }
    let task = addPart(.spawned(scope: scope), pool: pool, of: id)
    // The scope waits for it, and not who spawned it.
    actors[task].parent = scope
    actors[task].scopes = actors[scope].scopes
    actors[task].chain = actors[scope].chain
    append(.spawn(task), to: id)
    openMember(task, of: scope)
    if actors[task].trigger == nil, !actors[task].isLeaf, random.chance(50) { addWait(of: task, forForkerOf: id) }
  }

  mutating func addSpawnAndWait(_ id: Int) {
    let before = actors.count
    addSpawn(id)
    guard actors.count > before, !actors[id].isLeaf, actors[id].trigger.map(done.contains) ?? true,
      !waits(before, for: id)
    else { return }
    addWait(of: id, for: before)
  }

  /// Has a scope's task wait for what comes after a fork that its spawner is a part of. Whoever waits for the end of the
  /// fork must not take the task up.
  private mutating func addWait(of task: Int, forForkerOf id: Int) {
    var forkers: [Int] = []
    var next = actors[id].parent
    while let forker = next, program.strands[forker].pool == program.strands[id].pool {
      if !actors[forker].hasEnded, !waits(forker, for: task) { forkers.append(forker) }
      next = actors[forker].parent
    }
    guard !forkers.isEmpty else { return }
    addWait(of: task, for: random.pick(forkers))
    if random.chance(60) { append(.spin(microseconds: random.number(50..<500)), to: id) }
  }

  /// A fork for an idle pool: then the thread that forks takes part.
  mutating func addVisit(_ id: Int) {
    append(.nap(microseconds: random.number(200..<800)), to: id)
    if random.chance(50) { addScope(id) } else { addJoin(id) }
  }

  /// A task that closes its pool and then blocks again and again, each time for what another thread has to do: threads start in the
  /// closed pool, end, and start again in the places of those.
  mutating func addEncore(_ id: Int) {
    let pool = pool(near: id)
    guard !isClosing[pool], !isReleased[pool] else { return append(pause(true), to: id) }
    hasEncore = true
    let task = addFree(.task(.submit), pool: pool, by: id)
    append(.submit(task), to: id)
    begin(task)
    append(.shutdown(pool: pool, .begin), to: task)
    isClosing[pool] = true
    for _ in 0..<random.number(3...6) {
      let (waits, keeps) = (addPart(.half, pool: pool, of: task), addPart(.half, pool: pool, of: task))
      append(.join(pool: pool, waits, keeps), to: task)
      actors[task].openChildren += 2
      for half in [waits, keeps] { begin(half) }
      let promise = newPromise()
      append(.wait([.promise(promise)], .result), to: waits)
      append(.nap(microseconds: random.number(50..<600)), to: keeps)
      append(.keep(promise), to: keeps)
      come(.promise(promise))
      end(keeps)
      end(waits)
      append(.nap(microseconds: random.number(50..<300)), to: task)
    }
    end(task)
  }

  mutating func addCalls(_ id: Int, maps: Bool) {
    guard let pool = pickPoolToEnter(id) else { return }
    let calls = (0..<random.number(2...6)).map { _ in addPart(.iteration, pool: pool, of: id) }
    let chunk = random.pick([1, 1, 2, 3])
    let mapping: Mapping =
      isSwiftTask(id)
      ? .sequence : random.pick([.collection, .collection, .sequence, .lazily(reads: random.number(1...calls.count))])
    append(maps ? .map(pool: pool, calls, mapping, chunk: chunk) : .perform(pool: pool, calls, grain: chunk), to: id)
    for call in calls {
      program.strands[call].siblings = calls
      // One may go on when the reader has left, and its scope has ended.
      if maps, mapping != .collection { actors[call].scopes = [] }
    }
    actors[calls[0]].followers = Array(calls.dropFirst())
    open(calls[0])
  }

  mutating func addSum(_ id: Int) {
    guard let pool = pickPoolToEnter(id) else { return }
    let plan = program.pools[pool]
    let isLarge = program.profile == .waiting && plan.spares == nil && !plan.hasSmallStack && random.chance(30)
    let count = isLarge ? random.number(300...600) : random.number(4...60)
    append(.sum(pool: pool, count: count, random.pick(SumWay.allCases)), to: id)
  }

  // MARK: Ends

  mutating func addShutdown(_ id: Int) {
    let own = program.strands[id].pool
    let others = program.pools.indices.filter { $0 != own && !isClosing[$0] }
    // A thread of one pool that waits for another pool's end is what a shutdown meets most seldom.
    let pool = !isSwiftTask(id) && !others.isEmpty && random.chance(65) ? random.pick(others) : pool(near: id)
    guard !isReleased[pool], !isClosing[pool] || random.chance(30) else {
      return append(pause(isSwiftTask(id) || isCallback(id)), to: id)
    }
    let ways: [Shutdown] =
      waitsForEnd(pool, id) ? [.begin, .wait, .wait, .discardAndWait] : [.begin, .begin, .discard]
    let way = random.pick(ways)
    if way.waits, let own, own != pool, random.chance(50) { addTaskThatWaits(in: pool, forTaskIn: own, by: id) }
    append(.shutdown(pool: pool, way), to: id)
    isClosing[pool] = true
    // On a thread of the pool the call returns at once.
    guard way.waits, isSwiftTask(id) || program.strands[id].pool != pool else { return }
    for waiting in actors[id].chain { awaitsEnd[waiting][pool] = true }
    actors[id].awaitedPool = pool
  }

  /// Gives both pools a task, of which one waits for the other: whoever waits for the end of the one pool must not keep the
  /// other one from its work.
  private mutating func addTaskThatWaits(in pool: Int, forTaskIn own: Int, by id: Int) {
    guard !isClosing[own] else { return }
    let awaited = addFree(.task(.submit), pool: own, by: id)
    append(.submit(awaited), to: id)
    begin(awaited)
    let waiting = addFree(.task(.submit), pool: pool, by: id)
    append(.submit(waiting), to: id)
    begin(waiting)
    if !actors[waiting].isLeaf, !actors[awaited].leavesThread { addWait(of: waiting, for: awaited) }
  }

  /// Whether the strand may ask for the pool's end to be waited for.
  private func waitsForEnd(_ pool: Int, _ id: Int) -> Bool {
    if actors[id].isLeaf || isCallback(id) { return false }
    if !isSwiftTask(id), program.strands[id].pool == pool { return true }
    let strands = actors.indices.filter { actors[$0].isOpen && !actors[$0].hasEnded }
    if strands.contains(where: { holds($0, pool) && waits($0, for: id) }) { return false }
    if isSwiftTask(id) { return true }
    let chain = actors[id].chain
    if chain.contains(pool) || chain.contains(where: { awaitsEnd[pool][$0] }) { return false }
    return chain.isEmpty || !program.isLimited || chain.allSatisfy { $0 < pool }
  }

  private func holds(_ id: Int, _ pool: Int) -> Bool {
    program.strands[id].pool == pool && program.strands[id].holdsPool
  }

  mutating func addRelease(_ id: Int) {
    let pool = pool(near: id)
    isReleased[pool] = true
    isClosing[pool] = true
    append(.release(pool: pool), to: id)
  }
}
