import Foundation

/// A line on stderr that shows how far long work has come, drawn only on a terminal and only after half a second.
struct ProgressBar {
  /// Work shorter than this shows nothing.
  static let delay = 0.5
  static let interval = 0.1

  /// Whether stderr is a terminal.
  let isEnabled: Bool
  private let label: String
  private let total: Double
  private let numbers: Int
  private let start = ProcessInfo.processInfo.systemUptime
  private var done = 0.0
  private var lastDrawn = 0.0

  /// - Parameters:
  ///   - total: The cost of all the work, in the units of `advance(by:)`.
  ///   - numbers: How many numbers the work looks at, for the rate.
  init(label: String, total: Double, numbers: Int, isEnabled: Bool = isatty(STDERR_FILENO) == 1) {
    self.label = label
    self.total = total
    self.numbers = numbers
    self.isEnabled = isEnabled
  }

  mutating func advance(by cost: Double) {
    done += cost
    refresh()
  }

  mutating func refresh() {
    guard isEnabled else { return }
    let elapsed = ProcessInfo.processInfo.systemUptime - start
    guard elapsed > ProgressBar.delay, elapsed - lastDrawn > ProgressBar.interval else { return }
    lastDrawn = elapsed
    let line = ProgressBar.line(label: label, fraction: done / total, numbers: numbers, elapsed: elapsed)
    standardError.write("\r\u{1B}[K" + line)
  }

  /// Takes the line off the terminal again.
  mutating func clear() {
    guard lastDrawn > 0 else { return }
    standardError.write("\r\u{1B}[K")
    lastDrawn = 0
  }

  /// The text of the line, at most 79 columns wide for labels of up to 10 characters.
  static func line(label: String, fraction: Double, numbers: Int, elapsed: Double) -> String {
    let fraction = min(max(fraction, 0), 1)
    let filled = Int(fraction * 24)
    let bar = String(repeating: "#", count: filled) + String(repeating: "-", count: 24 - filled)
    let percent = String(format: "%3d%%", Int(fraction * 100))
    let rate = elapsed > 0 ? Double(numbers) * fraction / elapsed : 0
    let left = fraction > 0 ? duration(elapsed / fraction - elapsed) : "--:--"
    let name = label.padding(toLength: 10, withPad: " ", startingAt: 0)
    return "\(name) [\(bar)] \(percent)  \(scaled(rate)) numbers/s  \(left) left"
  }

  /// `1:02:03`, `2:03` or `0:03`; seconds are rounded up, so that `0:00` means that nothing is left.
  static func duration(_ seconds: Double) -> String {
    let whole = Int(seconds.rounded(.up))
    let (hours, minutes) = (whole / 3600, whole / 60 % 60)
    return hours > 0
      ? String(format: "%d:%02d:%02d", hours, minutes, whole % 60) : String(format: "%d:%02d", minutes, whole % 60)
  }

  /// Three digits and a unit: `999`, `1.23k`, `45.6M`.
  static func scaled(_ value: Double) -> String {
    var value = value
    for unit in ["", "k", "M"] {
      if value < 999.5 {
        let digits = unit.isEmpty || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2
        return String(format: "%.\(digits)f", value) + unit
      }
      value /= 1000
    }
    return String(format: "%.0fG", value)
  }
}

extension FileHandle {
  func write(_ text: String) {
    write(Data(text.utf8))
  }
}

var standardError: FileHandle { .standardError }
