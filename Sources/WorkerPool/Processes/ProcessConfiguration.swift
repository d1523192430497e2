extension ProcessPoolExecutor {
  /// What the workers of a pool may do and use. The default asks for nothing.
  public struct Configuration: Sendable {
    public init() {}
  }
}
