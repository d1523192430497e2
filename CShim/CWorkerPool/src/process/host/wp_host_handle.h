// What a user holds: references to a pool, and how it ends.
#ifndef WP_HOST_HANDLE_H
#define WP_HOST_HANDLE_H

#include "wp_host_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Drops a reference; the last one destroys. Without the lock.
void wp_handle_drop(wp_process_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
