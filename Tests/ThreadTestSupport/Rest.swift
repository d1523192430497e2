/// What the threads of a pool did in two seconds, begun when all of them had come to rest.
public struct Rest: Sendable {
  /// Numbers of the threads that were there at the beginning and at the end.
  public var threads: Set<Int>
  /// Context switches of each of them that had any; a thread that came in between, with all that it ever had.
  public var switches: [Int: Int]
}

/// Watches the threads whose names begin with `prefix`. Nil when they do not come to rest within 20 s. A thread that
/// ends meanwhile, as a spare on its bench does, is not counted: it has nothing left to read.
///
/// A spare that steps down after a second without work wakes those that sleep beside it, once. So where some have moved it
/// watches again, and what happens time after time is seen each time.
public func watchAtRest(named prefix: String) async throws -> Rest? {
  for _ in 0..<4 {
    guard let rest = try await watchOnce(prefix) else { return nil }
    if rest.switches.isEmpty { return rest }
  }
  return try await watchOnce(prefix)
}

private func watchOnce(_ prefix: String) async throws -> Rest? {
  guard let before = try await atRest(prefix) else { return nil }
  try await Task.sleep(for: .seconds(2))
  let after = switches(prefix)
  return Rest(
    threads: Set(before.keys).intersection(after.keys),
    switches: after.reduce(into: [:]) { changed, thread in
      let difference = thread.value - before[thread.key, default: 0]
      if difference != 0 { changed[thread.key] = difference }
    })
}

/// Context switches of the threads by number, once all are asleep and have been for a while: they end their spins and
/// lie down in their own time, of which nothing outside tells.
private func atRest(_ prefix: String) async throws -> [Int: Int]? {
  for _ in 0..<200 {
    let before = switches(prefix)
    try await Task.sleep(for: .milliseconds(100))
    if switches(prefix) == before, threads(named: prefix).allSatisfy({ $0.state == "S" }) { return before }
  }
  return nil
}

private func switches(_ prefix: String) -> [Int: Int] {
  Dictionary(threads(named: prefix).map { ($0.id, $0.switches) }, uniquingKeysWith: max)
}
