// Counting by trial division, in terms of one instruction set. The file that includes this one is that instruction set:
//   TARGET                      the attribute that lets a function use it
//   COUNT                       the name of the counting function
//   vector                      a vector register
//   WIDE_LANES, NARROW_LANES    how many divisors of 32 and of 16 bits it holds
//   wide_all(x), narrow_all(x)  a vector of equal lanes
//   wide_add, narrow_add        lanewise addition
//   wide_first(), narrow_from(d)  the divisors 0, 1, 2, ... and d, d + 1, d + 2, ...
//   load(pointer)               a vector from aligned memory
//   wide_hit(numbers, reciprocals, divisors)           whether one of the divisors divides the number
//   narrow_hit(numbers, scaled, reciprocals, divisors)  likewise; `numbers` holds the low half, `scaled` the header's a
//
// The divisors are counted up in a register, since the loads of the reciprocals are enough for the caches.

TARGET static inline uint32_t root_of(uint32_t number) {
  // A double holds the number and its root with bits to spare, so the root is not rounded up past an integer.
  const __m128d value = _mm_set_sd((double)number);
  return (uint32_t)_mm_cvttsd_si32(_mm_sqrt_sd(value, value));
}

TARGET static inline bool is_prime(uint32_t number, const uint32_t *wide, const uint16_t *narrow) {
  const uint32_t end = root_of(number) + 1;
  const uint32_t start_log2 = wp_primes_narrow_start_log2(number);
  const uint32_t narrow_start = UINT32_C(1) << start_log2;

  const vector numbers = wide_all(number);
  vector divisors = wide_first();
  for (uint32_t divisor = 0; divisor < narrow_start && divisor < end; divisor += WIDE_LANES) {
    if (wide_hit(numbers, load(wide + divisor), divisors)) return false;
    divisors = wide_add(divisors, wide_all(WIDE_LANES));
  }
  if (narrow_start >= end) return true;

  const vector halves = narrow_all(number);
  divisors = narrow_from(narrow_start);
  for (uint32_t shift = start_log2 - 1, divisor = narrow_start; divisor < end; shift++) {
    const vector scaled = narrow_all((number >> shift) + 1);
    const uint32_t octave_end = UINT32_C(4) << shift;
    for (; divisor < octave_end && divisor < end; divisor += NARROW_LANES) {
      if (narrow_hit(halves, scaled, load(narrow + divisor), divisors)) return false;
      divisors = narrow_add(divisors, narrow_all(NARROW_LANES));
    }
  }
  return true;
}

TARGET uint32_t COUNT(uint32_t lower, uint32_t upper) {
  const uint32_t *wide = wp_primes_wide_reciprocals();
  const uint16_t *narrow = wp_primes_narrow_reciprocals();
  uint32_t count = 0;
  for (uint32_t number = lower; number < upper; number++) {
    count += is_prime(number, wide, narrow);
  }
  return count;
}
