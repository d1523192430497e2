#include "wp_latch.h"

#include "wp_wait.h"

#include "../platform/wp_futex.h"

#define LATCH_OPEN 0u
#define LATCH_AWAITED 2u

void wp_latch_init(wp_latch *latch) { wp_atomic_init(&latch->state, LATCH_OPEN); }

void wp_latch_set(wp_latch *latch) {
  uint32_t before = wp_atomic_exchange(&latch->state, WP_LATCH_SET, wp_release);  // edge DONE
  if (before == LATCH_AWAITED) wp_futex_wake(&latch->state, 1, WP_FUTEX_PRIVATE);
}

bool wp_latch_is_set(wp_latch *latch) {
  return wp_atomic_load(&latch->state, wp_acquire) == WP_LATCH_SET;  // edge DONE
}

void wp_latch_wait(wp_latch *latch) {
  uint32_t expected = LATCH_OPEN;
  if (!wp_atomic_cas_strong(&latch->state, &expected, LATCH_AWAITED, wp_acquire, wp_acquire)) return;  // edge DONE
  while (!wp_latch_is_set(latch)) wp_word_wait(&latch->state, LATCH_AWAITED, UINT64_MAX);
}
