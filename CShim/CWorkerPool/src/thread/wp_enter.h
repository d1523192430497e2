// Entering: how fork-join work gets onto a worker, whoever calls.
#ifndef WP_ENTER_H
#define WP_ENTER_H

#include "wp_thread_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Runs `body` on one of the pool's workers: here if this is one, or can be a guest; else on another, waiting for it. A
/// worker of another pool that waits is counted as blocked there. Errors as `wp_join`.
wp_status wp_enter(wp_thread_pool *pool, void (*body)(wp_worker *self, void *context), void *context);

#ifdef __cplusplus
}
#endif

#endif
