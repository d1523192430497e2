/// All results: a line per bench and subject.
public func resultsTable(_ comparisons: [Comparison]) -> String {
  var table = Table([
    ("bench", .left), ("subject", .left), ("workers", .right), ("n", .right), ("median", .right), ("min", .right),
    ("cpu", .right), ("ours/it", .right), ("", .left),
  ])
  for comparison in comparisons {
    for (index, row) in comparison.rows.enumerated() {
      table.append([
        index == 0 ? row.bench : "", row.subject, String(row.workers), String(row.n), readableTime(row.medianNs),
        readableTime(row.minNs), readableTime(row.cpuNs), row.ratio.map(readableRatio) ?? "",
        remarks(row, in: comparison),
      ])
    }
  }
  var notes = """


    Times are per operation; cpu is that of all threads. Less is better.
    ours/it: ours over that subject in the same round, the median over the rounds.
    """
  if comparisons.contains(where: \.isAboutWidth) {
    notes += "\nWhere ours stands alone, ours/it: this width over 2 workers."
  }
  if comparisons.contains(where: \.isAboutLatency) {
    notes +=
      "\nIn latency-…, ours/it: p99 over p99. p50, p99, max: from submission to end, medians over the rounds."
  }
  return table.text + notes
}

private func remarks(_ row: Row, in comparison: Comparison) -> String {
  var remarks: [String] = []
  if row.subject == Comparison.ours, let best = comparison.bestPeer {
    remarks.append("\(readableRatio(best.ratio)) of the best peer, \(best.name)")
  }
  if let p50 = row.p50Ns { remarks.append("p50 \(readableTime(p50))") }
  if let p99 = row.p99Ns { remarks.append("p99 \(readableTime(p99))") }
  if let max = row.maxNs { remarks.append("max \(readableTime(max))") }
  if let bytes = row.bytes { remarks.append("\(readableCount(bytes.rounded())) bytes") }
  if let switches = row.switches { remarks.append("\(readableCount(switches)) switches") }
  return remarks.joined(separator: ", ")
}

/// The floors that this run can judge, or nil if there are none.
public func floorsTable(_ comparisons: [Comparison]) -> String? {
  var table = Table([
    ("bench", .left), ("floor", .left), ("at most", .right), ("measured", .right), ("", .left),
  ])
  for judgement in floors.compactMap({ $0.judge(comparisons) }) {
    let floor = judgement.floor
    table.append([
      floor.bench, floor.subject, floor.readable(floor.atMost), floor.readable(judgement.value),
      judgement.holds ? "ok" : "MISSED",
    ])
  }
  return table.isEmpty ? nil : table.text
}

/// Ours in an older run and in this one.
public func baseTable(now: [Row], base: [Row]) -> String {
  var table = Table([
    ("bench", .left), ("workers", .right), ("then", .right), ("now", .right), ("now/then", .right),
  ])
  for row in now where row.subject == Comparison.ours {
    // Not every bench is proportional to n.
    let old = base.first { ($0.bench, $0.subject, $0.workers, $0.n) == (row.bench, row.subject, row.workers, row.n) }
    table.append([
      row.bench, String(row.workers), old.map { readableTime($0.comparedNs) } ?? "not run",
      readableTime(row.comparedNs),
      old.map { readableRatio(row.comparedNs / $0.comparedNs) } ?? "",
    ])
  }
  return table.text + "\n\nRuns of different days are not interleaved: a ratio near 1 says little."
}
