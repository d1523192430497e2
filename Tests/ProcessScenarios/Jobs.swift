import Glibc
import WorkerPool
import WorkerPoolFoundation

package struct Square: Job, BitwiseWireCodable {
  package var number: Int
  package init(number: Int) { self.number = number }
  package func run() -> Int { number * number }
}

package struct Shout: Job, JSONWireCodable {
  package var words: [String]
  package init(words: [String]) { self.words = words }
  package func run() -> [String] { words.map { $0.uppercased() } }
}

/// A class, generic, and nested: names that a worker has to resolve.
package enum Nested<Element: WireCodable & Sendable> {
  package struct Echo: Job {
    package var element: Element
    package init(element: Element) { self.element = element }
    package func encode(into encoder: inout WireEncoder) throws { try encoder.encode(element) }
    package init(decoding decoder: inout WireDecoder) throws { element = try decoder.decode() }
    package func run() -> Element { element }
  }
}

package struct WorkerIdentifier: Job, BitwiseWireCodable {
  package init() {}
  package func run() -> Int32 { getpid() }
}

/// Returns more or fewer bytes than were asked for.
package struct Blob: Job, BitwiseWireCodable {
  package var count: Int
  package init(count: Int) { self.count = count }
  package func run() -> [UInt8] { Array(repeating: 7, count: count) }
}

private struct HiddenJob: Job, BitwiseWireCodable {
  func run() -> Int { 0 }
}

package func submitHiddenJob(to pool: ProcessPoolExecutor) throws { _ = try pool.submit(HiddenJob()) }

package func submitLocalJob(to pool: ProcessPoolExecutor) throws {
  struct LocalJob: Job, BitwiseWireCodable {
    func run() -> Int { 0 }
  }
  _ = try pool.submit(LocalJob())
}

// MARK: - Errors

package enum StationError: Error, Codable, Equatable {
  case unreachable(host: String, port: Int)
}

package struct CodeError: Error, BitwiseWireCodable, Equatable {
  package var code: Int
}

package struct PlainError: Error, CustomStringConvertible {
  package var description: String { "plain as can be" }
}

package struct Fail: Job, BitwiseWireCodable {
  package enum Kind: UInt8, BitwiseWireCodable {
    case codable
    case wireCodable
    case plain
    case cancellation
    case package
  }

  package var kind: Kind
  package init(kind: Kind) { self.kind = kind }

  package func run() throws -> NoValue {
    switch kind {
    case .codable: throw StationError.unreachable(host: "größer", port: 80)
    case .wireCodable: throw CodeError(code: -7)
    case .plain: throw PlainError()
    case .cancellation: throw CancellationError()
    case .package: throw WorkerPoolError(code: .timedOut, message: "too late")
    }
  }
}

/// Throws for numbers from `limit` on, and names the number.
package struct FailFrom: Job, BitwiseWireCodable {
  package var number: Int
  package var limit: Int
  package init(number: Int, limit: Int) {
    self.number = number
    self.limit = limit
  }

  package func run() throws -> Int {
    if number >= limit { throw CodeError(code: number) }
    return number
  }
}

// MARK: - Ways to die

package struct Die: Job, BitwiseWireCodable {
  package enum Way: UInt8, BitwiseWireCodable, CaseIterable {
    case overflow
    case fatalError
    case outOfBounds
    case badPointer
    case stackOverflow
    case abort
    case busError
    case kill
    case exitZero
    case exitThree
  }

  package var way: Way
  package init(way: Way) { self.way = way }

  package func run() -> Int {
    switch way {
    case .overflow: return Int.max + Int(getpid())
    case .fatalError: Swift.fatalError("as asked")
    case .outOfBounds: return [1, 2, 3][Int(getpid())]
    case .badPointer: UnsafeMutablePointer<Int>(bitPattern: 8)?.pointee = 1
    case .stackOverflow: return deepen(1)
    case .abort: Glibc.abort()
    case .busError: raise(SIGBUS)
    case .kill: kill(getpid(), SIGKILL)
    case .exitZero: exit(0)
    case .exitThree: exit(3)
    }
    return 0
  }

  private func deepen(_ level: Int) -> Int {
    withUnsafeTemporaryAllocation(of: Int.self, capacity: 512) { room in
      room.initialize(repeating: level)
      return deepen(level + 1) + room[level % 512]
    }
  }
}
