import BenchReport
import Testing

@Suite struct StatisticsTests {
  @Test func medianIsTheMiddle() {
    #expect(median([]) == nil)
    #expect(median([3, 1, 2]) == 2)
    #expect(median([4, 1, 2, 3]) == 2.5)
  }

  @Test func percentileIsANearestRank() {
    let values = (1...200).map(Double.init).shuffled()
    #expect(percentile(0.5, of: values) == 100)
    #expect(percentile(0.99, of: values) == 198)
    #expect(percentile(1, of: values) == 200)
    #expect(percentile(0, of: values) == 1)
    #expect(percentile(0.5, of: []) == nil)
  }

  @Test func latenciesHaveAMiddleATailAndAnEnd() {
    let values = (1...200).map(Double.init).shuffled()
    #expect(latencyReading(values) == ["p50_ns": 100, "p99_ns": 198, "max_ns": 200])
  }

  /// A machine that is slow in one round is slow for both sides.
  @Test func ratiosArePairedWithinARound() {
    #expect(pairedRatio([1, 10, 2], over: [2, 20, 1]) == 0.5)
    #expect(median([1, 10, 2])! / median([2, 20, 1])! == 1)
  }
}

/// Rounds with these times per operation.
func series(_ subject: String, workers: Int = 2, n: Int = 10, _ times: [Double], _ extras: [String: Double] = [:])
  -> Series
{
  var series = Series(subject: subject, workers: workers, n: n)
  for time in times {
    let reading = ["wall_ns": time * Double(n), "cpu_ns": 2 * time * Double(n)]
    series.append(reading.merging(extras) { _, extra in extra })
  }
  return series
}

/// Rounds with these 99th percentiles, medians of 50 and maxima of twice the percentile, in equal times.
func latencies(ours: [Double], fifo: [Double]) -> Comparison {
  let both = [("ours", ours), ("fifo", fifo)].map { subject, tails in
    var rounds = series(subject, [])
    for tail in tails {
      rounds.append(["wall_ns": 50, "cpu_ns": 1, "p50_ns": 50, "p99_ns": tail, "max_ns": 2 * tail])
    }
    return rounds
  }
  return Comparison(bench: "latency-closed", series: both, busy: ours.map { _ in 0 })
}

@Suite struct ComparisonTests {
  @Test func rowsArePerOperationAndPaired() {
    let comparison = Comparison(
      bench: "fanout",
      series: [series("ours", [10, 30, 20]), series("dispatch", n: 5, [40, 60, 80]), series("nio", [20, 60, 40])],
      busy: [0, 0.1, 0.2])
    let rows = comparison.rows
    #expect(rows.map(\.medianNs) == [20, 60, 40])
    #expect(rows.map(\.minNs) == [10, 40, 20])
    #expect(rows.map(\.cpuNs) == [40, 120, 80])
    #expect(rows.map(\.n) == [10, 5, 10])
    #expect(rows.map(\.ratio) == [nil, 0.25, 0.5])
    #expect(rows.map(\.busy) == [0.1, 0.1, 0.1])
    #expect(comparison.bestPeer?.name == "nio")
    #expect(comparison.bestPeer?.ratio == 0.5)
  }

  @Test func widthsAreComparedWithTwoWorkers() {
    let widths = [(1, 5.0), (2, 10), (16, 12)].map { series("ours", workers: $0, [$1, $1, $1]) }
    let comparison = Comparison(bench: "wide", series: widths, busy: [0, 0, 0])
    #expect(comparison.rows.map(\.ratio) == [0.5, 1, 1.2])
    #expect(comparison.bestPeer == nil)
  }

  @Test func relativesOfOursAreNoPeers() {
    let comparison = Comparison(
      bench: "prime-kernel", series: [series("ours", [10]), series("ours-simd", [2]), series("c-O3", [10])], busy: [0])
    #expect(comparison.bestPeer?.name == "c-O3")
  }

  /// All subjects of a bench about latency take the same time: their tails are compared, round by round.
  @Test func latenciesAreComparedByTheirTails() throws {
    let comparison = latencies(ours: [110, 330, 150], fifo: [100, 200, 150])
    #expect(comparison.isAboutLatency)
    #expect(comparison.rows.map(\.ratio) == [nil, 1.1])
    #expect(comparison.rows.map(\.p99Ns) == [150, 150])
    #expect(comparison.rows.map(\.maxNs) == [300, 300])
    #expect(try #require(comparison.bestPeer).ratio == 1.1)
    #expect(!Comparison(bench: "pingpong", series: [series("ours", [1], ["p99_ns": 9])], busy: [0]).isAboutLatency)
  }

  @Test func extrasAreMedians() throws {
    var idle = series("ours", [1, 1], ["switches": 0])
    idle.append(["wall_ns": 10, "cpu_ns": 1, "switches": 3])
    let row = try #require(Comparison(bench: "idle", series: [idle], busy: [0]).rows.first)
    #expect(row.switches == 3, "one bad round is enough")
    let pingpong = Comparison(
      bench: "pingpong", series: [series("ours", [1, 1, 1], ["p50_ns": 7, "p99_ns": 9])], busy: [0])
    #expect(pingpong.rows.first?.p50Ns == 7)
    #expect(pingpong.rows.first?.p99Ns == 9)
  }
}
