import CPrimeVectors

/// Trial division in Swift's SIMD types of 128 bits, the widest that code for the baseline of a CPU family can use.
///
/// It is the twin of wp_primes_body.h; why it is exact stands in wp_primes.h.
struct VectorTrialDivision {
  private let wide = UnsafeRawPointer(wp_primes_wide_reciprocals())
  private let narrow = UnsafeRawPointer(wp_primes_narrow_reciprocals())

  /// Whether no integer from 2 to √number divides `number`, which must be at least `WP_PRIMES_VECTOR_LOWEST`.
  @inline(__always)
  func isPrime(_ number: UInt32) -> Bool {
    let end = UInt32(Double(number).squareRoot()) + 1
    let startLog2 = wp_primes_narrow_start_log2(number)
    let narrowStart: UInt32 = 1 << startLog2
    if hasWideDivisor(number, below: min(narrowStart, end)) { return false }

    var divisor = narrowStart
    var shift = startLog2 - 1
    while divisor < end {
      let octaveEnd = min(4 << shift, end)
      if hasNarrowDivisor(number, shift: shift, from: divisor, below: octaveEnd) { return false }
      divisor = 4 << shift
      shift += 1
    }
    return true
  }

  /// In 4 lanes of 32 bits.
  @inline(__always)
  private func hasWideDivisor(_ number: UInt32, below end: UInt32) -> Bool {
    typealias Lanes = SIMD4<UInt32>
    typealias Products = SIMD4<UInt64>
    let numbers = Lanes(repeating: number)
    let factors = Products(repeating: UInt64(number))
    var divisors = Lanes(0, 1, 2, 3)
    var divisor = 0
    while divisor < end {
      let reciprocals = wide.load(fromByteOffset: divisor * 4, as: Lanes.self)
      let quotients = Lanes(truncatingIfNeeded: (factors &* Products(truncatingIfNeeded: reciprocals)) &>> 32)
      if any(quotients &* divisors .== numbers) { return true }
      divisors &+= 4
      divisor += Lanes.scalarCount
    }
    return false
  }

  /// In 8 lanes of 16 bits, within an octave of divisors.
  @inline(__always)
  private func hasNarrowDivisor(_ number: UInt32, shift: UInt32, from start: UInt32, below end: UInt32) -> Bool {
    typealias Lanes = SIMD8<UInt16>
    typealias Products = SIMD8<UInt32>
    let numbers = Lanes(repeating: UInt16(truncatingIfNeeded: number))
    let scaled = Products(repeating: (number >> shift) + 1)
    var divisors = Lanes(repeating: UInt16(truncatingIfNeeded: start)) &+ Lanes(0, 1, 2, 3, 4, 5, 6, 7)
    var divisor = Int(start)
    while divisor < end {
      let reciprocals = narrow.load(fromByteOffset: divisor * 2, as: Lanes.self)
      // One instruction in the end: the high half of a product of 16-bit lanes.
      let quotients = Lanes(truncatingIfNeeded: (scaled &* Products(truncatingIfNeeded: reciprocals)) &>> 16)
      if any(quotients &* divisors .== numbers) { return true }
      divisors &+= 8
      divisor += Lanes.scalarCount
    }
    return false
  }
}

/// Counts the primes in a range that starts at `WP_PRIMES_VECTOR_LOWEST` or above.
func countPrimesBy128Bits(in range: Range<UInt32>) -> Int {
  let division = VectorTrialDivision()
  var count = 0
  for number in range where division.isPrime(number) {
    count += 1
  }
  return count
}
