// Which worker gets which task.
//
// Live workers stand in lists by how many slots they occupy, so the least loaded is found in O(prefetch) whatever
// their number. Sending ahead (prefetch) hides the round trip to the collector, at the price that a task may stand
// behind a long one while another worker idles: idle workers therefore take such tasks over, which the slot's
// READY → REVOKED transition makes safe against a worker that begins it at the same moment.
//
// All of this runs under the pool's lock.
#ifndef WP_HOST_QUEUE_H
#define WP_HOST_QUEUE_H

#include "wp_host_bell.h"
#include "wp_host_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// After a task that took `run_ns`: how far ahead tasks are sent from now on.
void wp_queue_adapt(wp_process_pool *pool, uint64_t run_ns);
/// The least loaded worker that may hold one more task, or WP_NO_WORKER.
uint32_t wp_queue_pick(const wp_process_pool *pool);
/// Sends pending tasks as far as workers take them, then lets idle workers take over what others have not begun. With the
/// collector role: releases the lock while it copies large arguments.
void wp_queue_send(wp_process_pool *pool, wp_wakes *wakes);

#ifdef __cplusplus
}
#endif

#endif
