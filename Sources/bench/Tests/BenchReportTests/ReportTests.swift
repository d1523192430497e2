import BenchReport
import Foundation
import FoundationXML
import Testing

@Suite struct TableTests {
  @Test func columnsLineUp() {
    var table = Table([("name", .left), ("µ", .right), ("", .left)])
    table.append(["a", "1 µs", "x"])
    table.append(["longer", "10 ns", ""])
    #expect(
      table.text == """
        name        µ
        ------  -----
        a        1 µs  x
        longer  10 ns
        """)
  }

  @Test(arguments: [
    (0.5, "0.50 ns"), (12.34, "12.3 ns"), (999, "999 ns"), (999.7, "1.00 µs"), (14_590, "14.6 µs"), (2e9, "2.00 s"),
    (99.96, "100 ns"),
  ]) func timesHaveThreeDigits(time: Double, text: String) {
    #expect(readableTime(time) == text)
  }
}

@Suite struct ReportTests {
  private let fanout = Comparison(
    bench: "fanout", series: [series("ours", [30, 30]), series("c<&>", [100, 100])], busy: [0, 0])

  @Test func resultsNameTheBestPeer() {
    let lines = resultsTable([fanout]).split(separator: "\n")
    #expect(lines[2].hasPrefix("fanout  ours "))
    #expect(lines[2].hasSuffix("0.30 of the best peer, c<&>"))
    #expect(lines[3].hasPrefix("        c<&> "))
    #expect(lines[3].hasSuffix("0.30"))
  }

  @Test func latenciesAreRemarkedAndExplained() throws {
    let comparison = latencies(ours: [110], fifo: [100])
    let lines = resultsTable([comparison]).split(separator: "\n")
    #expect(lines[2].hasSuffix("1.10 of the best peer, fifo, p50 50.0 ns, p99 110 ns, max 220 ns"))
    #expect(lines[3].hasSuffix("1.10  p50 50.0 ns, p99 100 ns, max 200 ns"))
    #expect(lines.last?.contains("p99 over p99") == true)
    #expect(!resultsTable([fanout]).contains("p99"))
    let data = try JSONEncoder().encode(comparison.rows)
    #expect(try JSONDecoder().decode([Row].self, from: data) == comparison.rows)
    #expect(baseTable(now: comparison.rows, base: latencies(ours: [220], fifo: [100]).rows).contains("0.50"))
  }

  @Test func rowsSurviveJSON() throws {
    let data = try JSONEncoder().encode(fanout.rows)
    #expect(try JSONDecoder().decode([Row].self, from: data) == fanout.rows)
    let object = try #require(JSONSerialization.jsonObject(with: data) as? [[String: Any]])
    let keys = ["bench", "subject", "workers", "n", "median_ns", "min_ns", "cpu_ns", "rounds", "busy"]
    #expect(object.allSatisfy { row in keys.allSatisfy { row[$0] != nil } })
  }

  @Test func headlineIsOneLine() throws {
    let (ours, python) = (series("ours", n: 50_000, [80, 100]), series("python-process", n: 50_000, [2000, 2000]))
    let headline = try #require(Headline(Comparison(bench: "process-seed", series: [ours, python], busy: [0, 0])))
    #expect(
      headline.line == """
        primes below 50000, counted 4 times on 2 workers: Python's ProcessPoolExecutor 100 ms, ours 4.50 ms, \
        22.5 times as fast
        """)
    #expect(Headline(Comparison(bench: "process-seed", series: [ours], busy: [0, 0])) == nil)
  }

  @Test func baseIsComparedByBenchAndWidth() {
    var old = fanout.rows
    old[0].medianNs = 60
    let lines = baseTable(now: fanout.rows, base: old).split(separator: "\n")
    #expect(lines[2].hasPrefix("fanout") && lines[2].hasSuffix("0.50"))
    #expect(baseTable(now: fanout.rows, base: []).contains("not run"))
    old[0].n += 1
    #expect(baseTable(now: fanout.rows, base: old).contains("not run"))
  }
}

@Suite struct ChartTests {
  private func rows(_ times: [Double]) -> [Row] {
    let subjects = times.enumerated().map { index, time in series(index == 0 ? "ours" : "peer<&>\(index)", [time]) }
    return Comparison(bench: "fanout", series: subjects, busy: [0]).rows
  }

  @Test func chartsAreWellFormed() {
    let charts = [Chart(title: "fanout", rows: rows([1, 5])), Chart(title: "a & b", rows: rows([1, 500]))]
    for svg in charts.map(\.svg) + [Chart.overview(charts, caption: "1 < 2"), Chart(title: "none", rows: []).svg] {
      let counter = ElementCounter()
      let parser = XMLParser(data: Data(svg.utf8))
      parser.delegate = counter
      #expect(parser.parse(), "\(String(describing: parser.parserError)) in \(svg)")
      #expect(counter.counts["svg"] == 1)
    }
  }

  @Test func logarithmicChartsMarkPowersOfTen() {
    // The axis, then 1000 and 10,000 ns; the scale begins at 100.
    #expect(Chart(title: "fanout", rows: rows([150, 20_000])).svg.split(separator: "<line").count == 1 + 3)
    #expect(Chart(title: "fanout", rows: rows([150, 1000])).svg.split(separator: "<line").count == 1 + 1)
  }

  @Test func latencyIsDrawnByItsTail() {
    let svg = Chart(title: "latency-closed", rows: latencies(ours: [110], fifo: [100]).rows).svg
    #expect(svg.contains("p99 of the latency") && svg.contains("110 ns") && svg.contains("100 ns"))
  }

  @Test func everyBarIsDrawnAndLabelled() {
    let svg = Chart(title: "fanout", rows: rows([1, 5, 19])).svg
    #expect(svg.split(separator: "<rect").count == 1 + 1 + 3, "a background and three bars")
    #expect(svg.contains("peer&lt;&amp;&gt;2") && svg.contains("19.0 ns"))
    #expect(!svg.contains("log scale"))
    #expect(Chart(title: "fanout", rows: rows([1, 21])).svg.contains("log scale"))
  }
}

private final class ElementCounter: NSObject, XMLParserDelegate {
  var counts: [String: Int] = [:]

  func parser(
    _: XMLParser, didStartElement element: String, namespaceURI _: String?, qualifiedName _: String?,
    attributes _: [String: String]
  ) {
    counts[element, default: 0] += 1
  }
}

@Suite struct PeersTests {
  @Test func readsNamesCommandsAndDivisors() throws {
    let peers = try parsePeers(
      "# peers\nrayon\tpeers/rayon\n\njava-fjp\tjava -cp peers Main\t1\npython\tpython3 p.py\t50\n")
    #expect(
      peers == [
        Peer(name: "rayon", command: ["peers/rayon"]),
        Peer(name: "java-fjp", command: ["java", "-cp", "peers", "Main"]),
        Peer(name: "python", command: ["python3", "p.py"], divisor: 50),
      ])
  }

  @Test(arguments: [
    ("rayon", "line 1 is 'rayon'"), ("\tx", "line 1"), ("a\tb\tc\td", "line 1"), ("a\t ", "'a' has no command"),
    ("# \na\tb\tfast", "line 2: the divisor is 'fast'"), ("a\tb\t0", "the divisor is '0'"),
    ("a\tb\na\tc", "line 2: there are two peers called 'a'"),
  ]) func saysWhatIsWrong(text: String, message: String) {
    #expect {
      try parsePeers(text)
    } throws: { error in
      "\(error)".contains(message)
    }
  }
}
