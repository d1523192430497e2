extension ProcessPoolExecutor {
  /// What the kernel lets a worker do once its initializer has run. Set it in ``Configuration/sandbox``.
  ///
  /// Needs the package trait `Sandbox`, and with it libseccomp (`libseccomp-dev` on Debian):
  ///
  /// ```swift
  /// .package(url: "…/swift-worker-pool", from: "…", traits: ["Sandbox"])
  /// ```
  ///
  /// A sandboxed pool is re-executed (see ``StartMethod``): a forked worker would have the program's memory, with every
  /// secret in it. Creating the pool throws ``WorkerPoolError``: `.unsupported` without the trait and for
  /// ``StartMethod/fork``, `.systemCall` when the kernel or a container does not grant the sandbox. It is never weaker
  /// than asked for.
  ///
  /// A call that the sandbox forbids fails that task with ``WorkerPoolError/Code/forbiddenCall``, which names it unless
  /// the worker had blocked SIGSYS; the worker is replaced, and the pool goes on. <doc:Processes> says what that stops, and
  /// what it does not; <doc:RunningHostileCode> against whom it helps. What a ``WorkerInitializer`` loads runs its constructors
  /// before the sandbox closes.
  public struct Sandbox: Hashable, Sendable {
    /// For tasks that compute: they may allocate memory, start threads and let them wait for each other, read clocks and
    /// random numbers, and write to standard output and standard error. They may not open files, make sockets, run
    /// programs, make processes, signal, trace or write to others, or change the limits of their worker.
    public static let computeOnly = Sandbox(level: .computeOnly)

    let level: Level

    enum Level: Sendable {
      case computeOnly
    }
  }
}
