// Trial division by a vector of divisors at a time, where Swift cannot reach: instruction sets above the baseline,
// chosen at run time. The baseline is in Swift, in PrimeWorkload/VectorTrialDivision.swift, and shares the tables.
//
// Whether d divides n is found with multiplications by a reciprocal that is rounded up (Granlund and Montgomery,
// "Division by Invariant Integers using Multiplication", PLDI 1994). Let q = ⌊n/d⌋. An estimate Q of n/d that is not
// below n/d and less than 1 above it is q or q + 1 when rounded down, and it is q when d divides n. So n - Q·d is 0 when
// d divides n; otherwise it is not 0 and lies between -d and d, and a machine word that holds d tells it from 0. There
// are two ways to such an estimate, and both are exact wherever they are used:
//
// Wide, in lanes of 32 bits: Q = ⌊n·c / 2^32⌋ with c = ⌈2^32 / d⌉ = 2^32/d + β, β < 1, so Q is rounded down from
// n/d + n·β/2^32, and n/2^32 < 1. Any n of 32 bits and any d from 2 on.
//
// Narrow, in lanes of 16 bits, so twice as many: let 2^(s+1) <= d < 2^(s+2) and n < 2^(15+s). Q = ⌊a·c / 2^16⌋ with
// a = ⌊n/2^s⌋ + 1 = n/2^s + α, 0 < α <= 1, a <= 2^15, and c = ⌈2^(16+s) / d⌉ = 2^(16+s)/d + β, β < 1. Q is rounded
// down from n/d + α·2^s/d + a·β/2^16, where the second term is at most 1/2 and the third less than 1/2. This serves
// the divisors from n/2^13 on, or earlier; below them the wide way goes.
//
// Vectors start at multiples of their length. So the first has lanes for 0 and 1, whose reciprocal is 0: they find
// Q = 0 and n - 0 is not 0. The last has lanes beyond the root: they find n composite only if it is, as none of them
// is n itself, which has to be at least `WP_PRIMES_VECTOR_LOWEST` for that.
#ifndef WP_PRIMES_H
#define WP_PRIMES_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__clang__)
#pragma clang assume_nonnull begin
#endif

enum {
  /// The smallest number that vectors may test. They are at most 32 divisors long and start at a multiple of that, so a
  /// root below 32 makes the largest lane 31, and another root r makes it r + 31 at most, which is below r².
  WP_PRIMES_VECTOR_LOWEST = 64,
  /// log2 of the first divisor that has a narrow reciprocal: no vector of 32 that starts there crosses a power of two.
  WP_PRIMES_NARROW_FIRST_LOG2 = 5,
  WP_PRIMES_WIDE_COUNT = 1 << 16,
  /// A number of 27 bits has a root below 2^13.5 = 11,586; in one of more bits the narrow divisors start above the root.
  WP_PRIMES_NARROW_COUNT = 12288,
};

/// ⌈2^32/d⌉ at index d, and 0 for 0 and 1; `WP_PRIMES_WIDE_COUNT` of them, aligned to 64 bytes. Constant data, not
/// computed at run time: nothing to initialise, to lock, or to lose in a fork.
const uint32_t *wp_primes_wide_reciprocals(void);

/// ⌈2^(16+s)/d⌉ at index d, where s = ⌊log2 d⌋ - 1, and 0 below 32; `WP_PRIMES_NARROW_COUNT` of them, aligned likewise.
const uint16_t *wp_primes_narrow_reciprocals(void);

/// log2 of the first divisor for which the narrow way is exact for `number`; it may be above the root.
/// `number` must not be 0.
static inline uint32_t wp_primes_narrow_start_log2(uint32_t number) {
  const uint32_t bits = 32 - (uint32_t)__builtin_clz(number);
  const uint32_t first = WP_PRIMES_NARROW_FIRST_LOG2;
  return bits < first + 14 ? first : bits - 14;
}

#if defined(__x86_64__)

/// Whether this CPU and its operating system have what the function below needs.
bool wp_primes_has_avx2(void);
/// As `wp_primes_has_avx2`: AVX-512 F and BW.
bool wp_primes_has_avx512(void);

/// How many primes there are from `lower` to below `upper`. `lower` must be at least `WP_PRIMES_VECTOR_LOWEST`, and the
/// CPU must have AVX2. About upper·√upper / (ln(upper)·16) vectors of time; no memory; any thread.
uint32_t wp_primes_count_avx2(uint32_t lower, uint32_t upper);
/// As `wp_primes_count_avx2`, with AVX-512 and half as many vectors.
uint32_t wp_primes_count_avx512(uint32_t lower, uint32_t upper);

#endif

#if defined(__clang__)
#pragma clang assume_nonnull end
#endif

#ifdef __cplusplus
}
#endif

#endif
