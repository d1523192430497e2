import Foundation
import WorkerPool

/// What a program left behind when it ended.
public struct ProgramResult: Sendable {
  /// The exit status; negative for the signal that ended the program.
  public var status: Int32
  public var output: String
  public var errors: String

  public var outputLines: [String] { output.split(separator: "\n").map(String.init) }
  public var errorLines: [String] { errors.split(separator: "\n").map(String.init) }
}

/// The folder with this package's built products: the one that the test program itself stands in.
private let buildFolder = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()

/// Where a product of this package is.
public func productPath(_ name: String) -> String { buildFolder.appendingPathComponent(name).path }

/// Runs a product of this package to its end, which a thread of its own waits for: one of the two that Swift has here
/// would be missing to other tests meanwhile.
///
/// - Parameters:
///   - environment: Lines such as `NAME=value` that the program gets besides this one's own, and before them.
///   - terminal: What the program gets as standard error; `errors` stays empty then.
public func runProduct(
  _ name: String, _ arguments: [String] = [], environment: [String] = [], terminal: FileHandle? = nil
) async throws -> ProgramResult {
  let promise = Promise<ProgramResult>()
  let path = productPath(name)
  Thread.detachNewThread {
    promise.complete(with: Result { try run([path] + arguments, environment: environment, terminal: terminal) })
  }
  return try await promise.future.value
}

/// Output goes through files, so that no amount of it can block the program. Not by Foundation's `Process`, which lets
/// the program begin with the signal mask of whichever thread starts it, and leaks under LeakSanitizer's eyes.
private func run(_ command: [String], environment: [String], terminal: FileHandle?) throws -> ProgramResult {
  guard let output = tmpfile(), let errors = tmpfile() else { throw lastError() }
  defer {
    fclose(output)
    fclose(errors)
  }
  let child = try spawn(
    command, environment: environment, output: fileno(output), errors: terminal?.fileDescriptor ?? fileno(errors))
  var waitStatus: Int32 = 0
  while waitpid(child, &waitStatus, 0) == -1 {
    guard errno == EINTR else { throw lastError() }
  }
  let signal = waitStatus & 0x7f
  return ProgramResult(
    status: signal == 0 ? waitStatus >> 8 & 0xff : -signal, output: contents(of: output), errors: contents(of: errors))
}

/// With the given descriptors, nothing on standard input, and no signal blocked.
private func spawn(_ arguments: [String], environment: [String], output: Int32, errors: Int32) throws -> pid_t {
  var actions = posix_spawn_file_actions_t()
  var attributes = posix_spawnattr_t()
  var unblocked = sigset_t()
  posix_spawn_file_actions_init(&actions)
  posix_spawnattr_init(&attributes)
  defer {
    posix_spawn_file_actions_destroy(&actions)
    posix_spawnattr_destroy(&attributes)
  }
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
  posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO)
  sigemptyset(&unblocked)
  posix_spawnattr_setsigmask(&attributes, &unblocked)
  posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))

  let words = arguments.map { strdup($0) }
  let lines = environment.map { strdup($0) }
  defer {
    for word in words + lines { free(word) }
  }
  let inherited = sequence(first: environ, next: { $0 + 1 }).lazy.map(\.pointee).prefix { $0 != nil }
  var child: pid_t = 0
  let error = posix_spawn(&child, arguments[0], &actions, &attributes, words + [nil], lines + Array(inherited) + [nil])
  guard error == 0 else { throw POSIXError(POSIXErrorCode(rawValue: error) ?? .EIO) }
  return child
}

private func contents(of file: UnsafeMutablePointer<FILE>) -> String {
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 4096)
  rewind(file)
  while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes += buffer[..<count] }
  return String(decoding: bytes, as: UTF8.self)
}

private func lastError() -> POSIXError { POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
