import Glibc

/// The target that the environment names.
private let target: FuzzTarget = {
  let name = getenv("WIRE_FUZZ_TARGET").map { String(cString: $0) } ?? ""
  guard let target = FuzzTarget(rawValue: name) else { fatalError("there is no fuzz target '\(name)'") }
  return target
}()

@_cdecl("LLVMFuzzerTestOneInput")
func fuzzOneInput(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
  target.run(UnsafeRawBufferPointer(start: data, count: size))
  return 0
}
