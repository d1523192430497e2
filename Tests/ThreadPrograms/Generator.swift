import ThreadTestSupport

/// Makes a program by playing it, as if there were threads without end and one strand at a time did a step.
///
/// A strand that waits for an event goes on when the event has come in the play, and no two strands may wait for each other.
/// So the order of the play is an order in which everything can happen, however many threads there are and in what order
/// the pool begins its tasks: a pool that gives each waiting task a spare has to come to the end.
///
/// What adds edges beyond those of events:
/// - A strand that forks waits for its parts. The calls of a `concurrentPerform` or a `map` are played one after another,
///   since one thread may make them one after another.
/// - A strand that waits for a pool's end waits for all tasks that the pool has accepted. In the play it goes on when all
///   strands of the pool have ended. A task that is submitted later in the play may be early in the run; so it blocks on
///   nothing (``Actor/isLeaf``). Strands of two pools never wait for each other's end.
/// - A pool with few spares refuses waits for its own tasks, and only those. So in a program with such a pool every other
///   wait of a task has a timeout, and only tasks of the first pool enter the second one or wait for its end.
struct Generator {
  /// What the play knows of a strand.
  struct Actor {
    var isOpen = false
    var hasEnded = false
    /// The strand that waits for this one's end, as the forker of its parts does.
    var parent: Int?
    var openChildren = 0
    /// Calls that come after this one.
    var followers: [Int] = []
    /// Set when nothing may block here, since another strand may wait for this one without the play's knowledge.
    var isLeaf = false
    /// The pool whose end it waits for.
    var awaitedPool: Int?
    /// What a callback is called by, or what the strand waits for.
    var trigger: Event?
    /// Whose doing that will be.
    var debtor: Int?
    /// Promises that others wait for, to be kept before anything else is done.
    var debts: [Int] = []
    /// Scopes that it may spawn in: strands of their bodies.
    var scopes: [Int] = []
    /// Pools that have a thread which waits for the strand's end, the one that runs it included.
    var chain: [Int] = []
    var depth = 0
    /// How many events had come when it began.
    var begun = 0
    var leavesThread = false
  }

  var random: Random
  var program: Program
  var actors: [Actor] = []
  /// In the order in which they came.
  var done: [Event] = []
  /// Links whose source has not come.
  private var links: [(source: Event, promise: Int)] = []
  /// Promises that somebody waits for already, with a timeout.
  var announced: [Int] = []
  /// Open strands of each scope, by the strand of its body.
  private var members: [Int: Int] = [:]
  /// [pool of the waiting strand][pool whose end it waits for]
  var awaitsEnd: [[Bool]]
  var isClosing: [Bool]
  var isReleased: [Bool]
  /// Whether somebody has waited for the pool's end.
  private var isLate: [Bool]
  let mayRelease: Bool
  var stepsLeft: Int
  var threadsLeft = 6
  var poursLeft = 4
  var hasEncore = false

  init(seed: UInt64, exits: Bool = false) {
    var random = Random(seed: seed)
    let profile = random.pick(Profile.all)
    program = Program(seed: seed, profile: profile)
    let pools = profile == .across || random.chance(profile == .closing ? 50 : 25) ? 2 : 1
    mayRelease = profile.weight(of: .release) > 0 && random.chance(15)
    awaitsEnd = Array(repeating: Array(repeating: false, count: pools), count: pools)
    isClosing = Array(repeating: false, count: pools)
    isReleased = isClosing
    isLate = isClosing
    let sizes = profile == .closing ? [12...40, 30...100] : [6...16, 6...16, 12...40, 12...40, 30...100]
    stepsLeft = random.number(random.pick(sizes))
    if profile == .flood { program.flood = random.pick(Flood.allCases) }
    program.epilogue =
      random.pick(
        weighted: [
          (.waitFirst, 35), (.shutdown, 25), (.discard, 8), (.asyncShutdown, 10), (.release, mayRelease ? 60 : 0),
        ]) ?? .waitFirst
    exitAt = exits ? random.number(0..<stepsLeft) : nil
    self.random = random
    // All pools of half of the programs have as many spares as tasks could want: only there may tasks wait for anything.
    let isLimited = self.random.chance([.closing, .structured].contains(profile) ? 30 : 45)
    for _ in 0..<pools { program.pools.append(plan(isLimited: isLimited)) }
    if program.epilogue == .waitFirst, self.random.chance(40) { addLastResize() }
  }

  /// How many steps are left when a strand ends the process.
  private var exitAt: Int?

  private mutating func addLastResize() {
    program.lastResize = LastResize(
      workers: random.number(1...4), microseconds: random.number(0..<600), meeting: program.meetings)
    program.meetings += 1
    // They tell of threads that start too late.
    for pool in program.pools.indices { program.pools[pool].hasHooks = random.chance(80) }
  }

  private mutating func plan(isLimited: Bool) -> PoolPlan {
    PoolPlan(
      workers: random.pick([1, 1, 2, 2, 2, 3, 4]), spares: isLimited ? random.pick([nil, 0, 0, 0, 0, 1, 2]) : nil,
      hasHooks: random.chance(40), spins: random.chance(60), hasSmallStack: random.chance(isLimited ? 60 : 15))
  }

  /// The whole program.
  mutating func make() -> Program {
    let main = add(Strand(kind: .main), Actor())
    open(main)
    // A thread from outside that works as a worker is another one that a closing pool has to wait for.
    if program.profile == .closing, random.chance(60) { addVisit(main) }
    while let id = next() { play(id) }
    let hanging = actors.indices.filter { actors[$0].isOpen && !actors[$0].hasEnded }
    let waits = hanging.map { "strand \($0) waits for \(awaited(by: $0))" }.joined(separator: "\n")
    guard hanging.isEmpty else { violated("\(program)\nthe play hangs:\n\(waits)") }
    return program
  }

  /// A strand that can do a step; nil when all have ended.
  private mutating func next() -> Int? {
    letWaitersGoOn()
    let ready = actors.indices.filter(canGoOn)
    if ready.isEmpty, !announced.isEmpty {
      program.neverKept = announced
      announced = []
      for promise in program.neverKept { come(.promise(promise)) }
      return next()
    }
    guard !ready.isEmpty else { return nil }
    return random.chance(50) ? random.pick(Array(ready.suffix(3))) : random.pick(ready)
  }

  private mutating func letWaitersGoOn() {
    for (waiter, actor) in actors.enumerated() {
      if let pool = actor.awaitedPool, hasNoStrands(pool) {
        actors[waiter].awaitedPool = nil
        isLate[pool] = true
      }
    }
  }

  func canGoOn(_ id: Int) -> Bool {
    let actor = actors[id]
    guard actor.isOpen, !actor.hasEnded, actor.openChildren == 0, actor.awaitedPool == nil else { return false }
    return actor.trigger.map(done.contains) ?? true
  }

  private mutating func play(_ id: Int) {
    if let left = exitAt, stepsLeft <= left, program.strands[id].holdsPool {
      exitAt = nil
      program.strands[id].steps.append(.exit)
    }
    payDebts(id)
    if stepsLeft <= 0 {
      if random.chance(30), !actors[id].isLeaf { addWait(id) }
      end(id)
    } else if random.chance(chanceToEnd(id)) {
      end(id)
    } else {
      stepsLeft -= 1
      addStep(id)
    }
  }

  private func chanceToEnd(_ id: Int) -> Int {
    // What goes on in a closing pool has more to meet there the longer it does.
    if let pool = program.strands[id].pool, isClosing[pool] { return usualChanceToEnd(id) / 2 }
    return usualChanceToEnd(id)
  }

  private func usualChanceToEnd(_ id: Int) -> Int {
    switch program.strands[id].kind {
    case .main: 4
    case .thread: 10
    case .task, .swiftTask: 18
    case .half, .scopeBody: 20
    case .spawned: 15
    case .iteration, .callback: 40
    }
  }

  // MARK: Strands

  mutating func add(_ strand: Strand, _ actor: Actor) -> Int {
    program.strands.append(strand)
    actors.append(actor)
    return program.strands.count - 1
  }

  /// A strand that does not run as a part of another.
  mutating func addFree(_ kind: Kind, pool: Int?, by id: Int) -> Int {
    var actor = Actor()
    actor.isLeaf = actors[id].isLeaf || (pool.map { isLate[$0] } ?? false) || kind == .callback
    if let pool, Strand(kind: kind, pool: pool).holdsPool { actor.chain = [pool] }
    if case .task(let submission) = kind, submission != .run {
      actor.leavesThread = random.chance(6) && !runsUnderSanitizer
    }
    return add(Strand(kind: kind, pool: pool), actor)
  }

  /// A strand that another one waits for.
  mutating func addPart(_ kind: Kind, pool: Int, of parent: Int) -> Int {
    var actor = Actor()
    actor.parent = parent
    actor.isLeaf = actors[parent].isLeaf
    actor.depth = actors[parent].depth + 1
    let chain = actors[parent].chain
    actor.chain = chain.contains(pool) ? chain : chain + [pool]
    // A scope's tasks are spawned by threads of its own pool.
    actor.scopes = program.strands[parent].pool == pool ? actors[parent].scopes : []
    return add(Strand(kind: kind, pool: pool), actor)
  }

  mutating func open(_ id: Int) {
    begin(id)
    mayWait(id)
    if let parent = actors[id].parent { actors[parent].openChildren += 1 }
  }

  mutating func openScope(_ body: Int) {
    open(body)
    actors[body].scopes.append(body)
    members[body] = 1
  }

  mutating func begin(_ id: Int) {
    actors[id].isOpen = true
    actors[id].begun = done.count
  }

  /// Has a strand begin with a wait for what another one will do.
  private mutating func mayWait(_ id: Int) {
    if actors[id].trigger == nil, random.chance(20) { addWaitForLater(id) }
  }

  mutating func openMember(_ id: Int, of body: Int) {
    begin(id)
    mayWait(id)
    members[body, default: 0] += 1
  }

  mutating func end(_ id: Int) {
    let kind = program.strands[id].kind
    if actors[id].leavesThread {
      program.strands[id].steps.append(.leaveThread)
    } else {
      program.strands[id].fails = mayFail(kind) && random.chance(8)
    }
    actors[id].hasEnded = true
    if program.strands[id].isAwaitable { come(.strand(id)) }
    switch kind {
    case .scopeBody: leaveScope(id)
    case .spawned(let body): leaveScope(body)
    default:
      if let parent = actors[id].parent { actors[parent].openChildren -= 1 }
      if let follower = actors[id].followers.first {
        actors[follower].followers = Array(actors[id].followers.dropFirst())
        open(follower)
      }
    }
  }

  private func mayFail(_ kind: Kind) -> Bool {
    switch kind {
    case .half, .scopeBody, .spawned, .iteration, .task(.run): true
    case .task(let submission): submission.hasFuture
    case .main, .thread, .swiftTask, .callback: false
    }
  }

  private mutating func leaveScope(_ body: Int) {
    members[body, default: 0] -= 1
    if members[body] == 0, let parent = actors[body].parent { actors[parent].openChildren -= 1 }
  }

  // MARK: Who waits for whom

  /// The strands that a strand waits for now.
  private func awaited(by id: Int) -> [Int] {
    let actor = actors[id]
    var awaited: [Int] = []
    if let debtor = actor.debtor, let trigger = actor.trigger, !done.contains(trigger) { awaited.append(debtor) }
    for (other, strand) in program.strands.enumerated() where !actors[other].hasEnded && other != id {
      let isPart =
        if case .spawned(let body) = strand.kind { actors[body].parent == id } else { actors[other].parent == id }
      let endsPool = actor.awaitedPool != nil && strand.pool == actor.awaitedPool && strand.holdsPool
      if isPart || endsPool { awaited.append(other) }
    }
    return awaited
  }

  /// Whether a strand waits for another one, or for one that does.
  func waits(_ id: Int, for other: Int) -> Bool {
    var seen = [id]
    var next = 0
    while next < seen.count {
      if seen[next] == other { return true }
      for strand in awaited(by: seen[next]) where !seen.contains(strand) { seen.append(strand) }
      next += 1
    }
    return false
  }

  private func hasNoStrands(_ pool: Int) -> Bool {
    for (strand, actor) in zip(program.strands, actors) where strand.pool == pool && strand.holdsPool {
      if !actor.hasEnded, actor.isOpen || actor.parent != nil { return false }
    }
    return true
  }

  // MARK: Events

  mutating func payDebts(_ id: Int) {
    let debts = actors[id].debts
    actors[id].debts = []
    for promise in debts {
      program.strands[id].steps.append(.keep(promise))
      come(.promise(promise))
    }
  }

  mutating func come(_ event: Event) {
    done.append(event)
    let due = links.filter { $0.source == event }
    links.removeAll { $0.source == event }
    for link in due { come(.promise(link.promise)) }
  }

  mutating func newPromise() -> Int {
    program.promises += 1
    return program.promises - 1
  }

  /// Has the promise come when the source does.
  mutating func addLink(_ source: Event, to promise: Int) {
    if done.contains(source) { come(.promise(promise)) } else { links.append((source, promise)) }
  }
}
