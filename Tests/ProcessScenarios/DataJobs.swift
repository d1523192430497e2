import Glibc
import WorkerPool

/// Works on a shared array: adds its elements, or writes to it.
package struct UseArray: Job {
  package enum Use: UInt8, BitwiseWireCodable { case sum, double, overwrite, give, force }

  package var use: Use
  package var arrays: [SharedArray<Int>]

  package init(_ use: Use, _ arrays: SharedArray<Int>...) {
    self.use = use
    self.arrays = arrays
  }

  package func encode(into encoder: inout WireEncoder) throws { try encoder.encode(use, arrays) }

  package init(decoding decoder: inout WireDecoder) throws {
    use = try decoder.decode()
    arrays = try decoder.decode()
  }

  package func run() throws -> [SharedArray<Int>] {
    switch use {
    case .sum: throw Sum(value: arrays.reduce(0) { $0 + $1.reduce(0, &+) })
    case .double:
      for array in arrays { array.withUnsafeMutableBufferPointer { for index in $0.indices { $0[index] *= 2 } } }
    case .overwrite:
      // Past the check that the array makes.
      for array in arrays {
        array.withUnsafeBufferPointer { UnsafeMutablePointer(mutating: $0.baseAddress)?.pointee = 0 }
      }
    case .give: return try [SharedArray(repeating: 1, count: 1)]
    case .force:
      let forced = arrays.count { array in
        array.withUnsafeBufferPointer {
          mprotect(UnsafeMutableRawPointer(mutating: $0.baseAddress), 8, PROT_READ | PROT_WRITE) == 0
        }
      }
      throw Sum(value: forced)
    }
    return arrays
  }
}

/// A number that a task returns beside its result.
package struct Sum: Error, BitwiseWireCodable, Equatable {
  package var value: Int
}

/// Returns `count` doubles, from `first` up, to be read in place.
package struct Ramp: Job, BitwiseWireCodable {
  package var first: Double
  package var count: Int

  package init(first: Double = 0, count: Int) {
    self.first = first
    self.count = count
  }

  package func run() -> SharedResult<Double> {
    SharedResult(count: count) { buffer in
      for index in buffer.indices { buffer[index] = first + Double(index) }
    }
  }

  package func isIn(_ result: SharedResult<Double>) -> Bool {
    result.count == count && result.indices.allSatisfy { result[$0] == first + Double($0) }
  }
}

/// A result made by one task and returned by a later one.
package struct KeepResult: Job, BitwiseWireCodable {
  nonisolated(unsafe) private static var hoarded: SharedResult<Double>?
  package init() {}

  package func run() -> SharedResult<Double> {
    if let hoarded = Self.hoarded { return hoarded }
    let made = Ramp(count: 100_000).run()
    Self.hoarded = made
    return made
  }
}

/// Returns plain bytes, or what it was given.
package struct Reverse: Job {
  package var bytes: [UInt8]
  package init(bytes: [UInt8]) { self.bytes = bytes }
  package func encode(into encoder: inout WireEncoder) throws { try encoder.encode(bytes) }
  package init(decoding decoder: inout WireDecoder) throws { bytes = try decoder.decode() }
  package func run() -> [UInt8] { bytes.reversed() }
}
