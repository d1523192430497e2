#include "wp_blocking.h"

#include "wp_thread_pool.h"

#include "../base/wp_assert.h"
#include "../base/wp_atomic.h"
#include "../base/wp_error.h"
#include "../park/wp_latch.h"

typedef struct wp_blocking_state {
  wp_latch latch;
  bool counted;
} wp_blocking_state;

WP_STATIC_ASSERT(sizeof(wp_blocking_state) <= sizeof(wp_blocking), "there is room for one");

static wp_blocking_state *state_of(wp_blocking *blocking) { return (wp_blocking_state *)(void *)blocking; }

wp_status wp_blocking_begin(wp_blocking *blocking, wp_blocked_for what, wp_error *error) {
  wp_blocking_state *state = state_of(blocking);
  wp_latch_init(&state->latch);
  wp_status status = wp_thread_pool_block_begin();
  state->counted = status == WP_OK;
  return what == WP_BLOCKED_FOR_OTHERS ? WP_OK : status == WP_OK ? WP_OK : wp_fail(error, status, 0, NULL, NULL);
}

wp_blocking_outcome wp_blocking_wait(wp_blocking *blocking, uint64_t deadline_ns) {
  return wp_latch_wait_until(&state_of(blocking)->latch, deadline_ns) ? WP_BLOCKING_WOKEN : WP_BLOCKING_TIMED_OUT;
}

void wp_blocking_wake(wp_blocking *blocking) { wp_latch_set(&state_of(blocking)->latch); }

void wp_blocking_end(wp_blocking *blocking) {
  if (state_of(blocking)->counted) wp_thread_pool_block_end();
}
