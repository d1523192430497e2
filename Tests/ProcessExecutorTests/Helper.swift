import Glibc
import ProcessScenarios

/// Runs the helper program and returns its wait status and what it wrote to standard output.
///
/// By hand, since Foundation's `Process` leaks, which the tests under AddressSanitizer report.
func runHelper(_ arguments: String...) throws -> (status: Int32, output: String) {
  // Sockets, because Swift sees no `pipe2`, and without it a helper that starts at the same time inherits our end.
  var pipe: [Int32] = [0, 0]
  let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
  guard socketpair(AF_UNIX, type, 0, &pipe) == 0 else { throw Unmet("socketpair: \(errno)") }
  defer { close(pipe[0]) }
  let process = try spawn([try helperPath()] + arguments, output: pipe[1])
  close(pipe[1])
  var output: [UInt8] = []
  var piece = [UInt8](repeating: 0, count: 4096)
  while case let count = read(pipe[0], &piece, piece.count), count > 0 { output += piece[..<count] }
  var status: Int32 = 0
  while waitpid(process, &status, 0) < 0 && errno == EINTR {}
  return (status, String(decoding: output, as: UTF8.self))
}

/// Beside the test's own program: SwiftPM builds all executables into one folder.
private func helperPath() throws -> String {
  guard let own = realpath("/proc/self/exe", nil) else { throw Unmet("realpath: \(errno)") }
  defer { free(own) }
  let path = String(cString: own)
  return path.prefix(through: path.lastIndex(of: "/") ?? path.startIndex) + "ProcessScenarios"
}

private func spawn(_ arguments: [String], output: Int32) throws -> pid_t {
  var actions = posix_spawn_file_actions_t()
  posix_spawn_file_actions_init(&actions)
  defer { posix_spawn_file_actions_destroy(&actions) }
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
  // Crashes are part of what is tested, and say so.
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0)
  var vector = arguments.map { strdup($0) } + [nil]
  defer { for argument in vector { free(argument) } }
  var process: pid_t = 0
  let error = posix_spawn(&process, arguments[0], &actions, nil, &vector, environ)
  guard error == 0 else { throw Unmet("posix_spawn \(arguments[0]): \(error)") }
  return process
}
