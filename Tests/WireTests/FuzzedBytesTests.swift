import Foundation
import Testing
import WireFuzz

/// What the fuzzer has kept, once more.
@Suite struct FuzzedBytesTests {
  @Test(arguments: FuzzTarget.allCases) func everyKeptInputIsReadOrRefused(_ target: FuzzTarget) throws {
    let corpus = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../WireFuzz/corpus/\(target.rawValue)")
    let files = try FileManager.default.contentsOfDirectory(at: corpus, includingPropertiesForKeys: nil)
    #expect(files.count > 5)
    for file in files { try Data(contentsOf: file).withUnsafeBytes { target.run($0) } }
  }
}
