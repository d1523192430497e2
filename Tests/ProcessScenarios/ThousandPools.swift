import WorkerPool

/// One after another: what each leaves behind would show, in the process table or in memory.
func runThousandPools(_ method: ProcessPoolExecutor.StartMethod) throws {
  // A sanitizer finds what leaks by itself.
  let isSanitized = try privateMemory() > 1 << 40
  let before = try Traces()
  var held = 0
  for count in 1...(isSanitized ? 20 : 1000) {
    let method = count > 1 ? try later(method) : method
    try withProcessPoolExecutor(maxWorkers: 1, startMethod: method) { pool in
      if method != .automatic { try expectEqual(pool.startMethod, method) }
      try expectEqual(try pool.submit(Square(number: count)).result(), count * count)
      if count % 100 == 0 { try expectError(.workerDied) { try pool.submit(Die(way: .kill)).result() } }
    }
    // By now the runtimes have all that they keep to themselves.
    if count == 100 { held = try residentMemory() }
  }
  try expectEqual(try Traces(), before)
  let bytes = try residentMemory()
  try expect(isSanitized || bytes < held + 512 << 10, "\(bytes) bytes are resident, \(held) were after 100 pools")
}

/// Bytes of this process's own memory that are there.
private func residentMemory() throws -> Int {
  let lines = try contents(of: "/proc/self/status").split(separator: "\n")
  let words = lines.first { $0.hasPrefix("RssAnon:") }?.split(whereSeparator: \.isWhitespace) ?? []
  guard words.count == 3, let kilobytes = Int(words[1]) else { throw Unmet("no RssAnon") }
  return kilobytes << 10
}
