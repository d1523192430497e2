import Glibc
import Testing
import WorkerPool

private let pageSize = sysconf(Int32(_SC_PAGESIZE))

/// On the machine at hand, which has a node 0 and in most cases no other.
struct PlacementTests {
  static let placements: [MemoryPlacement] = [.firstTouch, .nodes([0]), .interleaved(over: [0])]

  @Test(arguments: placements)
  func buffersAreWhereTheyShouldBe(_ placement: MemoryPlacement) throws {
    let inPage = pageSize / 4
    let buffer = try PlacedBuffer<Int32>(count: 9 * inPage + 1, placement: placement)
    #expect(buffer.count == 9 * inPage + 1)
    // Others may be huge, and begin and end outside of it.
    let pagesAreSmall = placement == .interleaved(over: [0])
    if pagesAreSmall { #expect(try buffer.nodeOfEachPage() == Array(repeating: nil, count: 10)) }
    buffer[2 * inPage] = 5
    let touched = try buffer.nodeOfEachPage().map { $0 != nil }
    #expect(touched.count == 10 && touched[2])
    if pagesAreSmall { #expect(touched == (0..<10).map { $0 == 2 }) }
    #expect(buffer.reduce(0, +) == 5)
    for index in buffer.indices { buffer[index] = Int32(index) }
    #expect(Array(buffer) == Array(0...Int32(9 * inPage)))
    if placement != .firstTouch { #expect(try buffer.nodeOfEachPage() == Array(repeating: 0, count: 10)) }
    #expect(try buffer.nodeOfEachPage().allSatisfy { $0 != nil })
  }

  @Test(arguments: placements, [SharedArray<Double>.WorkerAccess.readOnly, .readWrite])
  func sharedArraysAreWhereTheyShouldBe(_ placement: MemoryPlacement, _ access: SharedArray<Double>.WorkerAccess) throws
  {
    let array = try SharedArray(repeating: 1.5, count: 9 * pageSize / 8 + 1, workers: access, placement: placement)
    #expect(array.allSatisfy { $0 == 1.5 })
    let nodes = try array.nodeOfEachPage()
    #expect(nodes.count == 10 && nodes.allSatisfy { $0 != nil && ($0 == 0 || placement == .firstTouch) })
    let elements = try SharedArray([3.0, 4], workers: access, placement: placement)
    #expect(Array(elements) == [3, 4])
    #expect(try elements.nodeOfEachPage().count == 1)
  }

  @Test func interleavingOverAllWorks() throws {
    let buffer = try PlacedBuffer(repeating: UInt8(7), count: 256 << 10, placement: .interleaved())
    #expect(try buffer.nodeOfEachPage().allSatisfy { $0 != nil })
    #expect(buffer.allSatisfy { $0 == 7 })
  }

  @Test func emptyOnesAreThere() throws {
    let buffer = try PlacedBuffer<Int>(count: 0, placement: .nodes([0]))
    #expect(try buffer.isEmpty && buffer.nodeOfEachPage().isEmpty)
    let array = try SharedArray<Int>([], placement: .nodes([0]))
    #expect(try array.isEmpty && array.nodeOfEachPage().isEmpty)
  }

  @Test func memoryStaysWhileACopyDoes() throws {
    var buffer: PlacedBuffer<Int>? = try PlacedBuffer(0..<1000)
    let copy = buffer
    buffer = nil
    #expect(copy.map { Array($0) } == Array(0..<1000))
  }

  @Test func whatInitializationThrowsComesOut() {
    struct Stop: Error {}
    #expect(throws: Stop.self) { try PlacedBuffer<Int>(count: 5, placement: .nodes([0])) { _ in throw Stop() } }
    #expect(throws: Stop.self) { try SharedArray<Int>(count: 5, placement: .nodes([0])) { _ in throw Stop() } }
  }

  @Test func tasksOfAPoolShareIt() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 2)
    defer { pool.shutdown() }
    let buffer = try PlacedBuffer<Int>(count: 64_000)
    _ = try pool.map(0..<64) { part in
      buffer.withUnsafeMutableBufferPointer { elements in
        for index in part * 1000..<(part + 1) * 1000 { elements[index] = part }
      }
    }
    #expect(try pool.map(buffer) { $0 }.reduce(0, +) == 63 * 32 * 1000)
  }
}

/// Nodes that cannot be had, and what is no node.
struct RefusedNodesTests {
  static let refused: [(MemoryPlacement, String)] = [
    (.nodes([777]), "node 777:"), (.nodes([0, 777]), "node 777:"), (.interleaved(over: [778, 0]), "node 778:"),
    (.nodes([-1]), "node -1:"), (.nodes([.max]), "node \(Int.max):"), (.interleaved(over: [.min]), "node \(Int.min):"),
    (.nodes([1024]), "node 1024:"), (.nodes([1 << 32]), "node \(1 << 32):"),
    (.nodes([]), "must name a node"), (.interleaved(over: []), "must name a node"),
  ]

  @Test(arguments: refused)
  func areNamed(_ placement: MemoryPlacement, _ part: String) {
    let buffer = #expect(throws: WorkerPoolError.self) { try PlacedBuffer<Int>(count: 5, placement: placement) }
    #expect(buffer?.code == .invalidArgument && buffer?.message.contains(part) == true, "\(buffer?.message ?? "")")
    let array = #expect(throws: WorkerPoolError.self) { try SharedArray(0..<5, placement: placement) }
    #expect(array?.code == .invalidArgument && array?.message.contains(part) == true, "\(array?.message ?? "")")
  }

  @Test func moreThanTheAddressSpaceIsRefused() {
    let error = #expect(throws: WorkerPoolError.self) { try PlacedBuffer<UInt8>(count: 1 << 62) }
    #expect(error?.code == .systemCall && error?.systemCall?.name == "mmap")
  }
}
