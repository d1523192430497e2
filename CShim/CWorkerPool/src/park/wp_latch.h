// Latch: one thread waits until another has done one thing. Three states in a word on somebody's stack:
//
//     OPEN ──set──▶ SET
//       └──wait──▶ AWAITED ──set──▶ SET, and the waiter is woken
//
// After the store of SET the memory belongs to the waiter, who may return and reuse it at once: `set` uses nothing but
// the address from there on. Edge DONE: set releases, is_set and wait acquire.
#ifndef WP_LATCH_H
#define WP_LATCH_H

#include "../base/wp_atomic.h"
#include "../platform/wp_futex.h"

#define WP_LATCH_OPEN 0u
#define WP_LATCH_SET 1u
#define WP_LATCH_AWAITED 2u

/// Written by the one waiter and the one setter.
typedef struct wp_latch {
  wp_atomic_u32 state;
} wp_latch;

static inline void wp_latch_init(wp_latch *latch) { wp_atomic_init(&latch->state, WP_LATCH_OPEN); }

static inline bool wp_latch_is_set(wp_latch *latch) {
  return wp_atomic_load(&latch->state, wp_acquire) == WP_LATCH_SET;  // edge DONE
}

static inline void wp_latch_set(wp_latch *latch) {
  uint32_t before = wp_atomic_exchange(&latch->state, WP_LATCH_SET, wp_release);  // edge DONE
  if (before == WP_LATCH_AWAITED) wp_futex_wake(&latch->state, 1, WP_FUTEX_PRIVATE);
}

/// Sleeps until the latch is set.
static inline void wp_latch_wait(wp_latch *latch) {
  uint32_t expected = WP_LATCH_OPEN;
  if (!wp_atomic_cas_strong(&latch->state, &expected, WP_LATCH_AWAITED, wp_acquire, wp_acquire)) return;  // edge DONE
  while (!wp_latch_is_set(latch)) wp_futex_wait(&latch->state, WP_LATCH_AWAITED, UINT64_MAX, WP_FUTEX_PRIVATE);
}

#endif
