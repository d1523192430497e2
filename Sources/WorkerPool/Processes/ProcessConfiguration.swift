extension ProcessPoolExecutor {
  /// What the workers of a pool may do and use. The default asks for nothing.
  public struct Configuration: Sendable {
    /// What tasks may do and use that are submitted without options of their own.
    public var taskOptions = TaskOptions()

    public init() {}
  }
}
