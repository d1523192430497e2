import CWorkerPool

extension Affinity {
  /// The choice as the engine takes it, for as long as `body` runs. Numbers that are none are left for it to refuse.
  func withEngineValue<R>(_ body: (wp_affinity_choice) -> R) -> R {
    var choice = wp_affinity_choice()
    switch self {
    case .none: choice.policy = WP_AFFINITY_NONE
    case .compact: choice.policy = WP_AFFINITY_COMPACT
    case .spread: choice.policy = WP_AFFINITY_SPREAD
    case .node(let node):
      choice.policy = WP_AFFINITY_NODE
      choice.node = Int32(exactly: node) ?? -1
    case .cpus(let cpus):
      choice.policy = WP_AFFINITY_CPUS
      choice.cpu_count = cpus.count
      return cpus.map { Int32(exactly: $0) ?? -1 }.withUnsafeBufferPointer {
        choice.cpus = $0.baseAddress
        return body(choice)
      }
    }
    return body(choice)
  }

  /// What was asked for, if the engine refused a number in the argument of this name.
  func refusal(of number: Int32, in argument: String) -> String? {
    switch (argument, self) {
    case ("cpus", .cpus(let cpus)): cpus.isEmpty ? "cpus is []" : "cpus is \(cpus), with \(number)"
    case ("node", .node(let node)): "node is \(node)"
    default: nil
    }
  }
}
