import Foundation
import Testing

@testable import WorkerPool

/// Values at the edge, and bytes that would take too long.
@Suite struct HostileValueTests {
  private func refusal<Value: WireCodable>(of bytes: [UInt8], as type: Value.Type) -> String {
    let clock = ContinuousClock()
    let start = clock.now
    let error = #expect(throws: WorkerPoolError.self) { try decoded(type, bytes) }
    #expect(error?.code == .coding)
    #expect(clock.now - start < .seconds(5))
    return error?.message ?? ""
  }

  @Test func manyEqualNaNsAreNotHashed() throws {
    let elements = try wireBytes([Double](repeating: .nan, count: 80_000))
    #expect(refusal(of: elements, as: Set<Double>.self).contains("same hash"))
    #expect(refusal(of: elements + elements, as: [Double: Double].self).contains("same hash"))
    let nested = try wireBytes([[Double]](repeating: [.nan], count: 20_000))
    #expect(refusal(of: nested, as: Set<[Double]>.self).contains("same hash"))
  }

  @Test func ordinarySetsAndDictionariesAreHashed() throws {
    let numbers = Set(0..<100_000)
    #expect(try roundTrip(numbers) == numbers)
    let words = Dictionary(uniqueKeysWithValues: numbers.prefix(10_000).map { ("word \($0)", $0) })
    #expect(try roundTrip(words) == words)
    #expect(try roundTrip(Set([Double.nan, .nan, 1])).count == 3)
    #expect(refusal(of: try wireBytes([0.0, -0.0]), as: Set<Double>.self).contains("equal elements"))
  }

  @Test func textsThatTakeTooLongToCompareAreRefused() throws {
    let marks = "e" + String(repeating: "\u{301}\u{316}", count: 250_000)
    #expect(refusal(of: try wireBytes(marks), as: String.self).contains("combining marks"))
    #expect(refusal(of: try wireBytes(marks), as: Color.self).contains("combining marks"))
    #expect(refusal(of: try wireBytes([marks]), as: Set<String>.self).contains("combining marks"))
    let made = "e" + String(repeating: "\u{F73}", count: 100_000)
    #expect(refusal(of: try wireBytes(made), as: String.self).contains("combining marks"))
    let pieces = Array(repeating: "e" + String(repeating: "\u{301}\u{316}", count: 500), count: 500)
    #expect(refusal(of: try wireBytes(pieces), as: [String].self).contains("combining marks"))
    let honest = String(repeating: "Z\u{301}\u{316}\u{301}a\u{300}한국 ", count: 50_000)
    #expect(try roundTrip(honest) == honest)
    #expect(try roundTrip("e" + String(repeating: "\u{301}", count: 2000)).utf8.count == 4001)
  }

  @Test func durationsOfAnyLengthTravel() throws {
    for attoseconds in [Int128.max, .min, 0, -1, Int128(Int64.max) * 1_000_000_000_000_000_000] {
      let duration = Duration(attoseconds: attoseconds)
      #expect(try roundTrip(duration) == duration)
    }
    let exit = WorkerExit(processIdentifier: 1, reason: .exit(status: 1), runDuration: Duration(attoseconds: .max))
    #expect(try roundTrip(exit) == exit)
  }

  @Test func durationsOfAnyLengthAreTimeouts() throws {
    for attoseconds in [Int128.max, Int128(Int64.max) * 1_000_000_000_000_000_000] {
      let endless = Duration(attoseconds: attoseconds)
      let promise = Promise<Int>()
      #expect(throws: WorkerPoolError.self) { try promise.future.result(timeout: .zero - endless) }
      promise.succeed(1)
      #expect(try promise.future.result(timeout: endless) == 1)
      #expect(throws: Never.self) { try TaskOptions(timeout: endless, gracePeriod: endless).engineValue() }
    }
  }

  @Test func messagesAreBounded() throws {
    let long = String(repeating: "ü", count: 500_000)
    #expect(refusal(of: try wireBytes(long), as: Color.self).utf8.count < 1200)
    #expect(refusal(of: try wireBytes(long) + wireBytes("b"), as: Range<String>.self).utf8.count < 1200)
  }
}
