/// Counts the primes below `limit` by trial division.
///
/// The workload of the `primes` program, its tests and the benchmarks: pure computation, easy to check and easy to
/// cut. It is slow on purpose, so do not use it to find primes.
///
/// - Complexity: about limit·√limit / ln(limit) divisions.
public func countPrimes(below limit: UInt32) -> Int {
  countPrimes(in: 0..<limit)
}

/// Counts the primes in a range by trial division.
public func countPrimes(in range: Range<UInt32>) -> Int {
  var count = 0
  for number in range where isPrime(number) {
    count += 1
  }
  return count
}

/// Whether no integer from 2 to √number divides `number`. Every integer is tried, even ones too.
///
/// All that takes time here is the division, and a 64-bit one costs half as much again, so everything is 32 bits
/// wide. Comparing with the root, and not `divisor * divisor` with the number, is what keeps the top of the range
/// from overflowing; the root is exact, since `Double` holds every `UInt32` and its square root to 53 bits.
@inline(__always)
func isPrime(_ number: UInt32) -> Bool {
  guard number >= 2 else { return false }
  let root = UInt32(Double(number).squareRoot())
  var divisor: UInt32 = 2
  while divisor <= root {
    if number % divisor == 0 { return false }
    divisor += 1
  }
  return true
}
