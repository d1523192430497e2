extension ProcessPoolExecutor {
  /// What the workers of a pool may do and use. The default asks for nothing.
  public struct Configuration: Sendable {
    /// What the kernel lets tasks do; nil for whatever the program may do. Needs the package trait `Sandbox`.
    public var sandbox: Sandbox?

    public init() {}
  }
}
