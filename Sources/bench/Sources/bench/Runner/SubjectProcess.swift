import Foundation

/// What went wrong with a subject, which is named.
struct SubjectError: Error, CustomStringConvertible {
  var description: String
}

/// The runner's side of the protocol of subjects.
final class SubjectProcess {
  let label: String
  private let process = Process()
  private let input = Pipe()
  private let output = Pipe()
  private var unread = Data()

  /// Starts the process, and returns when it is ready; nil if it does not offer the bench.
  static func start(label: String, command: [String]) throws -> SubjectProcess? {
    let subject = SubjectProcess(label: label)
    try subject.launch(command)
    do {
      let line = try subject.readLine()
      if line == "ready" { return subject }
      guard let answer = try? JSONDecoder().decode([String: String].self, from: Data(line.utf8)),
        let message = answer["error"]
      else { throw SubjectError(description: "\(label) said '\(line)', but 'ready' was expected") }
      guard message == "unsupported" else { throw SubjectError(description: "\(label): \(message)") }
      subject.stop()
      return nil
    } catch {
      subject.stop()
      throw error
    }
  }

  private init(label: String) { self.label = label }

  private func launch(_ command: [String]) throws {
    // A pipe that another subject inherits would not end when it is closed here.
    for pipe in [input, output] {
      for end in [pipe.fileHandleForReading, pipe.fileHandleForWriting] {
        _ = fcntl(end.fileDescriptor, F_SETFD, FD_CLOEXEC)
      }
    }
    // env finds the program, and becomes it.
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = command
    process.standardInput = input
    process.standardOutput = output
    try process.run()
    try input.fileHandleForReading.close()
    try output.fileHandleForWriting.close()
  }

  /// Asks for a round.
  func go() throws {
    do {
      try input.fileHandleForWriting.write(contentsOf: Data("go\n".utf8))
    } catch {
      throw SubjectError(description: "\(label) has ended before its last round")
    }
  }

  /// What the round gave.
  func reading() throws -> [String: Double] {
    let line = try readLine()
    if let reading = try? JSONDecoder().decode([String: Double].self, from: Data(line.utf8)) {
      guard reading["wall_ns", default: 0] > 0, reading["cpu_ns", default: -1] >= 0 else {
        throw SubjectError(description: "\(label) said '\(line)', without wall_ns > 0 or cpu_ns >= 0")
      }
      return reading
    }
    let failure = try? JSONDecoder().decode([String: String].self, from: Data(line.utf8))["error"]
    throw SubjectError(description: "\(label): \(failure ?? "said '\(line)', which is no reading")")
  }

  /// CPU time of the process so far, its rounds and what is between them. Zero if it is gone.
  var cpuNanoseconds: Double { Double(bench.cpuNanoseconds(of: process.processIdentifier)) }

  /// Ends the process: by the end of its input, and if that does not help, by force.
  func stop() {
    try? input.fileHandleForWriting.close()
    // The end of its output is the end of the process, or near it.
    if (try? drain(seconds: 5)) == nil { kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
  }

  /// No round takes longer, unless somebody hangs.
  private static let patience = 180

  private func readLine() throws -> String {
    while true {
      if let end = unread.firstIndex(of: UInt8(ascii: "\n")) {
        defer { unread = Data(unread[(end + 1)...]) }
        return String(decoding: unread[..<end], as: UTF8.self)
      }
      let more = try readSome(seconds: Self.patience)
      guard !more.isEmpty else { throw SubjectError(description: "\(label) ended without an answer") }
      unread += more
    }
  }

  private func drain(seconds: Int) throws {
    while try !readSome(seconds: seconds).isEmpty {}
  }

  /// Empty at the end of the output.
  private func readSome(seconds: Int) throws -> Data {
    var request = pollfd(fd: output.fileHandleForReading.fileDescriptor, events: Int16(POLLIN), revents: 0)
    var ready: Int32
    repeat { ready = poll(&request, 1, Int32(seconds * 1000)) } while ready < 0 && errno == EINTR
    guard ready > 0 else { throw SubjectError(description: "\(label) has not answered for \(seconds) s") }
    return output.fileHandleForReading.availableData
  }
}
