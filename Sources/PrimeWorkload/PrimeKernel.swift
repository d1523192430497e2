import CPrimeVectors

/// How trial division is done. All kernels try the same divisors in the same order, 2, 3, 4 and so on up to the root,
/// stop at the first that divides (those that take many at once, at the first vector that holds one), and give the same
/// answers.
public enum PrimeKernel: String, CaseIterable, Codable, Sendable, BitwiseCopyable {
  /// One divisor at a time, by the division instruction.
  case scalar
  /// Vectors of 128 bits, which every CPU has that this package runs on (SSE2, NEON).
  case simd128
  /// Vectors of 256 bits on x86-64 with AVX2.
  case avx2
  /// Vectors of 512 bits on x86-64 with AVX-512 F and BW.
  case avx512

  /// Whether this CPU can run it.
  public var isSupported: Bool {
    switch self {
    case .scalar, .simd128: true
    #if arch(x86_64)
      case .avx2: wp_primes_has_avx2()
      case .avx512: wp_primes_has_avx512()
    #else
      case .avx2, .avx512: false
    #endif
    }
  }

  /// The kernel with the widest vectors that this CPU can run.
  public static var widest: PrimeKernel {
    // `scalar` is the first case, and always supported.
    allCases.last(where: \.isSupported)!
  }
}

/// Counts the primes in a range, with a kernel that the CPU must support.
public func countPrimes(in range: Range<UInt32>, kernel: PrimeKernel) -> Int {
  precondition(kernel.isSupported, "this CPU does not support the kernel \(kernel)")
  let border = min(max(range.lowerBound, UInt32(WP_PRIMES_VECTOR_LOWEST)), range.upperBound)
  let low = range.lowerBound..<border
  let high = border..<range.upperBound
  switch kernel {
  case .simd128: return countPrimes(in: low) + countPrimesBy128Bits(in: high)
  #if arch(x86_64)
    case .avx2: return countPrimes(in: low) + Int(wp_primes_count_avx2(high.lowerBound, high.upperBound))
    case .avx512: return countPrimes(in: low) + Int(wp_primes_count_avx512(high.lowerBound, high.upperBound))
  #endif
  default: return countPrimes(in: range)
  }
}
