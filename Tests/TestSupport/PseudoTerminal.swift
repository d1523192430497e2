import Foundation
import WorkerPool

/// A terminal for a program to write to. What is written is read at once, so that it never fills up.
public struct PseudoTerminal: Sendable {
  /// The program's end.
  public let writer: FileHandle
  private let written: Future<String>

  public init() throws {
    var (readerDescriptor, writerDescriptor): (Int32, Int32) = (-1, -1)
    guard openpty(&readerDescriptor, &writerDescriptor, nil, nil, nil) == 0 else {
      throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO)
    }
    // Not for the programs that other tests start meanwhile: the reading ends when nobody has the terminal open.
    for descriptor in [readerDescriptor, writerDescriptor] { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
    let reader = FileHandle(fileDescriptor: readerDescriptor, closeOnDealloc: true)
    writer = FileHandle(fileDescriptor: writerDescriptor, closeOnDealloc: true)
    let promise = Promise<String>()
    written = promise.future
    Thread.detachNewThread {
      var bytes: [UInt8] = []
      var buffer = [UInt8](repeating: 0, count: 4096)
      // With its last writer gone, a pseudo-terminal says EIO and not end of file.
      while case let count = read(reader.fileDescriptor, &buffer, buffer.count), count > 0 {
        bytes += buffer[..<count]
      }
      promise.succeed(String(decoding: bytes, as: UTF8.self))
    }
  }

  /// All that was written, once no program holds the terminal any more. Usable once.
  public func contents() async throws -> String {
    try writer.close()
    return try await written.value
  }
}
