import Foundation
import Testing
import WorkerPool
import WorkerPoolFoundation

@Suite struct DamagedBytesTests {
  private let sample: [String: [Named?]] = [
    "first": [Named(name: "größer", points: [Point(x: 1, tag: 2)], note: nil), nil],
    "second": [Named(name: "", points: [], note: "note")],
  ]

  private func expectRefusal<Value: WireCodable>(
    of bytes: [UInt8], as type: Value.Type, saying part: String, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let error = #expect(throws: WorkerPoolError.self, sourceLocation: sourceLocation) { try decoded(type, bytes) }
    #expect(error?.code == .coding, sourceLocation: sourceLocation)
    #expect(error?.message.contains(part) == true, "\(error?.message ?? "")", sourceLocation: sourceLocation)
  }

  @Test func everyTruncationIsRefused() throws {
    let bytes = try wireBytes(sample)
    for length in 0..<bytes.count {
      #expect(throws: WorkerPoolError.self) { try decoded([String: [Named?]].self, Array(bytes[..<length])) }
    }
    for value in [[1.0, 2.0], []] as [[Double]] {
      let bytes = try wireBytes(value)
      for length in 0..<bytes.count {
        #expect(throws: WorkerPoolError.self) { try decoded([Double].self, Array(bytes[..<length])) }
      }
    }
    let json = try wireBytes([Settings(name: "s", ratios: [1])])
    for length in 0..<json.count {
      #expect(throws: WorkerPoolError.self) { try decoded([Settings].self, Array(json[..<length])) }
    }
  }

  @Test func everyChangedByteIsReadOrRefused() throws {
    let bytes = try wireBytes(sample)
    var refused = 0
    for index in bytes.indices {
      for value in [0, 1, 0x7F, 0x80, 0xFF] as [UInt8] {
        var damaged = bytes
        damaged[index] = value
        do {
          _ = try decoded([String: [Named?]].self, damaged)
        } catch {
          #expect(error is WorkerPoolError)
          refused += 1
        }
      }
    }
    #expect(refused > bytes.count)
  }

  @Test func randomBytesAreReadOrRefused() {
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<20_000 {
      var bytes = (0..<Int.random(in: 0...64, using: &generator)).map { _ in
        // Small values, so that counts are often plausible and reading goes on.
        Bool.random(using: &generator) ? 0 : UInt8.random(in: 0...255, using: &generator) & 3
      }
      bytes.append(0)
      do { _ = try decoded([String: [Named?]].self, bytes) } catch { #expect(error is WorkerPoolError) }
      do { _ = try decoded([[[Empty]]].self, bytes) } catch { #expect(error is WorkerPoolError) }
    }
  }

  @Test func countsThatCannotBeTrueAreRefusedBeforeAllocating() {
    let huge = withUnsafeBytes(of: Int.max) { Array($0) }
    let negative = withUnsafeBytes(of: -1) { Array($0) }
    for count in [huge, negative] {
      expectRefusal(of: count, as: [Double].self, saying: "at byte 8 of 8")
      expectRefusal(of: count, as: [Empty].self, saying: "elements of Empty")
      expectRefusal(of: count, as: [NoValue].self, saying: "elements of NoValue")
      expectRefusal(of: count, as: [Level].self, saying: "elements of Level")
      expectRefusal(of: count, as: String.self, saying: "String takes")
      expectRefusal(of: count, as: Data.self, saying: "Data takes")
      expectRefusal(of: count, as: Set<Int>.self, saying: "elements of Int")
      expectRefusal(of: count + [0, 0, 0, 0, 0, 0, 0, 0], as: [Int: Int].self, saying: "elements of Int")
    }
  }

  @Test func invalidPatternsAreRefused() throws {
    expectRefusal(of: [2], as: Bool.self, saying: "not 2")
    expectRefusal(of: [1, 2], as: Bool.self, saying: "1 bytes are left over")
    expectRefusal(of: [9, 0], as: Int?.self, saying: "not 9")
    expectRefusal(of: [1], as: Level.self, saying: "1 is no raw value of Level")
    expectRefusal(of: try wireBytes([3, 4] as [UInt8]), as: [Level].self, saying: "4 is no raw value")
    expectRefusal(of: try wireBytes("blue"), as: Color.self, saying: "blue is no raw value of Color")
    expectRefusal(of: try wireBytes([5, 4] as [Int]).suffix(16), as: Range<Int>.self, saying: "from 5 up to 4")
    expectRefusal(of: try wireBytes([Double.nan, 4]).suffix(16), as: ClosedRange<Double>.self, saying: "nan")
    expectRefusal(of: try wireBytes([0xFF, 0x41] as [UInt8]), as: String.self, saying: "no UTF-8")
    // Three bytes that would be repaired to three other bytes.
    expectRefusal(of: try wireBytes([0xF0, 0x9F, 0x98] as [UInt8]), as: String.self, saying: "no UTF-8")
    expectRefusal(of: try wireBytes([1, 1]), as: Set<Int>.self, saying: "equal elements")
    expectRefusal(of: try wireBytes([1, 1]) + wireBytes([2, 3]), as: [Int: Int].self, saying: "equal keys")
    expectRefusal(of: try wireBytes([1, 2]) + wireBytes([2]), as: [Int: Int].self, saying: "2 keys and 1 values")
    expectRefusal(of: try wireBytes("ab"), as: Character.self, saying: "not 2")
  }

  @Test func codableFailuresNameThePath() throws {
    let document = Data(#"{"name":"s","ratios":[1,"x"]}"#.utf8)
    expectRefusal(of: try wireBytes(document), as: Settings.self, saying: "ratios[1]")
    expectRefusal(of: try wireBytes(Data([1, 2])), as: Archive.self, saying: "Archive")
  }

  @Test func nestingHasALimitBothWays() throws {
    #expect(throws: Never.self) { try roundTrip(Chain(length: 100)) }
    let error = #expect(throws: WorkerPoolError.self) { try wireBytes(Chain(length: 1000)) }
    #expect(error?.message.contains("512") == true)
    // Counts of one, all the way down.
    let one = withUnsafeBytes(of: 1) { Array($0) }
    expectRefusal(of: Array(repeatElement(one, count: 100_000).joined()), as: Chain.self, saying: "deeper")
  }

  @Test func aSmallStackIsNotOverflowed() throws {
    let one = withUnsafeBytes(of: 1) { Array($0) }
    let chain = Array(repeatElement(one, count: 600).joined())
    let document = Data((String(repeating: "[", count: 300) + String(repeating: "]", count: 300)).utf8)
    let json = try wireBytes(document)
    let ended = DispatchSemaphore(value: 0)
    let thread = Thread {
      #expect(throws: WorkerPoolError.self) { try decoded(Chain.self, chain) }
      #expect(throws: WorkerPoolError.self) { try decoded(Settings.self, json) }
      #expect(throws: Never.self) { try roundTrip(Settings(name: "s", ratios: [1])) }
      ended.signal()
    }
    thread.stackSize = 256 << 10
    thread.start()
    ended.wait()
  }
}
