// Entering: how fork-join work gets onto a worker, whoever calls.
#ifndef WP_ENTER_H
#define WP_ENTER_H

#include "wp_thread_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// The rest of `wp_enter`, for a caller that is no worker of the pool.
wp_status wp_enter_from_outside(wp_thread_pool *pool, void (*body)(wp_worker *self, void *context), void *context);

/// Runs `body` on one of the pool's workers: here if this is one, or can be a guest; else on another, waiting for it. A
/// worker of another pool that waits is counted as blocked there. Errors as `wp_join`.
static inline wp_status wp_enter(wp_thread_pool *pool, void (*body)(wp_worker *self, void *context), void *context) {
  wp_worker *self = wp_worker_current();
  if (self == NULL || self->pool != pool) return wp_enter_from_outside(pool, body, context);
  body(self, context);
  return WP_OK;
}

#ifdef __cplusplus
}
#endif

#endif
