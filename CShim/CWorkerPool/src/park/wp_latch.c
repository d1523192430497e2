#include "wp_latch.h"

#include "wp_wait.h"

#include "../platform/wp_futex.h"

#define LATCH_AWAITED 2u

static void end_wait(wp_latch *latch, uint32_t state) {
  uint32_t before = wp_atomic_exchange(&latch->state, state, wp_release);  // edge DONE
  if (before == LATCH_AWAITED) wp_futex_wake(&latch->state, 1, WP_FUTEX_PRIVATE);
}

void wp_latch_set(wp_latch *latch) { end_wait(latch, WP_LATCH_SET); }

void wp_latch_give_back(wp_latch *latch) { end_wait(latch, WP_LATCH_GIVEN_BACK); }

bool wp_latch_wait_until(wp_latch *latch, uint64_t deadline_ns) {
  uint32_t state = WP_LATCH_OPEN;
  // It is AWAITED already after a wait that ended by its deadline.
  wp_atomic_cas_strong(&latch->state, &state, LATCH_AWAITED, wp_acquire, wp_acquire);
  bool in_time = true;
  while (!wp_latch_is_set(latch) && in_time) in_time = wp_word_wait(&latch->state, LATCH_AWAITED, deadline_ns);
  return wp_latch_is_set(latch);
}

void wp_latch_wait(wp_latch *latch) { wp_latch_wait_until(latch, UINT64_MAX); }
