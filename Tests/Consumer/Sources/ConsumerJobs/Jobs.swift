// Jobs in a module of their own: a worker finds them by their full names.
import WorkerPool
import WorkerPoolFoundation

/// Copied as bytes.
public struct SumOfSquares: Job, BitwiseWireCodable {
  public var upper: Int

  public init(upTo upper: Int) { self.upper = upper }

  public func run() -> Int { (1...upper).reduce(0) { $0 + $1 * $1 } }
}

/// Sent as JSON, with a result and an error of its own.
public struct CountWords: Job, JSONWireCodable {
  public struct NoText: Error, Codable, Equatable {
    public var title: String

    public init(title: String) { self.title = title }
  }

  public var title: String
  public var text: String

  public init(title: String, text: String) {
    self.title = title
    self.text = text
  }

  public func run() throws -> [String: Int] {
    if text.isEmpty { throw NoText(title: title) }
    return text.split(separator: " ").reduce(into: [:]) { counts, word in counts[String(word), default: 0] += 1 }
  }
}
