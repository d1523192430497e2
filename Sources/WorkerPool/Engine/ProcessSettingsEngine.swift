import CWorkerPool

// What workers may use, where they print and what they run first, as the engine takes it. Values are checked here, so
// that errors name them as the caller knows them.

extension wp_process_pool_config {
  mutating func apply(_ configuration: ProcessPoolExecutor.Configuration) throws {
    limits = try wp_process_limits(configuration)
    output.0 = try wp_process_output(configuration.standardOutput, "standardOutput")
    output.1 = try wp_process_output(configuration.standardError, "standardError")
    sandbox = configuration.sandbox?.engineValue ?? WP_SANDBOX_NONE
    outage_limit_ns = try positiveNanoseconds(configuration.outageLimit, "outageLimit")
    on_template_loss = configuration.onTemplateLoss.engineValue
  }
}

extension ProcessPoolExecutor.Configuration.TemplateLoss {
  fileprivate var engineValue: wp_template_loss {
    switch self {
    case .breakPool: WP_TEMPLATE_LOSS_BREAKS
    case .reexecute: WP_TEMPLATE_LOSS_REEXECUTES
    }
  }
}

extension wp_process_limits {
  fileprivate init(_ configuration: ProcessPoolExecutor.Configuration) throws {
    self.init()
    let limits = configuration.limits
    memory = UInt64(try checked(limits.memory, "limits.memory", in: 1...Int.max) ?? 0)
    memory_cgroup = limits.memoryCgroup.engineValue
    if limits.memoryCgroup == .required, limits.memory == nil {
      throw WorkerPoolError(
        code: .invalidArgument, message: "limits.memoryCgroup is .required; that needs limits.memory")
    }
    cpu_ns = try limits.cpuTime.map { try positiveNanoseconds($0, "limits.cpuTime") } ?? 0
    open_files = UInt64(try checked(limits.openFiles, "limits.openFiles", in: 16...Int.max) ?? 0)
    core_size = try checked(limits.coreSize, "limits.coreSize", in: 0...Int.max).map { UInt64($0) } ?? UInt64.max
    niceness = Int32(try checked(limits.niceness, "limits.niceness", in: -40...40) ?? 0)
    max_tasks = UInt32(try checked(configuration.maxTasksPerWorker, "maxTasksPerWorker", in: 1...Int(UInt32.max)) ?? 0)
    max_resident = UInt64(try checked(configuration.maxWorkerMemory, "maxWorkerMemory", in: 1...Int.max) ?? 0)
  }
}

extension WorkerLimits.MemoryCgroup {
  fileprivate var engineValue: wp_cgroup_use {
    switch self {
    case .automatic: WP_CGROUP_AUTOMATIC
    case .never: WP_CGROUP_NEVER
    case .required: WP_CGROUP_REQUIRED
    }
  }
}

extension wp_process_output {
  fileprivate init(_ output: WorkerOutput, _ name: String) throws {
    self.init()
    switch output {
    case .inherit: mode = WP_OUTPUT_INHERIT
    case .discard: mode = WP_OUTPUT_DISCARD
    case .capture(let limit, let echo):
      mode = WP_OUTPUT_CAPTURE
      self.limit = try checked(limit, "the limit of \(name)", in: 1...(64 << 20)) ?? 0
      self.echo = echo
    }
  }
}

extension ProcessPoolExecutor.Configuration {
  /// The error of a pool that could not be created, with the setting it is about.
  func explaining(_ error: WorkerPoolError, call: String?, maxPayload: Int) -> WorkerPoolError {
    let setting: String? =
      switch call {
      case "limits.memory", "setrlimit(RLIMIT_DATA)": limits.memory.map { "limits.memory is \($0)" }
      case "setrlimit(RLIMIT_NOFILE)": limits.openFiles.map { "limits.openFiles is \($0)" }
      case "setrlimit(RLIMIT_CORE)": limits.coreSize.map { "limits.coreSize is \($0)" }
      case "setpriority": "limits.niceness is \(limits.niceness)"
      case "limits.memory_cgroup", "mkdir(memory cgroup)", "write(memory.max)", "write(memory.limit_in_bytes)",
        "write(cgroup.subtree_control)", "write(cgroup.procs)":
        "limits.memoryCgroup is .required"
      case "mmap(payload buffers)": "maxPayload is \(maxPayload)"
      case "timer_create": limits.cpuTime.map { "limits.cpuTime is \($0)" }
      default: nil
      }
    guard let setting else { return error }
    var error = error
    // The engine's name for what is named here.
    let name = "limits.memory_cgroup "
    if error.message.hasPrefix(name) { error.message.removeFirst(name.count) }
    error.message = "\(setting): \(error.message)"
    return error
  }
}

/// An initializer as bytes.
struct EncodedInitializer {
  private let function: UInt32
  private let argument: [UInt8]
  private let name: [UInt8]

  init(
    _ initializer: WorkerInitializer, startMethod: inout ProcessPoolExecutor.StartMethod,
    onTemplateLoss: ProcessPoolExecutor.Configuration.TemplateLoss
  ) throws {
    var encoder = WireEncoder()
    try WorkerPool.explaining("the input of the initializer \(initializer.label)") { try initializer.encode(&encoder) }
    argument = encoder.withUnsafeBytes { Array($0) }
    name = try initializer.typeName().map { Array($0.utf8) } ?? []
    guard let index = initializer.functionIndex else {
      function = TaskCode(.job, index: 0, isChunk: false).rawValue  // its name is the first in the table
      return
    }
    function = TaskCode(.function, index: index, isChunk: false).rawValue
    guard onTemplateLoss == .breakPool else {
      throw WorkerPoolError(
        code: .unsupported,
        message: """
          the initializer \(initializer.label) cannot run once onTemplateLoss, which is .reexecute, has re-executed the \
          program, whose workers have none of its memory: use a Job instead
          """)
    }
    guard startMethod != .reexec else {
      throw WorkerPoolError(
        code: .unsupported,
        message: """
          the initializer \(initializer.label) cannot run in a pool that is started by re-executing the program, whose \
          workers have none of its memory: use a Job instead
          """)
    }
    startMethod = .fork
  }

  func withEngineValue<Result>(_ body: (UnsafePointer<wp_process_initializer>) -> Result) -> Result {
    argument.withUnsafeBytes { argument in
      name.withUnsafeBytes { name in
        var value = wp_process_initializer()
        value.function = function
        value.bytes = argument.baseAddress
        value.length = argument.count
        value.name = name.isEmpty ? nil : name.baseAddress
        value.name_length = name.count
        return withUnsafePointer(to: value) { body($0) }
      }
    }
  }
}

func checked(_ value: Int?, _ name: String, in range: ClosedRange<Int>) throws -> Int? {
  guard let value, !range.contains(value) else { return value }
  let rule =
    range.upperBound == Int.max
    ? "at least \(range.lowerBound)" : "between \(range.lowerBound) and \(range.upperBound)"
  throw WorkerPoolError(code: .invalidArgument, message: "\(name) is \(value); it must be \(rule)")
}

func positiveNanoseconds(_ duration: Duration, _ name: String) throws -> UInt64 {
  guard duration > .zero else {
    throw WorkerPoolError(code: .invalidArgument, message: "\(name) is \(duration); it must be positive")
  }
  return nanoseconds(duration)
}
