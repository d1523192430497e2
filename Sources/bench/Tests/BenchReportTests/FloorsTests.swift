import BenchReport
import Testing

@Suite struct FloorsTests {
  private let fanout = Comparison(
    bench: "fanout", series: [series("ours", [30, 30]), series("dispatch", [100, 100]), series("nio", [40, 40])],
    busy: [0, 0])

  @Test func judgesWhatIsThereAlone() {
    #expect(Floor("fanout", .over("dispatch"), atMost: 0.35).judge([fanout])?.holds == true)
    #expect(Floor("fanout", .over("dispatch"), atMost: 0.29).judge([fanout])?.holds == false)
    #expect(Floor("fanout", .over("rayon"), atMost: 0.6).judge([fanout]) == nil)
    #expect(Floor("contend", .over("dispatch"), atMost: 0.5).judge([fanout]) == nil)
    #expect(Floor("fanout", .overBestPeer, atMost: 1).judge([fanout])?.value == 0.75)
    #expect(Floor("fanout", .time, atMost: 30).judge([fanout])?.holds == true)
    #expect(Floor("fanout", .between("nio", "dispatch"), atMost: 1).judge([fanout])?.value == 0.4)
  }

  @Test func judgesWidthsAndExtras() {
    let wide = Comparison(
      bench: "wide", series: [series("ours", workers: 2, [10]), series("ours", workers: 16, [16])], busy: [0])
    #expect(Floor("wide", .width(16), atMost: 1.5).judge([wide])?.value == 1.6)
    #expect(Floor("wide", .width(64), atMost: 1.5).judge([wide]) == nil)
    var idle = series("ours", [1], ["switches": 0])
    let floor = Floor("idle", .extra("switches"), atMost: 0)
    #expect(floor.judge([Comparison(bench: "idle", series: [idle], busy: [])])?.holds == true)
    idle.append(["wall_ns": 1, "cpu_ns": 1, "switches": 1])
    #expect(floor.judge([Comparison(bench: "idle", series: [idle], busy: [])])?.holds == false)
  }

  @Test func judgesTheMedianOperation() throws {
    let floor = Floor("process-pingpong", .extra("p50_ns"), atMost: 3000)
    let ours = series("ours", [9000, 9000, 9000], ["p50_ns": 2500])
    let judgement = try #require(floor.judge([Comparison(bench: "process-pingpong", series: [ours], busy: [])]))
    #expect(judgement.holds, "a few slow operations do not matter")
    #expect(floor.readable(judgement.value) == "2.50 µs")
    #expect(floor.subject == "median time of an operation")
  }

  @Test func judgesTheTailOfLatencies() throws {
    let floor = try #require(floors.first { $0.bench == "latency-closed" })
    let good = try #require(floor.judge([latencies(ours: [110, 300, 88], fifo: [100, 200, 80])]))
    #expect(good.value == 1.1 && good.holds)
    #expect(floor.judge([latencies(ours: [111, 300, 112], fifo: [100, 200, 80])])?.holds == false)
    #expect(floor.subject == "p99 of ours over fifo")
    #expect(floor.readable(good.value) == "1.10")
    let alone = Comparison(bench: "latency-closed", series: [series("ours", [1], ["p99_ns": 1])], busy: [0])
    #expect(floor.judge([alone]) == nil)
  }

  /// One floor of the process pool each, held and missed.
  @Test(arguments: [
    ("process-fanout", "python-process", 0.099, 0.101), ("process-map", "python-process", 0.099, 0.101),
    ("process-pingpong-parked", "c-loop", 12.9, 13.1), ("process-payload", "c-loop", 14.9, 15.1),
    ("process-primes", "sequential", 5.55, 5.56), ("process-primes", "c-loop", 11.1, 11.2),
  ]) func processesAreJudgedAgainst(bench: String, other: String, good: Double, bad: Double) throws {
    let floor = try #require(floors.first { $0.bench == bench && $0.value == .over(other) })
    for (time, holds) in [(good, true), (bad, false)] {
      let comparison = Comparison(bench: bench, series: [series("ours", [time]), series(other, [10])], busy: [0])
      #expect(floor.judge([comparison])?.holds == holds)
    }
  }

  @Test func tableSaysWhatWasMissed() throws {
    let text = try #require(floorsTable([fanout]))
    #expect(
      text == """
        bench   floor               at most  measured
        ------  ------------------  -------  --------
        fanout  ours over dispatch     0.35      0.30  ok
        """)
    let slow = Comparison(bench: "contend", series: [series("ours", [60]), series("dispatch", [100])], busy: [0])
    #expect(try #require(floorsTable([slow])).hasSuffix("0.50      0.60  MISSED"))
    #expect(floorsTable([]) == nil)
  }
}
