import CWorkerPool

extension CPUTopology {
  package init(source: Source) throws {
    var handle: OpaquePointer?
    var error = wp_error()
    let status = source.withEngineValue { wp_topology_create(&$0, &handle, &error) }
    guard status == WP_OK, let handle else { throw WorkerPoolError(error) }
    defer { wp_topology_destroy(handle) }
    try self.init(handle, environmentCPUs: source.environmentCPUs)
  }

  private init(_ handle: OpaquePointer, environmentCPUs: String?) throws {
    var granted = 0
    var error = wp_error()
    guard wp_topology_grant(handle, &granted, &error) == WP_OK else {
      throw WorkerPoolError(error, environmentCPUs: environmentCPUs)
    }
    let ids = (0..<wp_topology_node_count(handle)).map { Int(wp_topology_node_id(handle, $0)) }
    let cpus = (0..<wp_topology_cpu_count(handle)).map { CPU(handle, at: $0, nodes: ids) }
    let cpusByNode = Dictionary(grouping: cpus, by: \.node)
    self.cpus = cpus
    nodes = ids.indices.map { Node(handle, at: $0, of: ids.count, cpus: (cpusByNode[ids[$0]] ?? []).map(\.id)) }
    onlineCPUCount = wp_topology_online_count(handle)
    quota = Self.unlessZero(wp_topology_quota(handle))
    environmentLimit = Self.unlessZero(wp_topology_override(handle))
    grant = granted
    description = Self.text(of: handle)
  }

  /// What the engine says with a 0 when there is nothing to say. A quota may be beyond all bounds.
  fileprivate static func unlessZero(_ number: some BinaryInteger) -> Int? {
    number == 0 ? nil : Int(clamping: number)
  }

  private static func text(of handle: OpaquePointer) -> String {
    let length = wp_topology_describe(handle, nil, 0)
    return String(unsafeUninitializedCapacity: length + 1) { buffer in
      buffer.withMemoryRebound(to: CChar.self) { min(length, wp_topology_describe(handle, $0.baseAddress, length + 1)) }
    }
  }
}

extension CPUTopology.Node {
  fileprivate init(_ handle: OpaquePointer, at index: Int, of count: Int, cpus: [Int]) {
    id = Int(wp_topology_node_id(handle, index))
    self.cpus = cpus
    onlineCPUCount = wp_topology_node_online_count(handle, index)
    memory = Int(clamping: wp_topology_node_memory(handle, index))
    isMemoryAllowed = wp_topology_node_memory_is_allowed(handle, index)
    distances = (0..<count).map { Int(wp_topology_distance(handle, index, $0)) }
  }
}

extension CPUTopology.CPU {
  fileprivate init(_ handle: OpaquePointer, at index: Int, nodes: [Int]) {
    let socket = Int(wp_topology_cpu_socket(handle, index))
    id = Int(wp_topology_cpu_id(handle, index))
    node = nodes[wp_topology_cpu_node(handle, index)]
    core = wp_topology_cpu_core(handle, index)
    self.socket = socket < 0 ? nil : socket
    lastLevelCache = wp_topology_cpu_cache(handle, index)
    thread = wp_topology_cpu_thread(handle, index)
    kind =
      switch wp_topology_cpu_kind(handle, index) {
      case WP_CPU_KIND_PERFORMANCE: .performance
      case WP_CPU_KIND_EFFICIENCY: .efficiency
      default: .uniform
      }
    capacity = CPUTopology.unlessZero(wp_topology_cpu_capacity(handle, index))
  }
}

extension CPUTopology.Source {
  /// The source as the engine takes it, for as long as `body` runs.
  fileprivate func withEngineValue<R>(_ body: (inout wp_topology_source) -> R) -> R {
    withCString(sysRoot) { sys in
      withCString(procRoot) { proc in
        withCString(affinity) { affinity in
          withCString(environmentCPUs) { environment in
            var source = wp_topology_source(
              sys_root: sys, proc_root: proc, affinity: affinity, of_process: false, environment_cpus: environment,
              details: true)
            return body(&source)
          }
        }
      }
    }
  }
}

private func withCString<R>(_ string: String?, _ body: (UnsafePointer<CChar>?) -> R) -> R {
  guard let string else { return body(nil) }
  return string.withCString(body)
}

/// "WORKER_POOL_CPUS is 'abc'; it", if that is the argument that was refused; nil for any other.
///
/// - Parameter value: Its value, unless that is the environment's.
func refusalOfEnvironment(in argument: String, value: String? = nil) -> String? {
  guard argument == "WORKER_POOL_CPUS" else { return nil }
  let value = value ?? wp_topology_environment_cpus().map { String(cString: $0) } ?? ""
  // It may hold anything, and the message is one line.
  let shown = value.unicodeScalars.prefix(60).map { $0.escaped(asASCII: false) }.joined()
  return "\(argument) is '\(shown)'; it"
}
