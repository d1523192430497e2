/// Where a decoder finds what its bytes only refer to.
@usableFromInline
protocol WireMemory: AnyObject {
  /// The memory with this id; nil when there is none that the bytes may speak of.
  func sharedMemory(id: UInt64) throws -> SharedMemory?
  /// A part of the result that stands beside its bytes; nil when the bytes are wrong about it.
  func block(at offset: Int, byteCount: Int) throws -> SharedMemory?
  /// Whether the bytes come from a sandboxed worker, which may mean harm.
  var isOfSandbox: Bool { get }
}

/// Memory in which an encoder goes on when what it writes turns out large, to save a copy.
protocol WireRoom: AnyObject {
  func open() -> UnsafeMutableRawBufferPointer
}

extension WireDecoder {
  /// Reads the id of a memory of at least `byteCount` bytes and finds the memory.
  mutating func decodeSharedMemory(byteCount: Int) throws -> SharedMemory {
    let id = try readBits(of: UInt64.self)
    guard let found = try memory?.sharedMemory(id: id) else {
      throw invalid("shared array number \(id) did not travel with the task")
    }
    guard byteCount <= found.byteCount else {
      throw invalid("a shared array of \(found.byteCount) bytes has no \(byteCount)")
    }
    return found
  }

  /// Reads where a part of the result stands and finds it.
  mutating func decodeBlock(byteCount: Int) throws -> SharedMemory {
    let offset = try readBits(of: Int.self)
    guard let found = try memory?.block(at: offset, byteCount: byteCount) else {
      throw invalid("there are no \(byteCount) bytes at offset \(offset) of the result")
    }
    return found
  }

  /// Reads a number of elements of this type and returns how many bytes they take.
  mutating func decodeCount<Element>(of type: Element.Type) throws -> (count: Int, byteCount: Int) {
    let count = try readBits(of: Int.self)
    let (byteCount, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
    guard count >= 0, !overflow else { throw invalid("\(count) elements of \(type) exceed the address space") }
    return (count, byteCount)
  }
}

extension WireEncoder {
  /// Appends the id of a memory, and makes the memory travel with the task if this process can give it away.
  mutating func encode(_ memory: SharedMemory) throws {
    guard let id = memory.id else {
      throw WorkerPoolError(code: .coding, message: "cannot encode memory that cannot be shared")
    }
    append(bytesOf: id)
    guard memory.handle != nil, !attachments.contains(where: { $0 === memory }) else { return }
    guard attachments.count < SharedMemory.maximumPerTask else {
      throw WorkerPoolError(
        code: .invalidArgument,
        message: """
          a task carries at most \(SharedMemory.maximumPerTask) different shared arrays; with map, a smaller chunkSize \
          has fewer in each task
          """)
    }
    attachments.append(memory)
  }
}
