import Foundation

/// One bench on one subject, ready to be measured.
struct Workload {
  /// Compares the answer with the right one, and tells what was found besides the time. It is not timed.
  typealias Check = () throws -> [String: Double]

  /// Operations asked for over operations done, where the two cannot be equal.
  var scale = 1.0
  /// CPU time of all who take part, in nanoseconds.
  var cpu: () -> Int = { nanoseconds(CLOCK_PROCESS_CPUTIME_ID) }
  /// Wakes threads and memory before the first round; a round, unless said otherwise.
  var warmUp: (() throws -> Void)?
  /// Comes before each round, and is not timed.
  var prepare: () throws -> Void = {}
  /// What is timed.
  var round: () throws -> Check

  /// The subject's side of the protocol: `ready`, then a line of JSON for each `go`.
  func serve(n: Int) throws {
    // The runner ignores it, and we inherit that; but without a runner there is nobody to measure for.
    signal(SIGPIPE, SIG_DFL)
    if let warmUp { try warmUp() } else { _ = try measured() }
    write("ready")
    while let line = readLine() {
      guard line == "go" else { throw WrongResult(description: "'\(line)' was asked, but only 'go' is understood") }
      answer(try measured())
    }
  }

  private func measured() throws -> [String: Double] {
    try prepare()
    let cpuStart = cpu()
    let wallStart = nanoseconds(CLOCK_MONOTONIC)
    let check = try round()
    let wallEnd = nanoseconds(CLOCK_MONOTONIC)
    let cpuEnd = cpu()
    var found = try check()
    // A round of which only parts count has told their time itself.
    found["wall_ns"] = (found["wall_ns"] ?? Double(wallEnd - wallStart)) * scale
    found["cpu_ns"] = Double(cpuEnd - cpuStart) * scale
    return found
  }
}

/// A benchmark of a wrong result measures nothing.
struct WrongResult: Error, CustomStringConvertible {
  var description: String
}

func check<Value: Equatable>(_ value: Value, is expected: Value) throws {
  if value != expected { throw WrongResult(description: "got \(value), expected \(expected)") }
}

func nanoseconds(_ clock: clockid_t) -> Int {
  var now = timespec()
  clock_gettime(clock, &now)
  return now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// CPU time that a process has used so far, with all its threads. Zero if it is gone.
func cpuNanoseconds(of process: pid_t) -> Int {
  var clock = clockid_t()
  return clock_getcpuclockid(process, &clock) == 0 ? nanoseconds(clock) : 0
}

/// CPU time of those children of a process that have ended and that it has waited for, in ticks of 10 ms.
func cpuNanosecondsOfEndedChildren(of process: pid_t) -> Int {
  guard let status = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8) else { return 0 }
  // What follows the name, which may contain anything, begins with field 3; 16 and 17 are the children's times.
  let fields = status[(status.lastIndex(of: ")") ?? status.endIndex)...].split(separator: " ").dropFirst()
  let ticks = fields.dropFirst(13).prefix(2).compactMap { Int($0) }.reduce(0, +)
  return ticks * (1_000_000_000 / sysconf(Int32(_SC_CLK_TCK)))
}

/// Writes a line of JSON.
func answer(_ object: some Encodable) {
  let encoder = JSONEncoder()
  encoder.outputFormatting = .sortedKeys
  guard let data = try? encoder.encode(object) else { preconditionFailure("\(object) is no JSON") }
  write(String(decoding: data, as: UTF8.self))
}

/// Writes a line at once: the runner waits for it.
private func write(_ line: String) {
  FileHandle.standardOutput.write(Data((line + "\n").utf8))
}
