// See wp_primes_body.h for what is defined here, and wp_primes.h for why it is exact.
#include "wp_primes.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET __attribute__((target("avx2")))
#define COUNT wp_primes_count_avx2

typedef __m256i vector;
enum { WIDE_LANES = 8, NARROW_LANES = 16 };

TARGET static inline vector load(const void *pointer) { return _mm256_load_si256(pointer); }

TARGET static inline vector wide_all(uint32_t x) { return _mm256_set1_epi32((int)x); }
TARGET static inline vector wide_add(vector a, vector b) { return _mm256_add_epi32(a, b); }
TARGET static inline vector wide_first(void) { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }

TARGET static inline vector narrow_all(uint32_t x) { return _mm256_set1_epi16((short)x); }
TARGET static inline vector narrow_add(vector a, vector b) { return _mm256_add_epi16(a, b); }
TARGET static inline vector narrow_from(uint32_t divisor) {
  return narrow_add(narrow_all(divisor), _mm256_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

TARGET static inline bool wide_hit(vector numbers, vector reciprocals, vector divisors) {
  // There is no multiplication that keeps the high half: products of 64 bits, of the even lanes and of the odd.
  const vector even = _mm256_mul_epu32(numbers, reciprocals);
  const vector odd = _mm256_mul_epu32(numbers, _mm256_srli_epi64(reciprocals, 32));
  const vector quotients = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
  const vector hits = _mm256_cmpeq_epi32(_mm256_mullo_epi32(quotients, divisors), numbers);
  return _mm256_movemask_epi8(hits) != 0;
}

TARGET static inline bool narrow_hit(vector numbers, vector scaled, vector reciprocals, vector divisors) {
  const vector quotients = _mm256_mulhi_epu16(scaled, reciprocals);
  const vector hits = _mm256_cmpeq_epi16(_mm256_mullo_epi16(quotients, divisors), numbers);
  return _mm256_movemask_epi8(hits) != 0;
}

#include "wp_primes_body.h"

bool wp_primes_has_avx2(void) { return __builtin_cpu_supports("avx2"); }

#endif
