import Foundation
import Testing
import WorkerPool
import WorkerPoolFoundation

@Suite struct RoundTripTests {
  private func expectRoundTrip<Value: WireCodable & Equatable>(
    _ values: Value..., sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    for value in values {
      #expect(try roundTrip(value) == value, sourceLocation: sourceLocation)
      #expect(try roundTrip([value, value]) == [value, value], sourceLocation: sourceLocation)
      #expect(try roundTrip(Optional(value)) == value, sourceLocation: sourceLocation)
    }
  }

  @Test func numbers() throws {
    try expectRoundTrip(Int.min, 0, .max)
    try expectRoundTrip(Int8.min, 0, .max)
    try expectRoundTrip(UInt16.min, .max)
    try expectRoundTrip(Int32.min, .max)
    try expectRoundTrip(UInt64.max)
    try expectRoundTrip(Int128.min, .max)
    try expectRoundTrip(Float.infinity, -.leastNonzeroMagnitude)
    try expectRoundTrip(Double.pi, -.infinity)
    #expect(try roundTrip(Double(nan: 5, signaling: false)).bitPattern == Double(nan: 5, signaling: false).bitPattern)
    try expectRoundTrip(true, false)
    try expectRoundTrip(Duration.seconds(-3) + .nanoseconds(1), .zero)
  }

  @Test func texts() throws {
    try expectRoundTrip("", "short", "longer than a small string can be", "e\u{301} 👩‍👩‍👧 \u{0} \u{10FFFF}")
    try expectRoundTrip(Character("👩‍👩‍👧"), "\r\n")
    #expect(Array(try roundTrip("e\u{301}").unicodeScalars) == Array("e\u{301}".unicodeScalars))
  }

  @Test func containers() throws {
    try expectRoundTrip([Int](), [1, 2, 3])
    try expectRoundTrip([[String]](), [["a"], [], ["b", "c"]])
    try expectRoundTrip(["one": [1], "none": []], [:])
    try expectRoundTrip(Set(["x", "y"]), [])
    try expectRoundTrip(1..<5, 3..<3)
    try expectRoundTrip(1.5...2.5)
    try expectRoundTrip(Optional<Int?>.some(nil))
    try expectRoundTrip(ContiguousArray(["a", "b"]))
    #expect(try roundTrip(Int?.none) == nil)
    #expect(try roundTrip(Result<Int, WireStationError>.failure(.init(code: 4))) == .failure(.init(code: 4)))
  }

  @Test func ownTypes() throws {
    try expectRoundTrip(Point(x: 0.5, tag: -1))
    try expectRoundTrip(Named(name: "n", points: [Point(x: 1, tag: 2), Point(x: 3, tag: 4)], note: "ü"))
    try expectRoundTrip(Color.red, .green)
    try expectRoundTrip(Level.low, .high)
    try expectRoundTrip(NoValue())
    try expectRoundTrip(Empty())
    #expect(try roundTrip(Array(repeating: Empty(), count: 1000)).count == 1000)
  }

  @Test func codableTypes() throws {
    try expectRoundTrip(Settings(name: "s", ratios: [.infinity, 0.1, -.infinity]))
    #expect(try roundTrip(Settings(name: "s", ratios: [.nan])).ratios[0].isNaN)
    try expectRoundTrip(Archive(blob: Data([0, 1, 255]), title: "t"))
    try expectRoundTrip(Fruit.apple, .pear)
    try expectRoundTrip(Data([1, 2, 3]), Data())
    try expectRoundTrip(Date(timeIntervalSinceReferenceDate: 123.456))
    try expectRoundTrip(UUID())
    try expectRoundTrip(try #require(URL(string: "x/y?z", relativeTo: URL(string: "https://swift.org/"))))
  }

  @Test func arraysOfTrivialElementsAreOneCopy() throws {
    let doubles = (0..<100_000).map(Double.init)
    let bytes = try wireBytes(doubles)
    #expect(bytes.count == 8 + 800_000)
    #expect(bytes.dropFirst(8).elementsEqual(doubles.withUnsafeBytes { Array($0) }))
    #expect(try decoded([Double].self, bytes) == doubles)
    // The stride, padding included, is what tells one copy from element after element.
    #expect(try wireBytes([Point(x: 1, tag: 1), Point(x: 2, tag: 2)]).count == 8 + 2 * MemoryLayout<Point>.stride)
    #expect(try wireBytes(Point(x: 1, tag: 1)).count == MemoryLayout<Point>.size)
    #expect(MemoryLayout<Point>.size < MemoryLayout<Point>.stride)
  }

  @Test func severalValuesInOneEncoder() throws {
    var encoder = WireEncoder()
    try encoder.encode(1, "two", [3.0], true)
    #expect(encoder.byteCount == 8 + 8 + 3 + 8 + 8 + 1)
    let bytes = encoder.withUnsafeBytes { Array($0) }
    #expect(throws: WorkerPoolError.self) { try decoded(Int.self, bytes) }
  }
}
