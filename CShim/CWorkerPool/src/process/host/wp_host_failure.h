// What happens when workers do not start: the pool that is being made fails, one that runs tries again, and breaks when
// that is of no use. With the collector role, under the lock.
#ifndef WP_HOST_FAILURE_H
#define WP_HOST_FAILURE_H

#include "wp_host_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// The pool cannot start, if it is starting. The strings are static.
void wp_failure_start(wp_process_pool *pool, wp_status status, int number, const char *call, const char *rule);
/// A worker that is wanted ended, or could not be forked, before it was ready: what failed (a `wp_call`), and `errno`.
void wp_failure_worker(wp_process_pool *pool, uint32_t worker, uint32_t call, int number);
/// Nothing can run any more. Fails all that waits.
void wp_failure_break(wp_process_pool *pool, const char *reason);

#ifdef __cplusplus
}
#endif

#endif
