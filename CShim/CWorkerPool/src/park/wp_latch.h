// Latch: one thread waits until another has done one thing. Three states in a word on somebody's stack:
//
//     OPEN ──set──▶ SET                    or ──give back──▶ GIVEN_BACK: it will not be done, and the waiter may do it
//       └──wait──▶ AWAITED ──set──▶ SET,   or likewise; and the waiter is woken
//
// After the store of SET or GIVEN_BACK the memory belongs to the waiter, who may return and reuse it at once: `set` uses nothing but
// the address from there on. Edge DONE: set and give_back release, is_set and wait acquire.
#ifndef WP_LATCH_H
#define WP_LATCH_H

#include "../base/wp_atomic.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Written by the one waiter and the one setter.
typedef struct wp_latch {
  wp_atomic_u32 state;
} wp_latch;

#define WP_LATCH_OPEN 0u
/// The bit of `state` that says that the wait is over.
#define WP_LATCH_SET 1u
#define WP_LATCH_GIVEN_BACK (WP_LATCH_SET | 4u)

static inline void wp_latch_init(wp_latch *latch) { wp_atomic_init(&latch->state, WP_LATCH_OPEN); }
/// Done by one thread, once. The latch may be gone when it returns.
void wp_latch_set(wp_latch *latch);
/// Says that the thing will not be done. By the one thread that would have done it, in place of `set`.
void wp_latch_give_back(wp_latch *latch);
/// Whether the wait is over.
static inline bool wp_latch_is_set(wp_latch *latch) {
  return (wp_atomic_load(&latch->state, wp_acquire) & WP_LATCH_SET) != 0;  // edge DONE
}
/// Whether a wait that is over ended by `give_back`.
static inline bool wp_latch_is_given_back(wp_latch *latch) {
  return wp_atomic_load(&latch->state, wp_acquire) == WP_LATCH_GIVEN_BACK;  // edge DONE
}
/// Sleeps until the latch is set.
void wp_latch_wait(wp_latch *latch);
/// The same until a time on the monotonic clock, after which the waiter may wait again. Whether it is set.
bool wp_latch_wait_until(wp_latch *latch, uint64_t deadline_ns);

#ifdef __cplusplus
}
#endif

#endif
