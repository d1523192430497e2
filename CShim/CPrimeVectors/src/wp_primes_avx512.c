// See wp_primes_body.h for what is defined here, and wp_primes.h for why it is exact.
#include "wp_primes.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw")))
#define COUNT wp_primes_count_avx512

typedef __m512i vector;
enum { WIDE_LANES = 16, NARROW_LANES = 32 };

TARGET static inline vector load(const void *pointer) { return _mm512_load_si512(pointer); }

TARGET static inline vector wide_all(uint32_t x) { return _mm512_set1_epi32((int)x); }
TARGET static inline vector wide_add(vector a, vector b) { return _mm512_add_epi32(a, b); }
TARGET static inline vector wide_first(void) {
  return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}

TARGET static inline vector narrow_all(uint32_t x) { return _mm512_set1_epi16((short)x); }
TARGET static inline vector narrow_add(vector a, vector b) { return _mm512_add_epi16(a, b); }
TARGET static inline vector narrow_from(uint32_t divisor) {
  // Each of 16 lanes of 32 bits holds an even divisor and, above it, the odd one that follows.
  const vector even = _mm512_add_epi32(wide_first(), wide_first());
  const vector first = _mm512_or_si512(even, _mm512_slli_epi32(_mm512_or_si512(even, wide_all(1)), 16));
  return narrow_add(narrow_all(divisor), first);
}

TARGET static inline bool wide_hit(vector numbers, vector reciprocals, vector divisors) {
  // There is no multiplication that keeps the high half: products of 64 bits, of the even lanes and of the odd.
  const vector even = _mm512_mul_epu32(numbers, reciprocals);
  const vector odd = _mm512_mul_epu32(numbers, _mm512_srli_epi64(reciprocals, 32));
  const vector quotients = _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 32), odd);
  return _mm512_cmpeq_epi32_mask(_mm512_mullo_epi32(quotients, divisors), numbers) != 0;
}

TARGET static inline bool narrow_hit(vector numbers, vector scaled, vector reciprocals, vector divisors) {
  const vector quotients = _mm512_mulhi_epu16(scaled, reciprocals);
  return _mm512_cmpeq_epi16_mask(_mm512_mullo_epi16(quotients, divisors), numbers) != 0;
}

#include "wp_primes_body.h"

bool wp_primes_has_avx512(void) { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw"); }

#endif
