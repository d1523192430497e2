import CWorkerPool
import Glibc

// What keeps a process pool from being made, by the names that whoever makes it uses, and what can be done about it.

extension ProcessPool.Settings {
  /// The engine's error of a pool that could not be made; `maxPayload` is what the engine was asked for.
  func explaining(_ error: wp_error, maxPayload: Int) -> WorkerPoolError {
    let call = error.call.map { String(cString: $0) }
    var explained = configuration.explaining(
      WorkerPoolError(error, affinity), call: call, maxPayload: maxPayload)
    guard error.status != WP_SYSTEM_CALL_FAILED else {
      if let advice = advice(on: call ?? "", error.system_errno) { explained.message += ": \(advice)" }
      return explained
    }
    guard let call, let rule = error.rule.map({ String(cString: $0) }) else { return explained }
    switch call {
    case "start_method": explained.message = refusalOfStartMethod(error, rule)
    case "sandbox":
      let wayOut = startMethod == .fork ? ". A way out: start the pool by .reexec" : ""
      explained.message = "configuration.sandbox: \(rule)\(wayOut)"
    case "initializer": explained.message = "configuration.initializer: \(rule)"
    case "max_payload": explained.message = "maxPayload: \(rule)"
    default: break
    }
    return explained
  }

  private func refusalOfStartMethod(_ error: wp_error, _ rule: String) -> String {
    let isFunction = configuration.initializer?.functionIndex != nil
    let why = isFunction ? ", as an initializer that is a function wants it" : ""
    let subject = "startMethod is .\(startMethod)\(why)"
    let name = withUnsafeBytes(of: error.culprit) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    let isThread = error.refused > 0
    let thread = isThread ? "; the other thread is '\(name)', number \(error.refused)" : ""
    let wayOut =
      switch (startMethod, isThread) {
      case (.fork, _) where isFunction:
        "make the pool first thing in main, before anything starts a thread, or use a Job as the initializer"
      case (.fork, false): "let /proc be mounted, or start the pool by .reexec"
      case (.fork, true): "make the pool first thing in main, before anything starts a thread, or start it by .reexec"
      case (_, true):
        "let that thread start when it is first needed, or run the program without the library that starts it (LD_PRELOAD)"
      case (_, false): "make the pool first thing in main, which forks it, or run the program without those rights"
      }
    return "\(subject): \(rule)\(thread). A way out: \(wayOut)"
  }
}

/// What may be done about a call that failed.
private func advice(on call: String, _ number: Int32) -> String? {
  switch (call, number) {
  case (_, EMFILE): "the program may have \(openFileLimit) files open at once (RLIMIT_NOFILE, `ulimit -n`)"
  case (_, ENFILE): "the machine may have no more files open (fs.file-max)"
  case ("fork", EAGAIN), ("vfork", EAGAIN), ("pthread_create", EAGAIN):
    "RLIMIT_NPROC (`ulimit -u`) or the cgroup's pids.max allows no more processes and threads"
  case ("pidfd_open", ENOSYS), ("pidfd_open", EPERM), ("memfd_create", ENOSYS), ("memfd_create", EPERM):
    "worker processes need this call, which Linux has from 5.3 on, unless a container's seccomp profile denies it"
  case ("execve", EACCES):
    "this user may not start the program's own file: see its permissions, and whether it is mounted noexec"
  case ("open /proc/thread-self/cmdline", _): "worker processes need a /proc that is mounted"
  case ("mprotect", _):
    "the program's table of constructors is locked, which the engine as a library of its own has to change: link it statically"
  default: nil
  }
}

private var openFileLimit: String {
  var limit = rlimit()
  return getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 ? "\(limit.rlim_cur)" : "no more"
}
