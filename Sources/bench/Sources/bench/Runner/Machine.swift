import Foundation

/// What a reader has to know of where results come from; machine.json.
struct Machine: Encodable {
  let date = ISO8601DateFormatter().string(from: Date())
  let cpu = firstValue(of: "model name", in: "/proc/cpuinfo") ?? "unknown"
  let cpus = ProcessInfo.processInfo.activeProcessorCount
  let kernel = (try? String(contentsOfFile: "/proc/sys/kernel/osrelease", encoding: .utf8))?.trimmed ?? "unknown"
  let swift = firstLine(of: ["swift", "--version"]) ?? "unknown"
  let commit = firstLine(of: ["git", "rev-parse", "--short", "HEAD"])
  let command = CommandLine.arguments.joined(separator: " ")

  var line: String { "\(date.prefix(10)) · \(cpu) · \(cpus) CPUs · \(swift)" }
}

private func firstValue(of key: String, in file: String) -> String? {
  guard let text = try? String(contentsOfFile: file, encoding: .utf8) else { return nil }
  let line = text.split(separator: "\n").first { $0.hasPrefix(key) }
  return line?.split(separator: ":", maxSplits: 1).last.map { String($0).trimmed }
}

/// Of the output of a command; nil if it fails.
private func firstLine(of command: [String]) -> String? {
  let (process, output) = (Process(), Pipe())
  process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
  process.arguments = command
  process.standardOutput = output
  process.standardError = FileHandle.nullDevice
  guard (try? process.run()) != nil else { return nil }
  let data = output.fileHandleForReading.readDataToEndOfFile()
  process.waitUntilExit()
  guard process.terminationStatus == 0 else { return nil }
  return String(decoding: data, as: UTF8.self).split(separator: "\n").first.map { String($0).trimmed }
}

extension String {
  fileprivate var trimmed: String { trimmingCharacters(in: .whitespacesAndNewlines) }
}

/// A point in time, and the time that all CPUs together have been busy until then.
struct MachineClock {
  let wall = Double(nanoseconds(CLOCK_MONOTONIC))
  let busy: Double

  init() throws {
    let text = try String(contentsOfFile: "/proc/stat", encoding: .utf8)
    let fields = text.prefix { $0 != "\n" }.split(separator: " ").dropFirst().compactMap { Double($0) }
    // user nice system idle iowait irq softirq steal
    guard fields.count >= 8 else { throw SubjectError(description: "/proc/stat begins with '\(text.prefix(80))'") }
    let ticks = fields[0] + fields[1] + fields[2] + fields[5] + fields[6] + fields[7]
    busy = ticks * 1e9 / Double(sysconf(Int32(_SC_CLK_TCK)))
  }
}
