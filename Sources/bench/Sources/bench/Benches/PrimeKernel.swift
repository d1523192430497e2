import BenchedPrimes
import CPrimeKernel

/// The hot loop of the main job against the same loop in C at -O3. It should take no longer than 1.1 times C's time.
let primeKernel = Bench(name: "prime-kernel") {
  let limit: UInt32 = 1_000_000
  let primes = 78_498
  return [
    Subject(name: "c-O3", operations: Int(limit)) { try check(Int(prime_kernel_count(0, limit)), is: primes) },
    Subject(name: "swift", operations: Int(limit)) { try check(countPrimes(below: limit), is: primes) },
  ]
}
