// The loop of PrimeWorkload, in C.
#ifndef PRIME_KERNEL_H
#define PRIME_KERNEL_H

#include <stdint.h>

/// Counts the primes in lower..<upper by trial division.
uint32_t prime_kernel_count(uint32_t lower, uint32_t upper);

#endif
