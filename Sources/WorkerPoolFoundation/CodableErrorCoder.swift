import Foundation
import WorkerPool

/// Carries errors that are `Codable` across processes. The core finds it by its mangled name, which a test compares.
package enum CodableErrorCoder: CodableErrorCoding {
  package static func encode(_ error: any Error & Codable) throws -> [UInt8] {
    try Array(JSONEncoder.wire.encode(error))
  }

  package static func decode(_ type: any (Error & Codable).Type, from bytes: [UInt8]) throws -> any Error {
    let document = Data(bytes)
    var costs = ReadingCosts()
    try document.check(acceptingPropertyLists: false, &costs)
    if let excess = costs.excess(readingBytes: document.count) { throw DocumentFlaw(excess) }
    guard costs.nans <= ReadingCosts.maximumNaNs else { throw DocumentFlaw("it has \(costs.nans) NaNs") }
    return try decode(type, from: document)
  }

  private static func decode<Failure: Error & Codable>(_ type: Failure.Type, from data: Data) throws -> any Error {
    try JSONDecoder.wire.decode(type, from: data)
  }
}
