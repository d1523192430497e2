// What became due in a pool's life: starts, the end of starting, the order to leave. With the collector role.
#ifndef WP_HOST_ADVANCE_H
#define WP_HOST_ADVANCE_H

#include "wp_host_bell.h"
#include "wp_host_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Under the lock.
void wp_advance(wp_process_pool *pool, wp_wakes *wakes);
/// When `wp_advance` has to look again, UINT64_MAX for never.
uint64_t wp_advance_deadline(const wp_process_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
