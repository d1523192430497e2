import Glibc
import Testing
import ThreadTestSupport
import WorkerPool

@Suite struct SignalTests {
  // MARK: Masks

  @Test func workersAndSparesHaveTheMaskOfTheMaker() throws {
    for added in [[], [SIGPIPE, SIGPROF]] {
      let pool = try pool(madeBlocking: [SIGUSR2], workers: 1, blockedSignals: added)
      let expected = Set([SIGUSR2] + added)
      #expect(try pool.submit { blockedSignals() }.result() == expected)
      let gate = Promise<Void>()
      let began = Semaphore()
      // It waits, with a mask of its own, and so a spare runs the next.
      let waiting = try pool.submit {
        let before = blockedSignals()
        blockOnly([SIGWINCH])
        defer { blockOnly(before) }
        began.signal()
        try gate.future.result()
      }
      began.wait()
      let (index, mask) = try pool.submit { (pool.currentWorkerIndex ?? -1, blockedSignals()) }.result()
      #expect(index >= 4096)
      #expect(mask == expected)
      gate.succeed(())
      try waiting.result()
      pool.shutdown()
    }
  }

  /// Whichever thread asks for it: here a worker of another pool, which blocks something else.
  @Test func theThreadThatWaitsForTheEndHasTheMaskOfTheMaker() async throws {
    let pool = try pool(madeBlocking: [SIGUSR2], workers: 1, blockedSignals: [SIGPIPE])
    let other = try self.pool(madeBlocking: [SIGUSR1], workers: 1, name: "askedby", blockedSignals: [])
    let gate = Semaphore()
    try pool.execute { gate.wait() }
    let end = Task(executorPreference: other) { await pool.shutdown() }
    // A thread without a name of its own has that of the thread which started it.
    let both: Set<Set<Int32>> = [[SIGUSR1], [SIGUSR2, SIGPIPE]]
    let found = eventually { Set(threads(named: "askedby-0").map(\.blockedSignals)) == both }
    #expect(found, "\(threads(named: "askedby-0"))")
    gate.signal()
    await end.value
    await other.shutdown()
  }

  // MARK: What tasks start

  @Test func aProgramThatATaskStartsHearsSIGTERM() throws {
    let pool = try pool(madeBlocking: [], workers: 1, blockedSignals: [])
    let status = try pool.submit {
      let child = try start("/bin/sleep", "20")
      kill(child, SIGTERM)
      return end(of: child)
    }.result()
    #expect(status == SIGTERM)
    pool.shutdown()
  }

  @Test func aPipelineThatATaskStartsEnds() throws {
    let pool = try pool(madeBlocking: [], workers: 1, blockedSignals: [])
    // The writer has to be ended by SIGPIPE. One that comes to its end ends the shell, by what nobody can block.
    let script = """
      (n=0; while [ $n -lt 100000 ]; do echo y; n=$((n + 1)); done 2>/dev/null; kill -KILL $$) | head -n 1 >/dev/null
      """
    #expect(try pool.submit { end(of: try start("/bin/sh", "-c", script)) }.result() == 0)
    pool.shutdown()
  }

  @Test func aProgramThatATaskStartsBeginsWithWhatThePoolBlocks() throws {
    let pool = try pool(madeBlocking: [], workers: 1, blockedSignals: [SIGTERM])
    let status = try pool.submit {
      let child = try start("/bin/sh", "-c", "kill -TERM $$; exit 7")
      return end(of: child)
    }.result()
    #expect(status == 7 << 8)
    pool.shutdown()
  }

  // MARK: Bad input

  @Test(arguments: [
    (0, "a signal is a number from 1 to 64"), (-1, "a signal is a number from 1 to 64"),
    (65, "a signal is a number from 1 to 64"), (SIGKILL, "SIGKILL and SIGSTOP cannot be blocked"),
    (SIGSEGV, "a signal that a thread raises by its own instructions"),
    (33, "the signals between SIGSYS and SIGRTMIN belong to the C library"),
  ]) func signalsThatAreNotToBeBlockedAreNamed(signal: Int32, rule: String) {
    let error = #expect(throws: WorkerPoolError.self) {
      try ThreadPoolExecutor(maxWorkers: 1, blockedSignals: [SIGUSR1, signal])
    }
    #expect(error?.code == .invalidArgument)
    let beginning = "blockedSignals is [\(SIGUSR1), \(signal)], with \(signal); \(rule)"
    #expect(error?.message.hasPrefix(beginning) == true, "\(error?.message ?? "")")
  }

  // MARK: -

  /// A pool that is made by a thread with this mask, which has ended since.
  private func pool(
    madeBlocking mask: Set<Int32>, workers: Int, name: String = "signals", blockedSignals: [Int32]
  ) throws -> ThreadPoolExecutor {
    let pool = Log<ThreadPoolExecutor>()
    let maker = RunningThread {
      blockOnly(mask)
      #expect(throws: Never.self) {
        pool.append(try ThreadPoolExecutor(maxWorkers: workers, name: name, blockedSignals: blockedSignals))
      }
    }
    maker.join()
    return try #require(pool.entries.first)
  }
}

private struct StartFailure: Error {
  var errno: Int32
}

/// Starts a program that gets the calling thread's mask, as programs do. What it does on a signal does not depend on what
/// the test runner ignores.
private func start(_ command: String...) throws -> pid_t {
  var attributes = posix_spawnattr_t()
  var reset = sigset_t()
  posix_spawnattr_init(&attributes)
  defer { posix_spawnattr_destroy(&attributes) }
  sigfillset(&reset)
  posix_spawnattr_setsigdefault(&attributes, &reset)
  posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))
  let words = command.map { strdup($0) }
  defer {
    for word in words { free(word) }
  }
  var child: pid_t = 0
  let failure = posix_spawn(&child, command[0], nil, &attributes, words + [nil], environ)
  guard failure == 0 else { throw StartFailure(errno: failure) }
  return child
}

/// The wait status.
private func end(of child: pid_t) -> Int32 {
  var status: Int32 = -1
  while waitpid(child, &status, 0) == -1, errno == EINTR {}
  return status
}
