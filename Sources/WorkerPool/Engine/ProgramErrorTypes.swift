// Which error types the program has, from what its compiler has written down.
//
// Each `X: Error` of a program leaves a conformance record in a section of its image, from which `as?` is answered, too.
// The layout is that of MetadataSections.h and Metadata.h of the Swift runtime, version 5.9 and later.
//
// Rejected: to look a name up and to see whether the type is an error; the look-up is what a hostile name attacks.

/// Calls `body` with a `MetadataSections` for each image of the program, until it returns false.
@_silgen_name("swift_enumerateAllMetadataSections")
private func enumerateAllMetadataSections(
  _ body: @convention(c) (UnsafeRawPointer, UnsafeMutableRawPointer?) -> Bool, _ context: UnsafeMutableRawPointer?)

enum ProgramErrorTypes {
  /// All types of the program, and of the libraries that are loaded now, that are errors and not generic.
  ///
  /// Takes milliseconds: some hundred errors among some ten thousand records.
  static func all() -> [any Error.Type] {
    var records: [UnsafeRawPointer] = []
    withUnsafeMutablePointer(to: &records) { records in
      enumerateAllMetadataSections(
        { sections, records in
          records?.assumingMemoryBound(to: [UnsafeRawPointer].self).pointee += conformanceRecords(in: sections)
          return true
        }, records)
    }
    let descriptor = errorProtocolDescriptor()
    let types = records.compactMap { typeDescriptor(of: $0, conformingTo: descriptor) }
    return Set(types).compactMap { type(describedBy: $0) as? any Error.Type }
  }
}

/// The conformance records of an image.
private func conformanceRecords(in sections: UnsafeRawPointer) -> [UnsafeRawPointer] {
  // Four words of version and addresses, then the ranges: of protocols, of conformances, and more.
  let word = MemoryLayout<Int>.size
  let version = sections.load(as: Int.self)
  guard version >= 3, let start = sections.load(fromByteOffset: 6 * word, as: UnsafeRawPointer?.self) else { return [] }
  let length = sections.load(fromByteOffset: 7 * word, as: Int.self)
  return stride(from: 0, to: length, by: 4).map { relative(start + $0) }
}

/// Where a 32-bit distance from itself leads.
private func relative(_ field: UnsafeRawPointer) -> UnsafeRawPointer {
  field + Int(field.load(as: Int32.self))
}

/// The same, where an odd distance leads to a pointer.
private func indirectable(_ field: UnsafeRawPointer) -> UnsafeRawPointer? {
  let distance = Int(field.load(as: Int32.self))
  guard distance & 1 == 1 else { return field + distance }
  return (field + (distance & ~1)).load(as: UnsafeRawPointer?.self)
}

/// The descriptor of `Error`, from the metadata of `any Error`: kind, flags, number of protocols, protocols.
private func errorProtocolDescriptor() -> UnsafeRawPointer? {
  let metadata = unsafeBitCast((any Error).self as Any.Type, to: UnsafeRawPointer.self)
  let isOne = metadata.load(fromByteOffset: MemoryLayout<Int>.size + 4, as: UInt32.self) == 1
  return isOne ? metadata.load(fromByteOffset: MemoryLayout<Int>.size + 8, as: UnsafeRawPointer?.self) : nil
}

/// The descriptor of the type that a record is about, if it is not generic and the record is about this protocol.
private func typeDescriptor(
  of record: UnsafeRawPointer, conformingTo wanted: UnsafeRawPointer?
) -> UnsafeRawPointer? {
  guard let wanted, indirectable(record) == wanted else { return nil }
  let flags = record.load(fromByteOffset: 12, as: UInt32.self)
  let type: UnsafeRawPointer? =
    switch flags >> 3 & 7 {
    case 0: relative(record + 4)
    case 1: relative(record + 4).load(as: UnsafeRawPointer?.self)
    default: nil
    }
  guard let type else { return nil }
  let context = type.load(as: UInt32.self)
  let isNominal = 16...18 ~= context & 0x1F
  let isGeneric = context & 0x80 != 0
  return isNominal && !isGeneric ? type : nil
}

/// The type with this descriptor: a name may refer to one by its address.
private func type(describedBy descriptor: UnsafeRawPointer) -> Any.Type? {
  // 2, the distance to the pointer, the pointer.
  let size = MemoryLayout<UnsafeRawPointer>.size
  return withUnsafeTemporaryAllocation(byteCount: 2 * size, alignment: size) { name -> Any.Type? in
    name.storeBytes(of: 2, toByteOffset: size - 5, as: UInt8.self)
    name.storeBytes(of: 4, toByteOffset: size - 4, as: Int32.self)
    name.storeBytes(of: descriptor, toByteOffset: size, as: UnsafeRawPointer.self)
    guard let start = name.baseAddress else { return nil }
    let bytes = (start + (size - 5)).assumingMemoryBound(to: UInt8.self)
    return _getTypeByMangledNameInContext(bytes, 5, genericContext: nil, genericArguments: nil)
  }
}
