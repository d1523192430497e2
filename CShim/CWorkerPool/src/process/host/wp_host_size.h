// How many workers there are, which can be changed while the pool runs.
//
// `wanted` says how many there shall be, and is set by anybody under the lock; the collector's thread makes it so. The
// workers with the lowest indices stay, since these have the first places of a placement. `bound` is what the loops
// over workers go up to: it follows `wanted` up at once, and down when the last of those that leave are cleared away.
//
//     wanted ──resize──▶ not wanted: no task is sent, those not begun are put back in front of what waits
//        ▲                   │ has ended what it had begun
//        │                   ▼
//        │◀──resize──── told to leave ──5 s──▶ killed
//        │                   │ gone, cleared away
//        └───resize────── ABSENT
//
// A worker that was not told yet when it is wanted again goes on; one that was is replaced.
#ifndef WP_HOST_SIZE_H
#define WP_HOST_SIZE_H

#include "wp_host_bell.h"
#include "wp_host_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Under the lock, on the collector's thread, while the pool runs: takes workers that are wanted into account, and ends those
/// that are not.
void wp_size_follow(wp_process_pool *pool, wp_wakes *wakes);
/// Under the lock: whether some worker could be told to leave now. A leader leaves that to the collector's thread.
bool wp_size_is_due(const wp_process_pool *pool);
/// With the role: when a worker has had its time to leave, UINT64_MAX for never.
uint64_t wp_size_deadline(const wp_process_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
