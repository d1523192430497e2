/// The middle value, or the mean of the two in the middle. Of nothing, nothing.
public func median(_ values: [Double]) -> Double? {
  guard !values.isEmpty else { return nil }
  let sorted = values.sorted()
  let middle = sorted.count / 2
  return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
}

/// The value that `share` of all values do not exceed (nearest rank).
public func percentile(_ share: Double, of values: [Double]) -> Double? {
  precondition((0...1).contains(share), "share is \(share), but it must be in 0...1")
  guard !values.isEmpty else { return nil }
  let rank = Int((share * Double(values.count)).rounded(.up))
  return values.sorted()[max(0, rank - 1)]
}

/// The latencies of one round as a subject reports them.
public func latencyReading(_ latencies: [Double]) -> [String: Double] {
  [
    "p50_ns": percentile(0.5, of: latencies) ?? 0, "p99_ns": percentile(0.99, of: latencies) ?? 0,
    "max_ns": latencies.max() ?? 0,
  ]
}

/// The median of the quotients of values that were measured in the same round.
///
/// The machine's speed changes from second to second, and within a round both sides meet the same machine; the quotient
/// of two medians would compare a good second of one with a bad one of the other.
public func pairedRatio(_ values: [Double], over others: [Double]) -> Double? {
  precondition(values.count == others.count, "\(values.count) rounds cannot be paired with \(others.count)")
  return median(zip(values, others).map { $0 / $1 })
}
