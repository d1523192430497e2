import Foundation

/// A terminal for a program to write to.
public struct PseudoTerminal {
  /// The program's end.
  public let writer: FileHandle
  private let reader: FileHandle

  public init() throws {
    var (readerDescriptor, writerDescriptor): (Int32, Int32) = (-1, -1)
    guard openpty(&readerDescriptor, &writerDescriptor, nil, nil, nil) == 0 else {
      throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO)
    }
    reader = FileHandle(fileDescriptor: readerDescriptor, closeOnDealloc: true)
    writer = FileHandle(fileDescriptor: writerDescriptor, closeOnDealloc: true)
  }

  /// All that was written, once no other program holds the terminal. Usable once.
  public func contents() throws -> String {
    try writer.close()
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    // With its last writer gone, a pseudo-terminal says EIO and not end of file.
    while case let count = read(reader.fileDescriptor, &buffer, buffer.count), count > 0 {
      bytes += buffer[..<count]
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
