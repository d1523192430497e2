/// Two words of raw memory for one value, of a type that only the owner knows. Trivial: nothing is destroyed with it.
///
/// A generic stored property would do the same, but what destroys it has to look up the metadata of the property's type,
/// which for a future costs more than all else about its end.
@usableFromInline
struct InlineStorage: @unchecked Sendable {
  // SAFETY: only the Future that contains it touches it, under the rules that stand there.
  @usableFromInline var words: (UInt, UInt) = (0, 0)

  @inlinable init() {}

  /// Whether a value of the type fits. Constant once specialised.
  @inlinable
  static func fits<Value>(_ type: Value.Type) -> Bool {
    MemoryLayout<Value>.size <= MemoryLayout<(UInt, UInt)>.size
      && MemoryLayout<Value>.alignment <= MemoryLayout<(UInt, UInt)>.alignment
  }

  /// Puts a value into empty storage. The type is spelled out, so that an existential is stored and not its contents.
  @inlinable
  mutating func initialize<Value>(as type: Value.Type, to value: consuming Value) {
    withUnsafeMutablePointer(to: &words) { [value] in
      _ = UnsafeMutableRawPointer($0).initializeMemory(as: Value.self, to: value)
    }
  }

  /// A copy of the value. Any number of threads may load at once: what is read through a pointer is a copy of the words,
  /// which is as good as the value for whatever may be moved by copying its bytes, as all Swift types may.
  @inlinable
  func load<Value>(as type: Value.Type) -> Value {
    withUnsafePointer(to: words) { UnsafeRawPointer($0).load(as: Value.self) }
  }

  /// Takes the value out; the storage is empty then.
  @inlinable
  mutating func move<Value>(as type: Value.Type) -> Value {
    withUnsafeMutablePointer(to: &words) { UnsafeMutableRawPointer($0).bindMemory(to: Value.self, capacity: 1).move() }
  }

  /// Destroys the value; the storage is empty then.
  @inlinable
  mutating func deinitialize<Value>(as type: Value.Type) {
    guard !_isPOD(type) else { return }
    withUnsafeMutablePointer(to: &words) {
      _ = UnsafeMutableRawPointer($0).bindMemory(to: Value.self, capacity: 1).deinitialize(count: 1)
    }
  }
}
