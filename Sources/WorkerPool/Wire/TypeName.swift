/// The name by which another process of the same program finds a type: its mangled name.
///
/// Rejected: `String(reflecting:)` with a registry of types that users fill in, since forgetting an entry would show
/// only when a worker runs; and the address of the metadata, which differs between a program and its re-execution.
enum TypeName {
  /// The name of `type`, nil when no other process could look it up: private and function-local types, and generics
  /// over them, are named by an address.
  ///
  /// The first call for a type takes up to 400 µs, later ones a dictionary look-up. Thread-safe.
  static func name(of type: Any.Type) -> String? {
    let key = ObjectIdentifier(type)
    if let known = names.withLock({ $0[key] }) { return known }
    // Outside the lock: the runtime takes locks of its own, and two threads find the same answer.
    var found = _mangledTypeName(type)
    if let name = found, self.type(named: name) != type { found = nil }
    return names.withLock { names in
      names[key] = .some(found)
      return found
    }
  }

  /// The type with this name, if this program has it.
  ///
  /// The name is the program's own or, in a worker, its host's: the runtime trusts it. A damaged page may have spoilt it.
  /// Control characters are refused, because the runtime takes them for relative pointers and follows them.
  static func type(named name: String) -> Any.Type? {
    guard !name.isEmpty, name.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else { return nil }
    return _typeByName(name)
  }

  private static let names = Locked<[ObjectIdentifier: String?]>([:])
}
