import Glibc
import ThreadTestSupport
import WorkerPool

/// A thread that submits tasks of all kinds, in rounds, and looks at the end of each of them.
struct Load {
  static let cells = 64

  private let pool: ProcessPoolExecutor
  private let board: Board
  private let ledger: Ledger
  private var random: Random
  /// The first of this thread's cells on the board.
  private let firstCell: Int
  /// Those that the round has used.
  private var used = 0

  init(_ pool: ProcessPoolExecutor, _ board: Board, _ ledger: Ledger, _ random: Random, index: Int) {
    self.pool = pool
    self.board = board
    self.ledger = ledger
    self.random = random
    firstCell = index * Self.cells
  }

  mutating func round() throws {
    used = 0
    switch Int.random(in: 0..<9, using: &random) {
    case 0: try burst()
    case 1: try timeouts()
    case 2: try cancels()
    case 3: try terminations()
    case 4: try maps()
    case 5: try largeData()
    case 6: try lentResults()
    case 7: try sharedArrays()
    default: try followUps()
    }
  }

  // MARK: Small tasks

  private mutating func send(_ manner: Work.Manner, _ options: TaskOptions = TaskOptions()) throws -> Sent {
    let cell = firstCell + used
    used += 1
    board.begun[cell] = 0
    let work = Work(board: board, cell: cell, number: .random(in: 0..<1_000_000, using: &random), manner: manner)
    let future = try pool.submit(work, options: options)
    ledger.follow(future)
    return Sent(future: future, work: work, options: options)
  }

  private mutating func burst() throws {
    var tasks: [Sent] = []
    for _ in 0..<Int.random(in: 1...Self.cells, using: &random) {
      let manner = [Work.Manner.answers, .answers, .answers, .lingers, .fails, .aborts].randomElement(using: &random)
      let retries = manner != .aborts && random.chance(30) ? 3 : 0
      tasks.append(try send(manner ?? .answers, TaskOptions(retries: retries)))
    }
    // In the order of their ends, or in their own, some awaited with a timeout first.
    if random.chance(30) {
      let done = asCompleted(tasks.map(\.future)).reduce(0) { count, _ in count + 1 }
      try expect(done == tasks.count, "\(done) of \(tasks.count) were completed")
    }
    for task in tasks {
      if random.chance(20) {
        do { _ = try task.future.result(timeout: .microseconds(200)) } catch {}
      }
      try settle(task)
    }
  }

  private mutating func timeouts() throws {
    var tasks: [Sent] = []
    for _ in 0..<Int.random(in: 1...6, using: &random) {
      let manner = [Work.Manner.lingers, .heeds, .ignores].randomElement(using: &random) ?? .heeds
      let options = TaskOptions(
        timeout: .microseconds(Int.random(in: 500..<4000, using: &random)),
        gracePeriod: .microseconds(Int.random(in: 0..<3000, using: &random)), retries: random.chance(30) ? 2 : 0)
      tasks.append(try send(manner, options))
    }
    for task in tasks { try settle(task) }
  }

  private mutating func cancels() throws {
    var tasks: [Sent] = []
    for _ in 0..<Int.random(in: 1...32, using: &random) {
      let manner: Work.Manner = random.chance(20) ? .heeds : .lingers
      tasks.append(try send(manner, TaskOptions(retries: random.chance(30) ? 2 : 0)))
    }
    for index in tasks.indices.shuffled(using: &random) where tasks[index].work.manner == .heeds || random.chance(50) {
      tasks[index].askedToStop = true
      tasks[index].takenBack = tasks[index].future.cancel()
    }
    for task in tasks { try settle(task) }
  }

  private mutating func terminations() throws {
    var tasks: [Sent] = []
    for _ in 0..<Int.random(in: 1...4, using: &random) {
      tasks.append(try send(.ignores, TaskOptions(retries: random.chance(30) ? 2 : 0)))
    }
    for index in tasks.indices {
      if random.chance(50) { _ = wait(for: tasks.map(\.future), timeout: .milliseconds(2)) }
      tasks[index].askedToStop = true
      tasks[index].wasTerminated = pool.terminate(tasks[index].future)
    }
    for task in tasks { try settle(task) }
  }

  private func settle(_ task: Sent) throws {
    let end = try task.end()
    ledger.note(end)
    // A task that died, or was killed, may not have come to its mark.
    let ended = end == .returned || end == .threw
    let attempts = board.begun[task.work.cell]
    let most = task.options.retries + (task.future.state == .cancelled ? 0 : 1)
    try expect(
      (ended ? 1 : 0)...most ~= Int(attempts),
      "\(task.work.manner), \(end): begun \(attempts) times with \(task.options.retries) retries")
  }

  // MARK: Data

  /// The value, which has to be right, or nil when a worker died.
  private func value<Value>(of future: Future<Value>, _ isRight: (Value) -> Bool) throws -> Value? {
    do {
      let value = try future.result()
      ledger.note(.returned)
      try expect(isRight(value), "a wrong value from \(future)")
      return value
    } catch let error as WorkerPoolError where error.isDeathByMenace {
      ledger.note(.died)
      return nil
    }
  }

  private func submit<J: Job>(_ job: J) throws -> Future<J.Output> {
    let future = try pool.submit(job)
    ledger.follow(future)
    return future
  }

  private mutating func maps() throws {
    let jobs = (0..<Int.random(in: 1..<400, using: &random)).map { Square(number: $0) }
    do {
      let squares = try pool.map(jobs, options: TaskOptions(retries: random.chance(50) ? 5 : 0))
      try expect(squares == jobs.map { $0.run() }, "wrong squares of \(jobs.count)")
      ledger.note(.returned)
    } catch let error as WorkerPoolError where error.isDeathByMenace {
      ledger.note(.died)
    }
  }

  private mutating func largeData() throws {
    let sent = try (0..<Int.random(in: 1...4, using: &random)).map { index in
      let count = Int.random(in: 0..<300_000 >> (4 * index), using: &random)
      let job = Complement(bytes: Array(repeating: UInt8.random(in: 0...255, using: &random), count: count))
      return (job, try submit(job))
    }
    if random.chance(20) { sent[0].1.cancel() }
    for (job, future) in sent {
      do {
        _ = try value(of: future) { $0 == job.run() }
      } catch is CancellationError {
        try expect(future === sent[0].1, "cancelled by nobody")
        ledger.note(.cancelled)
      }
    }
  }

  private mutating func lentResults() throws {
    let jobs = (0..<Int.random(in: 1...6, using: &random)).map { _ in
      Ramp(first: .random(in: 0..<1000, using: &random), count: .random(in: 0..<40_000, using: &random))
    }
    let futures = try jobs.map { try submit($0) }
    var kept: [(Ramp, SharedResult<Int>)] = []
    for (job, future) in zip(jobs, futures) {
      if let result = try value(of: future, job.isIn) { kept.append((job, result)) }
    }
    // A worker's later tasks, and its successor, leave a result alone that is still held.
    try burst()
    for (job, result) in kept { try expect(job.isIn(result), "a lent result has changed") }
  }

  private mutating func sharedArrays() throws {
    let count = Int.random(in: 1..<5000, using: &random)
    let array = try SharedArray(repeating: 1, count: count, workers: .readWrite)
    for round in 1...3 {
      guard try value(of: submit(Increment(array: array)), { $0 == (round + 1) * count }) != nil else {
        // As far as it came, and no farther, whatever follows.
        try expect(array.allSatisfy { round...round + 1 ~= $0 }, "a dead task has written strange things")
        return
      }
      try expect(array.allSatisfy { $0 == round + 1 }, "the array lacks what a task has written")
    }
  }

  /// Tasks that are submitted by the callbacks of others, on the pool's own thread.
  private mutating func followUps() throws {
    let count = Int.random(in: 1...8, using: &random)
    let promises = (0..<count).map { _ in Promise<Future<Int>>() }
    for (number, promise) in promises.enumerated() {
      try submit(Square(number: number)).addDoneCallback { [pool, ledger] first in
        promise.complete(
          with: Result {
            let second = try pool.submit(Square(number: number + 1))
            ledger.follow(second)
            return second
          })
        _ = first.state
      }
    }
    for (number, promise) in promises.enumerated() {
      _ = try value(of: try promise.future.result()) { $0 == (number + 1) * (number + 1) }
    }
  }
}

/// A small task on its way, and what was done to it.
private struct Sent {
  var future: Future<Int>
  var work: Work
  var options: TaskOptions
  var askedToStop = false
  var takenBack = false
  var wasTerminated = false

  /// How it ended, if that is a way that it may end in.
  func end() throws -> End {
    do {
      let value = try future.result()
      try expect(value == work.square && !takenBack, "\(work.manner) returned \(value)")
      return .returned
    } catch is CancellationError where askedToStop {
      try expect(!takenBack || future.state == .cancelled, "taken back, and \(future.state)")
      return .cancelled
    } catch let error as Refusal where work.manner == .fails && error.number == work.number {
      return .threw
    } catch let error as WorkerPoolError where !takenBack {
      switch error.code {
      case .taskTimedOut where options.timeout != nil: return .timedOut
      case .terminated where wasTerminated: return .terminated
      case .workerDied where error.isDeathByMenace || hasAborted(error): return .died
      default: throw error
      }
    }
  }

  private func hasAborted(_ error: WorkerPoolError) -> Bool {
    guard let exit = error.workerExit, work.manner == .aborts else { return false }
    return exit.reason == .signal(SIGABRT) && exit.standardError.hasSuffix(work.lastWords)
  }
}

extension WorkerPoolError {
  /// Whether its task's worker was killed, or ended with its template, and the error says which.
  var isDeathByMenace: Bool {
    guard code == .workerDied, let exit = workerExit else { return false }
    return exit.processIdentifier > 0 && exit.reason == .signal(SIGKILL)
  }
}
