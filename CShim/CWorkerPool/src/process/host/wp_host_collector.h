// The collector: one thread per pool that completes tasks and looks after the processes.
//
// It spins a bounded time while tasks are out, then sleeps in ppoll(2) on the workers' doorbell, the control socket and
// the template's pidfd. Workers ring only while `host_sleeping` is set. An idle pool makes no system call.
#ifndef WP_HOST_COLLECTOR_H
#define WP_HOST_COLLECTOR_H

#include "wp_host_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// The life of the collector's thread.
void wp_collector_run(wp_process_pool *pool);
/// Frees memory and descriptors of a pool without processes.
void wp_collector_tear_down(wp_process_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
