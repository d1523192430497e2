/// What every worker of a ``ProcessPoolExecutor`` runs before it takes tasks: to load a model, or to open a connection.
///
/// ```swift
/// var configuration = ProcessPoolExecutor.Configuration()
/// configuration.initializer = .job(LoadModel(path: "model.bin"))
/// let pool = try ProcessPoolExecutor(configuration: configuration)
/// ```
///
/// Also the workers that replace others run it. When it throws, traps or exits, creating the pool throws that. In a worker
/// that comes later it is tried again, as every start that fails: other workers go on, and only a pool that has no worker for
/// ``ProcessPoolExecutor/Configuration/outageLimit`` breaks, with that as its reason. It may take as long as it likes.
///
/// It runs before the pool's ``ProcessPoolExecutor/Sandbox`` closes, with all the rights of the program. So do the
/// constructors of the libraries that it loads: `dlopen` runs those of a plugin, before any task does. See
/// <doc:RunningHostileCode>.
public struct WorkerInitializer: Sendable {
  let label: TaskLabel
  /// Of the job's type, nil for a function.
  let typeName: @Sendable () throws -> String?
  let functionIndex: UInt32?
  let encode: @Sendable (inout WireEncoder) throws -> Void

  /// Runs a job; its output is ignored.
  public static func job<J: Job>(_ job: J) -> WorkerInitializer {
    WorkerInitializer(
      label: .job(J.self), typeName: { try resolvableName(of: J.self) }, functionIndex: nil,
      encode: { try $0.encode(job) })
  }

  /// Calls a function, made before the pool, which has to be forked; its output is ignored.
  public static func function<Input, Output>(
    _ function: FunctionHandle<Input, Output>, _ input: Input
  ) -> WorkerInitializer {
    WorkerInitializer(
      label: .function(function.name), typeName: { nil }, functionIndex: function.index,
      encode: { try $0.encode(input) })
  }
}
