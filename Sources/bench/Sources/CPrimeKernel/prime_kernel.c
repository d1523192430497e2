#include "prime_kernel.h"

#include <math.h>
#include <stdbool.h>

static bool is_prime(uint32_t number) {
  if (number < 2) return false;
  uint32_t root = (uint32_t)sqrt((double)number);
  for (uint32_t divisor = 2; divisor <= root; divisor++) {
    if (number % divisor == 0) return false;
  }
  return true;
}

uint32_t prime_kernel_count(uint32_t lower, uint32_t upper) {
  uint32_t count = 0;
  for (uint32_t number = lower; number < upper; number++) {
    if (is_prime(number)) count++;
  }
  return count;
}
