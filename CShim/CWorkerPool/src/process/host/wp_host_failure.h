// The two ends that a pool did not want: it cannot be made, or it breaks. With the collector role, under the lock.
#ifndef WP_HOST_FAILURE_H
#define WP_HOST_FAILURE_H

#include "wp_host_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// The pool cannot start, if it is starting. The strings are static.
void wp_failure_start(wp_process_pool *pool, wp_status status, int number, const char *call, const char *rule);
/// Nothing can run any more. Fails all that waits.
void wp_failure_break(wp_process_pool *pool, const char *reason);

#ifdef __cplusplus
}
#endif

#endif
