import Foundation

/// Horizontal bars of one bench: what is measured for each subject, ours highlighted, less is better.
public struct Chart: Sendable {
  struct Bar: Sendable {
    var label: String
    var value: Double
    var isOurs: Bool
  }

  /// What a chart shows of a row: what its bench is about.
  enum Headline: String {
    case time = "time per operation"
    case latency = "p99 of the latency"
    case bytes = "bytes per task"
    case idleCPU = "CPU time while idle"

    init(_ rows: [Row]) {
      if rows.contains(where: { $0.bytes != nil }) {
        self = .bytes
      } else if rows.contains(where: { $0.switches != nil }) {
        self = .idleCPU
      } else {
        self = rows.contains { $0.maxNs != nil } ? .latency : .time
      }
    }

    func value(_ row: Row) -> Double? {
      switch self {
      case .time, .latency: row.comparedNs
      case .bytes: row.bytes
      case .idleCPU: row.cpuNs
      }
    }

    func readable(_ value: Double) -> String { self == .bytes ? readableCount(value.rounded()) : readableTime(value) }
  }

  public let title: String
  let headline: Headline
  let bars: [Bar]

  /// Rows of one bench.
  public init(title: String, rows: [Row]) {
    self.title = title
    let headline = Headline(rows)
    self.headline = headline
    let isAboutWidth = rows.count(where: { $0.subject == Comparison.ours }) > 1
    bars = rows.compactMap { row in
      headline.value(row).map { value in
        let workers = row.workers == 1 ? "1 worker" : "\(row.workers) workers"
        let label = isAboutWidth ? workers : row.subject
        return Bar(label: label, value: value, isOurs: row.subject.hasPrefix(Comparison.ours))
      }
    }
  }

  /// Beyond this spread the short bars of a linear scale could not be told apart.
  static let spreadOfLinear = 20.0

  /// Where values stand between 0 and 1. A logarithmic scale begins at the power of ten below the least value, and has
  /// marks at those that follow.
  private var scale: (marks: [Double], lengths: [Double]) {
    let most = bars.map(\.value).max() ?? 0
    let least = bars.map(\.value).filter { $0 > 0 }.min() ?? 0
    guard least > 0, most / least > Self.spreadOfLinear else {
      return ([], bars.map { most > 0 ? $0.value / most : 0 })
    }
    let origin = log10(least).rounded(.down)
    let span = log10(most) - origin
    let marks = stride(from: 1, through: span, by: 1).map { $0 / span }
    return (marks, bars.map { $0.value > 0 ? max(0, (log10($0.value) - origin) / span) : 0 })
  }

  /// A file of its own.
  public var svg: String {
    let width = 640.0
    var svg = SVG(width: width, height: height + 2 * Style.margin)
    svg.rectangle(x: 0, y: 0, width: svg.width, height: svg.height, fill: Style.background, radius: 6)
    draw(in: &svg, x: Style.margin, y: Style.margin, width: width - 2 * Style.margin)
    return svg.document
  }

  /// Several charts in one image, in columns; every chart goes where there is most room.
  public static func overview(_ charts: [Chart], caption: String, columns: Int = 2) -> String {
    let cell = 420.0
    let top = Style.margin + 22
    var filled = Array(repeating: top, count: columns)
    let places = charts.map { chart in
      let column = filled.indices.min { filled[$0] < filled[$1] }!
      defer { filled[column] += chart.height + 1.5 * Style.margin }
      return (x: Style.margin + Double(column) * (cell + 2 * Style.margin), y: filled[column])
    }
    let width = Double(columns) * (cell + 2 * Style.margin)
    var svg = SVG(width: width, height: filled.max()!)
    svg.rectangle(x: 0, y: 0, width: svg.width, height: svg.height, fill: Style.background, radius: 6)
    svg.text(caption, x: Style.margin, y: Style.margin + 8, size: 12, fill: Style.faint)
    for (chart, place) in zip(charts, places) {
      chart.draw(in: &svg, x: place.x, y: place.y, width: cell)
    }
    return svg.document
  }

  private enum Style {
    static let margin = 16.0
    static let titleHeight = 28.0
    static let barPitch = 22.0
    static let labelWidth = 124.0
    static let valueWidth = 66.0
    // A background of its own keeps the chart legible on dark pages.
    static let background = "#ffffff"
    static let ink = "#1f2328"
    static let faint = "#59636e"
    static let ours = "#d1571d"
    static let peer = "#9db4c8"
    static let axis = "#d1d9e0"
  }

  private var height: Double { Style.titleHeight + Double(bars.count) * Style.barPitch }

  private func draw(in svg: inout SVG, x: Double, y: Double, width: Double) {
    let (marks, lengths) = scale
    svg.text(title, x: x, y: y + 14, size: 14, fill: Style.ink, bold: true)
    let unit = headline.rawValue + (marks.isEmpty ? "" : ", log scale, a line per power of ten")
    svg.text(unit, x: x + width, y: y + 14, size: 11, fill: Style.faint, anchor: .end)
    let left = x + Style.labelWidth
    let room = width - Style.labelWidth - Style.valueWidth
    let top = y + Style.titleHeight
    for mark in [0] + marks {
      let markX = left + mark * room
      svg.line(x1: markX, y1: top, x2: markX, y2: top + Double(bars.count) * Style.barPitch, stroke: Style.axis)
    }
    for (index, bar) in bars.enumerated() {
      let middle = top + (Double(index) + 0.5) * Style.barPitch
      // A sliver shows that there is a bar.
      let length = max(1, lengths[index] * room)
      svg.text(bar.label, x: left - 8, y: middle + 4, size: 12, fill: Style.ink, anchor: .end, bold: bar.isOurs)
      svg.rectangle(
        x: left, y: middle - 7, width: length, height: 14, fill: bar.isOurs ? Style.ours : Style.peer, radius: 2)
      svg.text(
        headline.readable(bar.value), x: left + length + 6, y: middle + 4, size: 11, fill: Style.ink, bold: bar.isOurs)
    }
  }
}
