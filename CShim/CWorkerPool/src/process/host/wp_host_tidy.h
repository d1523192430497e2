// Giving the pages of an idle pool back.
#ifndef WP_HOST_TIDY_H
#define WP_HOST_TIDY_H

#include "wp_host_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// How long a pool is idle before it gives the pages of its buffers back.
#define WP_TIDY_AFTER_NS ((uint64_t)1000000000u)

/// With the collector role, under the lock: whether the pool has been idle long enough to be tidied. Once, then not
/// again until a buffer was used.
bool wp_tidy_is_due(wp_process_pool *pool);
/// With the role, under the lock, on another thread than the collector's, when no task is left: has that thread see to
/// it. Wakes it once in `WP_TIDY_AFTER_NS` at most.
void wp_tidy_later(wp_process_pool *pool);
/// When that will be, UINT64_MAX for never.
uint64_t wp_tidy_deadline(const wp_process_pool *pool);
/// With the collector role, without the lock: gives the pages of all free buffers back.
void wp_tidy_now(wp_process_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
