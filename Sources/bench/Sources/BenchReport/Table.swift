import Foundation

/// Text in columns that line up.
public struct Table: Sendable {
  public enum Alignment: Sendable { case left, right }

  private let header: [String]
  private let alignments: [Alignment]
  private var lines: [[String]] = []

  public init(_ columns: [(String, Alignment)]) {
    header = columns.map(\.0)
    alignments = columns.map(\.1)
  }

  public mutating func append(_ cells: [String]) {
    precondition(cells.count == header.count, "\(cells.count) cells for \(header.count) columns")
    lines.append(cells)
  }

  public var isEmpty: Bool { lines.isEmpty }

  /// The header, a rule and the lines, without a newline at the end.
  public var text: String {
    let widths = header.indices.map { column in
      ([header] + lines).map { $0[column].count }.max() ?? 0
    }
    func formatted(_ cells: [String]) -> String {
      let padded = cells.indices.map { column in
        let space = String(repeating: " ", count: widths[column] - cells[column].count)
        return alignments[column] == .left ? cells[column] + space : space + cells[column]
      }
      let line = padded.joined(separator: "  ")
      return String(line.reversed().drop { $0 == " " }.reversed())
    }
    let rule = header.indices.map { String(repeating: "-", count: header[$0].isEmpty ? 0 : widths[$0]) }
    return ([header, rule] + lines).map(formatted).joined(separator: "\n")
  }
}

/// Nanoseconds with three digits, in the unit that needs no more before the point.
public func readableTime(_ nanoseconds: Double) -> String {
  var value = nanoseconds
  for unit in ["ns", "µs", "ms"] {
    if value < 999.5 { return "\(threeDigits(value)) \(unit)" }
    value /= 1000
  }
  return "\(threeDigits(value)) s"
}

public func readableRatio(_ ratio: Double) -> String { String(format: ratio < 0.1 ? "%.3f" : "%.2f", ratio) }

/// Whole numbers as such, others with three digits.
public func readableCount(_ value: Double) -> String {
  value == value.rounded() && abs(value) < 1e15 ? String(Int(value)) : threeDigits(value)
}

private func threeDigits(_ value: Double) -> String {
  switch abs(value) {
  case ..<9.995: String(format: "%.2f", value)
  case ..<99.95: String(format: "%.1f", value)
  default: String(format: "%.0f", value)
  }
}
