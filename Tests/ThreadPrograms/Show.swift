// A program as text.

extension Event: CustomStringConvertible {
  var description: String {
    switch self {
    case .strand(let strand): "strand \(strand)"
    case .promise(let promise): "promise \(promise)"
    }
  }
}

extension Kind: CustomStringConvertible {
  var description: String {
    switch self {
    case .main: "main thread"
    case .thread: "thread"
    case .task(let submission): "task (\(submission))"
    case .half: "half"
    case .scopeBody: "body of a scope"
    case .spawned(let scope): "task of scope \(scope)"
    case .iteration: "call"
    case .swiftTask: "Swift task"
    case .callback: "callback"
    }
  }
}

extension Step: CustomStringConvertible {
  var description: String {
    switch self {
    case .spin(let microseconds): "spin \(microseconds) µs"
    case .nap(let microseconds): "nap \(microseconds) µs"
    case .meet(let meeting): "meet at \(meeting)"
    case .submit(let strand): "submit strand \(strand)"
    case .batch(let strands): "submit strands \(strands)"
    case .start(let strand): "start strand \(strand)"
    case .wait(let events, let way): "wait for \(events.map(\.description).joined(separator: ", ")) by \(way)"
    case .keep(let promise): "keep promise \(promise)"
    case .drop(let promise): "drop promise \(promise)"
    case .link(let event, let promise): "complete promise \(promise) when \(event) is done"
    case .callback(let event, let strand): "call strand \(strand) when \(event) is done"
    case .cancel(let event): "cancel \(event)"
    case .join(let pool, let a, let b): "join in pool \(pool): strands \(a), \(b)"
    case .scope(let pool, let body): "scope in pool \(pool): strand \(body)"
    case .spawn(let strand): "spawn strand \(strand)"
    case .perform(let pool, let calls, let grain): "perform in pool \(pool), grain \(grain): strands \(calls)"
    case .map(let pool, let calls, let mapping, let chunk):
      "map (\(mapping)) in pool \(pool), chunks of \(chunk): strands \(calls)"
    case .sum(let pool, let count, let way): "sum of \(count) in pool \(pool) by \(way)"
    case .resize(let pool, let workers): "resize pool \(pool) to \(workers)"
    case .shutdown(let pool, let way): "shut down pool \(pool): \(way)"
    case .release(let pool): "release pool \(pool)"
    case .inspect(let pool): "inspect pool \(pool)"
    case .pour: "add to the flood"
    case .leaveThread: "pthread_exit"
    case .exit: "exit"
    }
  }
}

extension PoolPlan: CustomStringConvertible {
  var description: String {
    let spares = spares.map { "\($0) spares" } ?? "spares by default"
    let settings = (hasHooks ? ", hooks" : "") + (spins ? "" : ", no spin") + (hasSmallStack ? ", small stacks" : "")
    return "\(workers) workers, \(spares)\(settings)"
  }
}

extension Program: CustomStringConvertible {
  var description: String {
    var lines = ["seed \(seed): \(profile)"]
    for (index, pool) in pools.enumerated() { lines.append("pool \(index): \(pool)") }
    if let flood { lines.append("flood in pool 0: \(flood)") }
    for index in strands.indices { lines += text(of: index) }
    if !neverKept.isEmpty { lines.append("never kept: promises \(neverKept)") }
    lines.append("at the end: \(epilogue)")
    if let lastResize {
      lines.append("\(lastResize.microseconds) µs before: resize to \(lastResize.workers)")
    }
    return lines.joined(separator: "\n")
  }

  private func text(of index: Int) -> [String] {
    let strand = strands[index]
    let place = strand.pool.map { " in pool \($0)" } ?? ""
    return ["strand \(index), \(strand.kind)\(place):"] + strand.steps.map { "  \($0)" }
      + (strand.fails ? ["  throw"] : [])
  }
}
