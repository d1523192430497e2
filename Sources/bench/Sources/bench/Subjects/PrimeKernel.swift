// The hot loop of the main job, on one thread. A kernel is a function that counts the primes below a limit; another one
// is a case of SubjectName, a line in SubjectCommand and a place in the catalogue.
import BenchedPrimes
import CPrimeKernel

func primeKernel(_ n: Int, _ count: @escaping (UInt32) -> Int) -> Workload {
  let expected = primeCounts(upTo: n)[n]
  return Workload {
    let found = count(UInt32(n))
    return {
      try check(found, is: expected)
      return [:]
    }
  }
}

func countInC(below limit: UInt32) -> Int { Int(prime_kernel_count(0, limit)) }

func countInSwift(below limit: UInt32) -> Int { countPrimes(below: limit) }
