import Foundation

/// What a program left behind when it ended.
public struct ProgramResult: Sendable {
  public var status: Int32
  /// Whether `status` is a signal number.
  public var wasSignalled: Bool
  public var output: String
  public var errors: String

  public var outputLines: [String] { output.split(separator: "\n").map(String.init) }
  public var errorLines: [String] { errors.split(separator: "\n").map(String.init) }
}

/// The folder with this package's built products: the one that the test program itself stands in.
public let buildFolder = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()

/// Runs a product of this package to its end.
///
/// Output goes through files, so that no amount of it can block the program.
public func runProduct(_ name: String, _ arguments: [String] = [], terminal: FileHandle? = nil) throws -> ProgramResult
{
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("run-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  let (output, errors) = (folder.appendingPathComponent("out"), folder.appendingPathComponent("err"))
  try Data().write(to: output)
  try Data().write(to: errors)

  let process = Process()
  process.executableURL = buildFolder.appendingPathComponent(name)
  process.arguments = arguments
  process.standardInput = FileHandle.nullDevice
  process.standardOutput = try FileHandle(forWritingTo: output)
  process.standardError = try terminal ?? FileHandle(forWritingTo: errors)
  try process.run()
  process.waitUntilExit()
  return ProgramResult(
    status: process.terminationStatus,
    wasSignalled: process.terminationReason == .uncaughtSignal,
    output: try String(contentsOf: output, encoding: .utf8),
    errors: try String(contentsOf: errors, encoding: .utf8))
}
