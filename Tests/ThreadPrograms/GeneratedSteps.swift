// What a strand does next.

extension Generator {
  private static let deepest = 5

  mutating func addStep(_ id: Int) {
    payDebts(id)
    let choices = Profile.Choice.allCases.map { choice in
      (choice, allows(choice, id) ? program.profile.weight(of: choice) : 0)
    }
    add(random.pick(weighted: choices) ?? .pause, to: id)
  }

  mutating func append(_ step: Step, to id: Int) { program.strands[id].steps.append(step) }

  func kind(_ id: Int) -> Kind { program.strands[id].kind }

  func isSwiftTask(_ id: Int) -> Bool { kind(id) == .swiftTask }

  func isCallback(_ id: Int) -> Bool { kind(id) == .callback }

  /// Whether the strand has a thread that may block.
  private func mayBlock(_ id: Int) -> Bool { !actors[id].isLeaf && !isSwiftTask(id) && !isCallback(id) }

  private func allows(_ choice: Profile.Choice, _ id: Int) -> Bool {
    let hasThread = !isSwiftTask(id) && !isCallback(id)
    return switch choice {
    case .pause, .submit, .keep, .drop, .link, .resize, .inspect: true
    case .callback, .cancel: !actors.isEmpty
    case .meet: !isCallback(id)
    case .submitAndWait: !isCallback(id) && !actors[id].isLeaf
    case .batch: !isCallback(id)
    case .thread: threadsLeft > 0 && !isCallback(id)
    case .swiftTask: !isCallback(id)
    case .wait: !done.isEmpty && !actors[id].isLeaf && !isCallback(id)
    case .waitEarly: mayBlock(id)
    case .waitForLater: !actors[id].isLeaf && !isCallback(id)
    case .join, .scope, .perform: hasThread && actors[id].depth < Self.deepest && poolToEnter(id) != nil
    case .map: !isCallback(id) && actors[id].depth < Self.deepest && poolToEnter(id) != nil
    case .sum: mayBlock(id) && poolToEnter(id) != nil
    case .spawn, .spawnAndWait: hasThread && !actors[id].scopes.isEmpty
    // Where the task gets on top of what the strand has submitted.
    case .pour: poursLeft > 0 && program.strands[id].pool == 0 && program.flood != .outside
    case .shutdown: true
    case .encore: !hasEncore && !program.isLimited && !isCallback(id)
    case .release: mayRelease
    }
  }

  private mutating func add(_ choice: Profile.Choice, to id: Int) {
    switch choice {
    case .pause: append(pause(isSwiftTask(id) || isCallback(id)), to: id)
    case .meet: addMeeting(id)
    case .submit: addSubmission(id)
    case .submitAndWait: addSubmitAndWait(id)
    case .batch: addBatch(id)
    case .thread: addThread(id)
    case .swiftTask: addSwiftTask(id)
    case .wait: addWait(id)
    case .waitEarly: addEarlyWait(id)
    case .waitForLater: addWaitForLater(id)
    case .keep, .drop: addKeep(id, drops: choice == .drop)
    case .link: addLink(id)
    case .callback: addCallback(id)
    case .cancel: append(.cancel(anyEvent()), to: id)
    case .join: addJoin(id)
    case .scope: addScope(id)
    case .spawn: addSpawn(id)
    case .spawnAndWait: addSpawnAndWait(id)
    case .pour:
      poursLeft -= 1
      append(.pour, to: id)
    case .perform, .map: addCalls(id, maps: choice == .map)
    case .sum: addSum(id)
    case .resize: append(.resize(pool: pool(near: id), random.number(1...4)), to: id)
    case .shutdown: addShutdown(id)
    case .encore: addEncore(id)
    case .release: addRelease(id)
    case .inspect: append(.inspect(pool: pool(near: id)), to: id)
    }
  }

  mutating func pause(_ isShort: Bool) -> Step {
    if isShort || random.chance(60) { return .spin(microseconds: random.number(0..<(isShort ? 20 : 200))) }
    return .nap(microseconds: random.number(50..<1500))
  }

  /// The strand's own pool most times.
  mutating func pool(near id: Int) -> Int {
    if let own = program.strands[id].pool, random.chance(70) { return own }
    return random.number(program.pools.indices)
  }

  // MARK: Tasks

  private mutating func addSubmission(_ id: Int) {
    let target = pool(near: id)
    guard !isReleased[target], !isClosing[target] || random.chance(30) else {
      append(pause(isSwiftTask(id) || isCallback(id)), to: id)
      return
    }
    let runs = isSwiftTask(id) && !actors[id].isLeaf ? 40 : 0
    let submission: Submission =
      random.pick(weighted: [(.submit, 60), (.execute, 20), (.onNode, 5), (.run, runs)]) ?? .submit
    let task = addFree(.task(submission), pool: target, by: id)
    if submission == .run { actors[task].parent = id }
    append(.submit(task), to: id)
    open(task)
  }

  private mutating func addSubmitAndWait(_ id: Int) {
    let target = pool(near: id)
    guard !isClosing[target] else { return append(pause(isSwiftTask(id)), to: id) }
    let task = addFree(.task(.submit), pool: target, by: id)
    append(.submit(task), to: id)
    open(task)
    if !actors[task].isLeaf, !actors[task].leavesThread, !waits(task, for: id) { addWait(of: id, for: task) }
  }

  private mutating func addBatch(_ id: Int) {
    let target = pool(near: id)
    let submission = random.pick([Submission.batch, .executeBatch])
    let tasks = (0..<random.number(2...4)).map { _ in addFree(.task(submission), pool: target, by: id) }
    append(.batch(tasks), to: id)
    for task in tasks { open(task) }
  }

  private mutating func addThread(_ id: Int) {
    threadsLeft -= 1
    let thread = addFree(.thread, pool: nil, by: id)
    if random.chance(50) { append(.nap(microseconds: random.number(50..<3000)), to: thread) }
    append(.start(thread), to: id)
    open(thread)
  }

  /// A Swift task needs its pool to the end, so none is on a pool that might be released.
  private mutating func addSwiftTask(_ id: Int) {
    let target = mayRelease || random.chance(30) ? nil : pool(near: id)
    let task = addFree(.swiftTask, pool: target, by: id)
    append(.start(task), to: id)
    open(task)
  }

  private mutating func addMeeting(_ id: Int) {
    let others = actors.indices.filter { $0 != id && canGoOn($0) && !isCallback($0) }
    guard !others.isEmpty else { return append(pause(isSwiftTask(id)), to: id) }
    meet(id, random.pick(others))
  }

  /// What the two do next they do at the same time, or a little after each other.
  mutating func meet(_ one: Int, _ other: Int) {
    for id in [one, other] {
      append(.meet(program.meetings), to: id)
      if random.chance(40) { append(.spin(microseconds: random.number(0..<400)), to: id) }
    }
    program.meetings += 1
    // The first may have opened parts and have to wait for them.
    for id in [one, other] where stepsLeft > 0 && canGoOn(id) {
      stepsLeft -= 1
      addStep(id)
    }
  }

  // MARK: Waiting

  mutating func addWait(_ id: Int) {
    guard !isCallback(id) else { return }
    let count = random.chance(60) ? 1 : random.number(2...4)
    let events = (0..<count).compactMap { _ in eventToAwait(id) }
    guard !events.isEmpty else { return }
    append(.wait(events, wayToAwait(events, id)), to: id)
  }

  /// One that has come, as a rule lately and since the strand began: in the run it may not have come yet.
  private mutating func eventToAwait(_ id: Int) -> Event? {
    guard !done.isEmpty else { return nil }
    let first = random.chance(70) ? min(actors[id].begun, done.count - 1) : 0
    let event = random.chance(75) ? random.pick(Array(done[first...].suffix(8))) : random.pick(Array(done[first...]))
    // A worker might run it here, on top of what must not end with the thread.
    if case .strand(let strand) = event, actors[strand].leavesThread, program.strands[id].pool != nil { return nil }
    return event
  }

  private mutating func wayToAwait(_ events: [Event], _ id: Int) -> Wait {
    let microseconds = random.number(100..<2500)
    if program.isLimited, program.strands[id].pool != nil, !isSwiftTask(id), !events.allSatisfy({ isOwn($0, id) }) {
      return random.pick([.resultWithin(microseconds: microseconds), .allWithin(microseconds: microseconds)])
    }
    let blocking = !program.isLimited || program.strands[id].pool == nil ? 8 : 0
    let several = events.count > 1
    return random.pick(
      weighted: [
        (.result, several ? 10 : 50), (.resultWithin(microseconds: microseconds), several ? 0 : 8),
        (.all, 20), (.allWithin(microseconds: microseconds), 8), (.first, several ? 10 : 0),
        (.firstError, several ? 6 : 0), (.asCompleted, several ? 20 : 5), (.look(microseconds: 200), 5),
        (.blocking, blocking),
      ]) ?? .result
  }

  /// Whether the event is the end of a task of the strand's own pool, of which the pool knows.
  private func isOwn(_ event: Event, _ id: Int) -> Bool {
    guard case .strand(let strand) = event else { return false }
    return program.strands[strand].hasPoolFuture && program.strands[strand].pool == program.strands[id].pool
  }

  /// Waits for what another strand will do: for a promise, or for its end.
  mutating func addWaitForLater(_ id: Int) {
    guard !isCallback(id), !actors[id].isLeaf else { return }
    let debtors = actors.indices.filter { other in
      other != id && actors[other].isOpen && !actors[other].hasEnded && !isCallback(other) && !waits(other, for: id)
    }
    guard !debtors.isEmpty else { return }
    addWait(of: id, for: random.pick(Array(debtors.suffix(12))))
  }

  mutating func addWait(of id: Int, for debtor: Int) {
    // Where waits may be refused, the end of a task of the own pool is what can be waited for at all.
    let chance = program.isLimited && isOwn(.strand(debtor), id) ? 85 : 40
    let isEnd =
      program.strands[debtor].isAwaitable && random.chance(chance)
      && !(actors[debtor].leavesThread && program.strands[id].pool != nil)
    let event = isEnd ? Event.strand(debtor) : .promise(newPromise())
    if case .promise(let promise) = event { actors[debtor].debts.append(promise) }
    actors[id].trigger = event
    actors[id].debtor = debtor
    append(.wait([event], wayToAwait([event], id)), to: id)
  }

  /// Waits a little for a promise that may be kept much later.
  private mutating func addEarlyWait(_ id: Int) {
    let promise = newPromise()
    announced.append(promise)
    append(.wait([.promise(promise)], .resultWithin(microseconds: random.number(50..<1500))), to: id)
  }

  // MARK: Promises

  private mutating func addKeep(_ id: Int, drops: Bool) {
    let promise = announced.isEmpty || random.chance(30) ? newPromise() : announced.removeFirst()
    append(drops ? .drop(promise) : .keep(promise), to: id)
    come(.promise(promise))
  }

  private mutating func addLink(_ id: Int) {
    var source = anyEvent()
    for _ in 0..<random.number(1...3) {
      let promise = newPromise()
      append(.link(source, to: promise), to: id)
      addLink(source, to: promise)
      source = .promise(promise)
    }
  }

  private mutating func addCallback(_ id: Int) {
    let event = anyEvent()
    let strand = addFree(.callback, pool: nil, by: id)
    actors[strand].trigger = event
    append(.callback(event, strand), to: id)
    open(strand)
  }

  /// One that has come or will come, lately most times.
  private mutating func anyEvent() -> Event {
    let strands = actors.indices.filter { program.strands[$0].isAwaitable && actors[$0].isOpen }.map {
      Event.strand($0)
    }
    let events = strands.suffix(4) + done.suffix(4)
    if events.isEmpty {
      announced.append(newPromise())
      return .promise(program.promises - 1)
    }
    return random.pick(Array(events))
  }
}
