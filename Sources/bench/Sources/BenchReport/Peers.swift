/// A program of another world that speaks the protocol of the subjects.
public struct Peer: Equatable, Sendable {
  public var name: String
  /// The program and its first arguments, to which bench, workers and n are added.
  public var command: [String]
  /// How much smaller its n is than ours; for those that are slower by orders of magnitude.
  public var divisor: Int

  public init(name: String, command: [String], divisor: Int = 1) {
    self.name = name
    self.command = command
    self.divisor = divisor
  }
}

public struct PeersError: Error, CustomStringConvertible {
  public var description: String
}

/// Reads a file of peers: a line each of name, command and perhaps the divisor of n, with tabs between. The command's
/// arguments are separated by spaces. Empty lines and those that begin with # are left out.
public func parsePeers(_ text: String) throws -> [Peer] {
  var peers: [Peer] = []
  for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
    guard line.contains(where: { !$0.isWhitespace }), !line.hasPrefix("#") else { continue }
    let peer = try parsePeer(line, number: index + 1)
    if peers.contains(where: { $0.name == peer.name }) {
      throw PeersError(description: "line \(index + 1): there are two peers called '\(peer.name)'")
    }
    peers.append(peer)
  }
  return peers
}

private func parsePeer(_ line: Substring, number: Int) throws -> Peer {
  let fields = line.split(separator: "\t", omittingEmptySubsequences: false)
  guard (2...3).contains(fields.count), !fields[0].isEmpty else {
    throw PeersError(description: "line \(number) is '\(line)', but must be name, command and perhaps divisor, by tabs")
  }
  let command = fields[1].split(separator: " ").map(String.init)
  guard !command.isEmpty else { throw PeersError(description: "line \(number): '\(fields[0])' has no command") }
  guard fields.count == 3 else { return Peer(name: String(fields[0]), command: command) }
  guard let divisor = Int(fields[2]), divisor > 0 else {
    throw PeersError(description: "line \(number): the divisor is '\(fields[2])', but must be a positive number")
  }
  return Peer(name: String(fields[0]), command: command, divisor: divisor)
}
