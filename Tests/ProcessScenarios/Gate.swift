import Foundation
import WorkerPool
import WorkerPoolFoundation

/// Two named pipes by which a task says that it runs, and is held until it may go on. Opening either end waits for
/// the other one: no sleep is needed to know where a worker is.
package struct Gate: Sendable {
  package let directory: String

  package init() throws {
    let template = FileManager.default.temporaryDirectory.appendingPathComponent("gate-XXXXXX").path
    var bytes = Array(template.utf8CString)
    guard let made = mkdtemp(&bytes) else { throw Unmet("mkdtemp: \(errno)") }
    directory = String(cString: made)
    for name in ["begun", "release"] {
      guard mkfifo("\(directory)/\(name)", 0o600) == 0 else { throw Unmet("mkfifo: \(errno)") }
    }
  }

  /// A job that stops at this gate and returns its process id.
  package var job: Hold { Hold(directory: directory) }

  /// Waits until a task has reached the gate, and returns the id of its process.
  package func waitUntilHeld() throws -> Int32 {
    let file = open("\(directory)/begun", O_RDONLY | O_CLOEXEC)
    defer { close(file) }
    var process: Int32 = 0
    guard read(file, &process, MemoryLayout<Int32>.size) == MemoryLayout<Int32>.size else {
      throw Unmet("the task did not say who it is")
    }
    return process
  }

  /// Lets the held task go on.
  package func release() { close(open("\(directory)/release", O_WRONLY | O_CLOEXEC)) }

  package func remove() { try? FileManager.default.removeItem(atPath: directory) }
}

package struct Hold: Job, JSONWireCodable {
  var directory: String

  package func run() -> Int32 {
    var process = getpid()
    let begun = open("\(directory)/begun", O_WRONLY | O_CLOEXEC)
    _ = write(begun, &process, MemoryLayout<Int32>.size)
    close(begun)
    let release = open("\(directory)/release", O_RDONLY | O_CLOEXEC)
    _ = read(release, &process, MemoryLayout<Int32>.size)
    close(release)
    return getpid()
  }
}
