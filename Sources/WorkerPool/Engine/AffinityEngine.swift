import CWorkerPool

extension Affinity {
  var engineValue: wp_affinity {
    switch self {
    case .none: WP_AFFINITY_NONE
    case .compact: WP_AFFINITY_COMPACT
    case .spread: WP_AFFINITY_SPREAD
    case .cpus: WP_AFFINITY_CPUS
    }
  }

  /// The CPU numbers as the engine takes them; numbers that are none are left for the engine to refuse.
  func withCPUs<R>(_ body: (UnsafeBufferPointer<Int32>) -> R) -> R {
    guard case .cpus(let cpus) = self else { return body(UnsafeBufferPointer(start: nil, count: 0)) }
    return cpus.map { Int32(exactly: $0) ?? -1 }.withUnsafeBufferPointer(body)
  }
}
