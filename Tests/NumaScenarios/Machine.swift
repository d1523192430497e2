/// How the machine was built, which Tests/Machine/boot.sh tells in the environment.
struct Machine: Sendable {
  struct Node: Sendable {
    var id: Int
    /// Those that are online.
    var cpus: [Int]
    var hasMemory: Bool
  }

  var nodes: [Node] = []
  /// From node to node, by index.
  var distances: [[Int]] = []
  var offline: [Int]

  init(environment: [Substring: Substring]) throws {
    func variable(_ name: Substring) throws -> Substring {
      guard let value = environment[name] else { throw Unmet("the environment has no \(name)") }
      return value
    }
    offline = try numbers(variable("MACHINE_OFFLINE"))
    for node in try variable("MACHINE_NODES").split(separator: "/") {
      let parts = node.split(separator: ":", omittingEmptySubsequences: false)
      guard parts.count == 3, let id = Int(parts[0]) else { throw Unmet("\(node) is no node") }
      let cpus = try numbers(parts[1]).filter { !offline.contains($0) }
      nodes.append(Node(id: id, cpus: cpus, hasMemory: !parts[2].isEmpty))
    }
    for row in try variable("MACHINE_DISTANCES").split(separator: "/") {
      distances.append(try numbers(row))
    }
    try expect(
      distances.count == nodes.count && distances.allSatisfy { $0.count == nodes.count },
      "\(nodes.count) nodes and these distances: \(distances)")
  }

  /// Ascending.
  var cpus: [Int] { nodes.flatMap(\.cpus).sorted() }
  var withCPUs: [Node] { nodes.filter { !$0.cpus.isEmpty } }
  var withMemory: [Node] { nodes.filter(\.hasMemory) }

  func node(ofCPU cpu: Int) throws -> Node {
    guard let node = nodes.first(where: { $0.cpus.contains(cpu) }) else { throw Unmet("CPU \(cpu) is not online") }
    return node
  }

  /// Ids of the nodes that memory may come from when a CPU of `node` is the first to touch it: its own, or else the
  /// nearest that have some.
  func firstTouch(from node: Node) -> Set<Int> {
    let from = nodes.firstIndex { $0.id == node.id }!
    let candidates = nodes.indices.filter { nodes[$0].hasMemory }
    let nearest = candidates.map { distances[from][$0] }.min()
    return Set(candidates.filter { distances[from][$0] == nearest }.map { nodes[$0].id })
  }
}

/// "0-3,8"
private func numbers(_ list: Substring) throws -> [Int] {
  try list.split(separator: ",").flatMap { part in
    let ends = part.split(separator: "-").compactMap { Int($0) }
    guard let first = ends.first, let last = ends.last, first <= last else { throw Unmet("\(list) is no list") }
    return Array(first...last)
  }
}
