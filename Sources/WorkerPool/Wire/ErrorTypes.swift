/// The types whose errors come back from workers as themselves, by their mangled names.
///
/// A name that a worker sends is looked up here and nowhere else. The runtime trusts the names that it is given: some end
/// the process, some take minutes, and each new generic type stays for ever.
enum ErrorTypes {
  /// The longest name that a worker may send, in bytes.
  static let longestName = 1024

  private static let registered = Locked<[String: any Error.Type]>([:])

  /// Those of the package, which need no list of the program's types, and those of the program.
  private static let own = table(of: [CancellationError.self, WorkerPoolError.self, RemoteError.self])
  private static let ofProgram = table(of: ProgramErrorTypes.all())

  /// The type that a worker has named; nil when it is none of those that the program knows.
  static func type(named name: String) -> (any Error.Type)? {
    // Before the name is hashed: that takes quadratic time for some long ones.
    guard !name.isEmpty, name.utf8.count <= longestName else { return nil }
    return own[name] ?? registered.withLock { $0[name] } ?? ofProgram[name]
  }

  /// Enters a type. Thread-safe.
  static func register(_ type: any Error.Type, as name: String) {
    registered.withLock { $0[name] = type }
  }

  /// The name under which a worker sends errors of this type; nil when it has to describe them.
  static func name(of type: any Error.Type) -> String? {
    guard let name = TypeName.name(of: type), name.utf8.count <= longestName else { return nil }
    return name
  }

  private static func table(of types: [any Error.Type]) -> [String: any Error.Type] {
    var table: [String: any Error.Type] = [:]
    for type in types {
      if let name = name(of: type) { table[name] = type }
    }
    return table
  }
}
