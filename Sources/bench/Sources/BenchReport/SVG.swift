import Foundation

/// The little of SVG that a bar chart needs. Colours and fonts stand in the elements themselves, since style sheets do
/// not survive everywhere that an image is shown.
struct SVG {
  enum Anchor: String { case start, middle, end }

  private var elements: [String] = []
  let width: Double
  let height: Double

  init(width: Double, height: Double) {
    self.width = width
    self.height = height
  }

  mutating func rectangle(
    x: Double, y: Double, width: Double, height: Double, fill: String, radius: Double = 0, stroke: String = "none"
  ) {
    elements.append(
      """
      <rect x="\(number(x))" y="\(number(y))" width="\(number(width))" height="\(number(height))" \
      rx="\(number(radius))" fill="\(fill)" stroke="\(stroke)"/>
      """)
  }

  mutating func line(x1: Double, y1: Double, x2: Double, y2: Double, stroke: String) {
    elements.append(
      """
      <line x1="\(number(x1))" y1="\(number(y1))" x2="\(number(x2))" y2="\(number(y2))" stroke="\(stroke)"/>
      """)
  }

  mutating func text(
    _ text: String, x: Double, y: Double, size: Double, fill: String, anchor: Anchor = .start, bold: Bool = false
  ) {
    elements.append(
      """
      <text x="\(number(x))" y="\(number(y))" font-size="\(number(size))" fill="\(fill)" \
      text-anchor="\(anchor.rawValue)"\(bold ? " font-weight=\"bold\"" : "")>\(escaped(text))</text>
      """)
  }

  /// The whole file.
  var document: String {
    """
    <svg xmlns="http://www.w3.org/2000/svg" width="\(number(width))" height="\(number(height))" \
    viewBox="0 0 \(number(width)) \(number(height))" font-family="system-ui, 'DejaVu Sans', sans-serif">
    \(elements.joined(separator: "\n"))
    </svg>

    """
  }

  private func number(_ value: Double) -> String {
    value == value.rounded() ? String(Int(value)) : String(format: "%.1f", value)
  }

  private func escaped(_ text: String) -> String {
    text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
      .replacingOccurrences(of: ">", with: "&gt;")
  }
}
