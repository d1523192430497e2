import CWorkerPool

/// Pages of this process with a placement; given back with the last reference.
final class PlacedMemory: @unchecked Sendable {
  // SAFETY: all fields are constant, and wp_memory_destroy may be called from any thread; only `deinit` does. What the
  // bytes hold is for the type above to synchronise, and it says how.
  let address: UnsafeMutableRawPointer
  private let length: Int

  init(byteCount: Int, _ placement: MemoryPlacement) throws {
    length = Swift.max(byteCount, 1)
    let length = length
    var made: UnsafeMutableRawPointer?
    try placement.asking { placement, refused, error in
      wp_memory_create(length, &placement, &made, &refused, &error)
    }
    guard let made else { throw WorkerPoolError(status: WP_SYSTEM_CALL_FAILED) }
    address = made
  }

  deinit { wp_memory_destroy(address, length) }
}

/// The node of each page of memory from the page aligned `address` on; nil for one that nobody has written to.
func pageNodes(of address: UnsafeMutableRawPointer, byteCount: Int) throws -> [Int?] {
  let count = wp_memory_page_count(byteCount)
  // The initialiser below would write a count of 0 into the empty array that all threads share.
  guard count > 0 else { return [] }
  var error = wp_error()
  var status = WP_OK
  let nodes = [Int32](unsafeUninitializedCapacity: count) { nodes, initialized in
    if let start = nodes.baseAddress { status = wp_memory_page_nodes(address, byteCount, start, &error) }
    initialized = status == WP_OK ? count : 0
  }
  guard status == WP_OK else { throw WorkerPoolError(error) }
  return nodes.map { $0 < 0 ? nil : Int($0) }
}

extension MemoryPlacement {
  /// Calls `make` with the placement as the engine takes it, and throws what the engine says against it.
  func asking(
    _ make: (_ placement: inout wp_memory_placement, _ refused: inout Int32, _ error: inout wp_error) -> wp_status
  ) throws {
    // A number that is none to the engine is refused like one that is no node.
    if let node = nodes.first(where: { Int32(exactly: $0) == nil }) { throw refusal(node, "each node must exist") }
    var refused: Int32 = -1
    var error = wp_error()
    let status = nodes.map { Int32($0) }.withUnsafeBufferPointer { nodes in
      var placement = wp_memory_placement(policy: policy, nodes: nodes.baseAddress, node_count: nodes.count)
      return make(&placement, &refused, &error)
    }
    guard status != WP_OK else { return }
    guard status == WP_INVALID_ARGUMENT, let rule = error.rule, !nodes.isEmpty else { throw WorkerPoolError(error) }
    throw refusal(Int(refused), String(cString: rule))
  }

  private var policy: wp_memory_policy {
    switch self {
    case .firstTouch: WP_MEMORY_FIRST_TOUCH
    case .nodes: WP_MEMORY_ON_NODES
    // None is all to the engine; who lists none meant something else.
    case .interleaved(let nodes): nodes?.isEmpty == true ? WP_MEMORY_ON_NODES : WP_MEMORY_INTERLEAVED
    }
  }

  private var nodes: [Int] {
    switch self {
    case .firstTouch: []
    case .nodes(let nodes): nodes
    case .interleaved(let nodes): nodes ?? []
    }
  }

  private func refusal(_ node: Int, _ rule: String) -> WorkerPoolError {
    WorkerPoolError(code: .invalidArgument, message: "memory cannot be placed on node \(node): \(rule)")
  }
}
