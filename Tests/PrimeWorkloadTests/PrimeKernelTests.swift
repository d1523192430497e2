import CPrimeVectors
import Testing

@testable import PrimeWorkload

/// Every kernel that this CPU can run, but the one that the others are compared with.
private let vectorKernels = PrimeKernel.allCases.filter { $0 != .scalar && $0.isSupported }

@Suite struct PrimeKernelTests {
  private func isPrime(_ number: UInt32, by kernel: PrimeKernel) -> Bool {
    countPrimes(in: number..<number + 1, kernel: kernel) == 1
  }

  private func expectScalarAnswer(_ number: UInt32, sourceLocation: SourceLocation = #_sourceLocation) {
    let expected = PrimeWorkload.isPrime(number)
    for kernel in vectorKernels {
      #expect(isPrime(number, by: kernel) == expected, "\(number) by \(kernel)", sourceLocation: sourceLocation)
    }
  }

  @Test func theWidestIsSupported() {
    #expect(PrimeKernel.widest.isSupported)
    #expect(PrimeKernel.widest != .scalar)
    #expect(vectorKernels.contains(.simd128))
  }

  @Test(arguments: vectorKernels)
  func everyNumberBelow200000(kernel: PrimeKernel) {
    let wrong = (0..<200_000).filter { isPrime($0, by: kernel) != PrimeWorkload.isPrime($0) }
    #expect(wrong.prefix(10) == [])
  }

  /// The last vectors of divisors are full, hold one, or lack one: roots beside the multiples of all lane counts.
  @Test func rootsAtTheEdgesOfVectors() {
    let powers: [UInt32] = (5...16).map { 1 << $0 }
    let multiples = Set(stride(from: 32, through: 1024, by: 4)).union(powers.flatMap { [$0, $0 / 2 * 3] })
    for multiple in multiples.sorted() {
      for root in multiple - 1...multiple + 1 where root <= 65_535 {
        for number in [root * root - 1, root * root, root * root + 1, root * (root + 1)] {
          expectScalarAnswer(number)
        }
      }
    }
  }

  /// A prime is never found composite by a lane, and its square always is, by the last lane that counts.
  @Test func squaresOfPrimesAndProductsOfNeighbours() {
    // Around the squares that have 16, 24, 27, 28, 31 and 32 bits, where another way of dividing begins or ends.
    let borders: [UInt32] = [8, 31, 64, 256, 1024, 4096, 8192, 11_585, 16_384, 32_768, 46_340, 65_400]
    for border in borders {
      let primes = (border - 6...min(border + 130, 65_535)).filter(PrimeWorkload.isPrime)
      for (prime, next) in zip(primes, primes.dropFirst()) {
        expectScalarAnswer(prime)
        expectScalarAnswer(prime * prime)
        expectScalarAnswer(prime * next)
      }
    }
  }

  @Test(arguments: [11, 16, 18, 19, 20, 22, 24, 27, 28, 29, 31])
  func neighboursOfPowersOfTwo(exponent: UInt32) {
    let power: UInt32 = 1 << exponent
    for number in power - 100...power + 100 { expectScalarAnswer(number) }
  }

  @Test func theTopOfTheRange() {
    for number in UInt32.max - 200..<UInt32.max { expectScalarAnswer(number) }
    for kernel in vectorKernels {
      #expect(countPrimes(in: 4_294_967_280..<UInt32.max, kernel: kernel) == 1)
    }
  }

  @Test func randomNumbers() {
    var generator = SplitMix64(state: 7)
    for _ in 0..<1500 {
      // As many of each length, and some with a large smallest divisor.
      let shift = UInt32.random(in: 0..<24, using: &generator)
      expectScalarAnswer(UInt32.random(in: 0..<UInt32.max, using: &generator) >> shift)
      let factor = UInt32.random(in: 2...65_535, using: &generator) | 1
      expectScalarAnswer(factor * UInt32.random(in: factor...UInt32.max / factor, using: &generator))
    }
  }

  @Test(arguments: vectorKernels)
  func rangesThatBeginAndEndAnywhere(kernel: PrimeKernel) {
    let bounds: [UInt32] = [0, 1, 2, 3, 4, 31, 33, 62, 63, 64, 65, 66, 67, 68, 100, 1023, 1024, 1025, 5000]
    for lower in bounds {
      for upper in bounds where lower <= upper {
        #expect(countPrimes(in: lower..<upper, kernel: kernel) == countPrimes(in: lower..<upper), "\(lower)..<\(upper)")
      }
    }
    #expect(countPrimes(in: UInt32.max..<UInt32.max, kernel: kernel) == 0)
    #expect(countPrimes(in: 0..<50_000, kernel: kernel) == 5133)
  }
}

/// What the proof in wp_primes.h asks of the tables.
@Suite struct ReciprocalTests {
  @Test func wideOnesAreRoundedUp() {
    let table = wp_primes_wide_reciprocals()
    #expect(table[0] == 0 && table[1] == 0)
    let divisors = 2..<Int(WP_PRIMES_WIDE_COUNT)
    #expect(divisors.filter { Int(table[$0]) != ((1 << 32) + $0 - 1) / $0 }.prefix(10) == [])
  }

  @Test func narrowOnesAreRoundedUp() {
    let table = wp_primes_narrow_reciprocals()
    let wrong = (1 << Int(WP_PRIMES_NARROW_FIRST_LOG2)..<Int(WP_PRIMES_NARROW_COUNT)).filter { divisor in
      let shift = Int.bitWidth - 1 - divisor.leadingZeroBitCount - 1
      return Int(table[divisor]) != ((1 << (16 + shift)) + divisor - 1) / divisor
    }
    #expect(wrong.prefix(10) == [])
  }

  /// Largest root of each length, and the lanes beyond it.
  @Test(arguments: 7...32)
  func tablesHoldEveryLane(bits: UInt32) {
    let number = UInt32.max >> (32 - bits)
    let root = UInt32(Double(number).squareRoot())
    let narrowStart: UInt32 = 1 << wp_primes_narrow_start_log2(number)
    #expect(wp_primes_narrow_start_log2(number) == wp_primes_narrow_start_log2(number / 2 + 1))
    #expect(min(narrowStart, root + 1) <= UInt32(WP_PRIMES_WIDE_COUNT))
    if narrowStart <= root {
      #expect(root + 31 < UInt32(WP_PRIMES_NARROW_COUNT))
      // a <= 2^15, with the shift of the first octave.
      #expect((number >> (wp_primes_narrow_start_log2(number) - 1)) + 1 <= 1 << 15)
    }
  }
}

/// Numbers that are the same in every run.
private struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
    return value ^ (value >> 31)
  }
}
