import Glibc
import WorkerPool

/// Memory in which tasks leave a mark, whatever becomes of them.
struct Board: Sendable {
  /// By worker: the process that was at work there last.
  let atWork: SharedArray<Int32>
  /// By cell: how often the task that has this cell was begun.
  let begun: SharedArray<UInt32>

  init(workers: Int, cells: Int) throws {
    atWork = try SharedArray(repeating: 0, count: workers, workers: .readWrite)
    begun = try SharedArray(repeating: 0, count: cells, workers: .readWrite)
  }

  fileprivate init(_ atWork: SharedArray<Int32>, _ begun: SharedArray<UInt32>) {
    self.atWork = atWork
    self.begun = begun
  }

  fileprivate func mark(_ cell: Int) {
    begun[cell] += 1
    if let context = TaskContext.current { atWork[context.workerIndex] = getpid() }
  }
}

/// A small task, which marks its cell and then does as its manner says.
struct Work: Job {
  enum Manner: UInt8, BitwiseWireCodable, CaseIterable {
    /// Returns the square of its number, ``lingers`` after some time.
    case answers, lingers
    /// Throws its number.
    case fails
    /// Goes on until it is asked to stop, and for ever.
    case heeds, ignores
    /// Says its number on standard error and aborts.
    case aborts
  }

  var board: Board
  var cell: Int
  var number: Int
  var manner: Manner

  init(board: Board, cell: Int, number: Int, manner: Manner) {
    self.board = board
    self.cell = cell
    self.number = number
    self.manner = manner
  }

  func encode(into encoder: inout WireEncoder) throws {
    try encoder.encode(board.atWork, board.begun, cell, number, manner)
  }

  init(decoding decoder: inout WireDecoder) throws {
    board = Board(try decoder.decode(), try decoder.decode())
    cell = try decoder.decode()
    number = try decoder.decode()
    manner = try decoder.decode()
  }

  func run() throws -> Int {
    board.mark(cell)
    switch manner {
    case .answers: break
    case .lingers:
      let end = ContinuousClock.now + .microseconds(number % 2000)
      while ContinuousClock.now < end {}
    case .fails: throw Refusal(number: number)
    case .heeds:
      while true {
        try TaskContext.checkStop()
        sched_yield()
      }
    case .ignores:
      while true { pause() }
    case .aborts:
      let words = Array(lastWords.utf8)
      _ = write(STDERR_FILENO, words, words.count)
      abort()
    }
    return square
  }

  var square: Int { number * number }
  var lastWords: String { "aborts as number \(number)" }
}

struct Refusal: Error, BitwiseWireCodable, Equatable {
  var number: Int
}

/// Without marks, for chunks.
struct Square: Job, BitwiseWireCodable {
  var number: Int
  func run() -> Int { number * number }
}

/// Large both ways.
struct Complement: Job {
  var bytes: [UInt8]
  init(bytes: [UInt8]) { self.bytes = bytes }
  func encode(into encoder: inout WireEncoder) throws { try encoder.encode(bytes) }
  init(decoding decoder: inout WireDecoder) throws { bytes = try decoder.decode() }
  func run() -> [UInt8] { bytes.map { ~$0 } }
}

/// A result that the host reads where it stands.
struct Ramp: Job, BitwiseWireCodable {
  var first: Int
  var count: Int

  func run() -> SharedResult<Int> {
    SharedResult(count: count) { buffer in
      for index in buffer.indices { buffer[index] = first + index }
    }
  }

  func isIn(_ result: SharedResult<Int>) -> Bool {
    result.count == count && result.indices.allSatisfy { result[$0] == first + $0 }
  }
}

/// Adds one to each element of an array that the host shares, and returns their sum.
struct Increment: Job {
  var array: SharedArray<Int>
  init(array: SharedArray<Int>) { self.array = array }
  func encode(into encoder: inout WireEncoder) throws { try encoder.encode(array) }
  init(decoding decoder: inout WireDecoder) throws { array = try decoder.decode() }

  func run() -> Int {
    array.withUnsafeMutableBufferPointer { buffer in
      for index in buffer.indices { buffer[index] += 1 }
    }
    return array.reduce(0, +)
  }
}
