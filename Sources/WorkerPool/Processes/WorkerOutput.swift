/// Where a stream of a ``ProcessPoolExecutor``'s workers goes.
public enum WorkerOutput: Hashable, Sendable {
  /// To the program's own stream. Nothing of it can be seen in errors.
  case inherit
  /// The last `limit` bytes of each worker are kept, for errors and ``ProcessPoolExecutor/capturedOutput(of:_:)``, and
  /// with `echo` all of it goes to the program's own stream as well. `limit` is from 1 to 67,108,864 (64 MiB).
  ///
  /// A stream that takes nothing for a while holds up the workers that write, with an echo as without capture. What a
  /// worker leaves behind at its death is always kept, and echoed as far as the stream takes it at once.
  case capture(limit: Int, echo: Bool)
  /// Nowhere.
  case discard
}

/// A stream that workers write to. What they read from standard input is empty.
public enum WorkerStream: Hashable, Sendable {
  case standardOutput
  case standardError
}

extension ProcessPoolExecutor {
  /// The end of what a live worker has written to a stream so far, as UTF-8 in which bytes that are none are replaced.
  ///
  /// Empty when no worker has this process id (see ``workerProcessIdentifiers``) or the stream is not captured; what a
  /// dead one wrote is in ``WorkerExit/standardError``. What a task wrote just before it ended may not be there yet.
  /// May be called from any thread.
  ///
  /// - Complexity: O(limit of the stream).
  public func capturedOutput(of processIdentifier: Int32, _ stream: WorkerStream = .standardError) -> String {
    pool.capturedOutput(of: processIdentifier, stream)
  }
}
