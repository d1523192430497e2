// Sweep: takes cancelled jobs out of a node's queue, whose places they would keep until a worker comes by.
//
// A future that is cancelled cannot say where its job stands. So it is counted (wp_cancelled.h), and the submitter whose job
// needs one more segment sweeps when many were: it takes jobs from the front, drops those that would do nothing, and puts
// the others back in their order (queue/wp_putback.h). It sweeps more than the queue has grown by, and no more than that
// times some constant: a submission stays O(1), amortised, and the queue in proportion to what is alive in it.
//
// A job that its waiter runs on top of the wait leaves its place behind, too. It stands at the end of the waiter's own deque in
// most cases, where it is taken back at once; elsewhere it counts as a cancelled one.
//
// While a sweep holds jobs in hand they stand in no queue; `sweeping` tells those who look that there is work all the same.
#ifndef WP_SWEEP_H
#define WP_SWEEP_H

#include "wp_thread_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// A `wp_injector_grown`: sweeps the wp_pool_node, if that is worth it.
void wp_sweep_when_grown(void *node);

#ifdef __cplusplus
}
#endif

#endif
