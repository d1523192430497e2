import CWorkerPool
import Foundation

/// A topology read from a fixture, a folder made on the spot, or this machine.
final class Machine {
  struct Failure: Error {
    var status: wp_status
    var call: String
  }

  struct Placement: Equatable, CustomStringConvertible {
    var cpu: Int
    var node: Int
    var description: String { "cpu \(cpu) on node \(node)" }
  }

  static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "Fixtures")

  private let handle: OpaquePointer

  /// - Parameters:
  ///   - root: The folder that holds `sys` and `proc`; nil for this machine's own.
  ///   - affinity: A CPU list; nil for the calling thread's mask.
  ///   - environmentCPUs: What to take for the value of `WORKER_POOL_CPUS`.
  ///   - details: Whether to read what no pool needs.
  init(root: URL?, affinity: String? = nil, environmentCPUs: String? = nil, details: Bool = true) throws {
    var handle: OpaquePointer?
    var error = wp_error()
    let status = withCString(root?.appending(path: "sys").path) { sys in
      withCString(root?.appending(path: "proc").path) { proc in
        withCString(affinity) { affinity in
          withCString(environmentCPUs) { environment in
            var source = wp_topology_source(
              sys_root: sys, proc_root: proc, affinity: affinity, of_process: false, environment_cpus: environment,
              details: details)
            return wp_topology_create(&source, &handle, &error)
          }
        }
      }
    }
    guard status == WP_OK, let handle else {
      throw Failure(status: status, call: error.call.map { String(cString: $0) } ?? "")
    }
    self.handle = handle
  }

  convenience init(fixture: String, affinity: String? = nil, environmentCPUs: String? = nil) throws {
    try self.init(root: Self.fixtures.appending(path: fixture), affinity: affinity, environmentCPUs: environmentCPUs)
  }

  deinit { wp_topology_destroy(handle) }

  var cpus: [Int] { (0..<wp_topology_cpu_count(handle)).map { Int(wp_topology_cpu_id(handle, $0)) } }
  var cpuNodes: [Int] { cpus.indices.map { Int(wp_topology_cpu_node(handle, $0)) } }
  var siblings: [Int] { cpus.indices.filter { wp_topology_cpu_is_sibling(handle, $0) }.map { cpus[$0] } }
  var cores: [Int] { cpus.indices.map { wp_topology_cpu_core(handle, $0) } }
  var threads: [Int] { cpus.indices.map { wp_topology_cpu_thread(handle, $0) } }
  var sockets: [Int] { cpus.indices.map { Int(wp_topology_cpu_socket(handle, $0)) } }
  var caches: [Int] { cpus.indices.map { wp_topology_cpu_cache(handle, $0) } }
  var kinds: [wp_cpu_kind] { cpus.indices.map { wp_topology_cpu_kind(handle, $0) } }
  var capacities: [Int] { cpus.indices.map { Int(wp_topology_cpu_capacity(handle, $0)) } }
  var onlineCount: Int { wp_topology_online_count(handle) }
  var nodeOnlineCounts: [Int] { nodes.indices.map { wp_topology_node_online_count(handle, $0) } }
  var nodes: [Int] { (0..<wp_topology_node_count(handle)).map { Int(wp_topology_node_id(handle, $0)) } }
  var nodeCPUCounts: [Int] { nodes.indices.map { Int(wp_topology_node_cpu_count(handle, $0)) } }
  var memory: [UInt64] { nodes.indices.map { wp_topology_node_memory(handle, $0) } }
  var memoryIsAllowed: [Bool] { nodes.indices.map { wp_topology_node_memory_is_allowed(handle, $0) } }
  var distances: [[Int]] {
    nodes.indices.map { from in nodes.indices.map { Int(wp_topology_distance(handle, from, $0)) } }
  }
  var quota: Int { Int(wp_topology_quota(handle)) }
  var override: Int { wp_topology_override(handle) }
  var granted: Int { Int(wp_topology_granted(handle)) }

  /// - Returns: The grant, or the argument that the engine refused and the rule.
  func grant() -> Result<Int, RefusedGrant> {
    var granted = -1
    var error = wp_error()
    guard wp_topology_grant(handle, &granted, &error) == WP_OK else {
      return .failure(
        RefusedGrant(
          status: error.status, call: error.call.map { String(cString: $0) } ?? "",
          rule: error.rule.map { String(cString: $0) } ?? ""))
    }
    return .success(granted)
  }

  struct RefusedGrant: Error, Equatable {
    var status: wp_status
    var call: String
    var rule: String
  }

  /// - Returns: What was written into a buffer of this size, and the length of the whole text.
  func describe(capacity: Int) -> (text: String, length: Int) {
    var buffer = [CChar](repeating: 0x7f, count: capacity + 1)
    let length = wp_topology_describe(handle, &buffer, capacity)
    return (String(decoding: buffer.prefix { $0 != 0 && $0 != 0x7f }.map { UInt8($0) }, as: UTF8.self), length)
  }

  func nearestMemory(to node: Int) -> Int { wp_topology_nearest_memory(handle, node) }

  func nearestNodes(from node: Int) -> [Int] {
    var order = [UInt32](repeating: .max, count: nodes.count)
    wp_topology_nearest_nodes(handle, node, &order)
    return order.map(Int.init)
  }

  /// - Returns: The placements, or the refused CPU or node (nil when none was named) with the status.
  func place(
    _ affinity: wp_affinity, on cpus: [Int32] = [], node: Int32 = 0, workers: Int
  ) -> Result<[Placement], Refusal> {
    var placements = [wp_placement](repeating: wp_placement(cpu: -7, node: 7), count: workers)
    var refused = Int32.min
    let status = cpus.withUnsafeBufferPointer { cpus in
      var choice = wp_affinity_choice(policy: affinity, node: node, cpus: cpus.baseAddress, cpu_count: cpus.count)
      return wp_topology_place(handle, &choice, workers, &placements, &refused, nil)
    }
    guard status == WP_OK else {
      return .failure(Refusal(status: status, number: refused == .min ? nil : Int(refused)))
    }
    return .success(placements.map { Placement(cpu: Int($0.cpu), node: Int($0.node)) })
  }

  struct Refusal: Error, Equatable {
    var status: wp_status
    var number: Int?
  }
}

private func withCString<Result>(_ string: String?, _ body: (UnsafePointer<CChar>?) -> Result) -> Result {
  guard let string else { return body(nil) }
  return string.withCString(body)
}

/// A machine's files in a folder that goes when the value does.
final class MadeMachine {
  let root: URL

  /// - Parameter fixture: A fixture to begin as a copy of.
  init(copying fixture: String? = nil) throws {
    root = FileManager.default.temporaryDirectory.appending(path: "topology-\(UUID().uuidString)")
    if let fixture {
      try FileManager.default.copyItem(at: Machine.fixtures.appending(path: fixture), to: root)
    } else {
      try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
    }
  }

  deinit { try? FileManager.default.removeItem(at: root) }

  func write(_ bytes: [UInt8], to path: String) throws {
    let file = root.path + "/" + path
    var output = fopen(file, "w")
    if output == nil {
      let folder = URL(filePath: file).deletingLastPathComponent()
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      output = fopen(file, "w")
    }
    guard let output else { throw CocoaError(.fileWriteUnknown) }
    let written = fwrite(bytes, 1, bytes.count, output)
    guard fclose(output) == 0, written == bytes.count else { throw CocoaError(.fileWriteUnknown) }
  }

  func write(_ text: String, to path: String) throws { try write(Array(text.utf8), to: path) }

  func remove(_ path: String) throws { try FileManager.default.removeItem(at: root.appending(path: path)) }
}
