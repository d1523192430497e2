// Ends of tasks that have no reply, and what a dead worker leaves: a task that it had begun fails or is tried again, one
// that it had not begun is queued again in front of everything else. All of this runs under the pool's lock.
#ifndef WP_HOST_ENDS_H
#define WP_HOST_ENDS_H

#include "wp_host_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Ends a task that has no reply.
void wp_task_lose(wp_process_pool *pool, uint32_t task, const wp_task_loss *loss);
/// Queues a task again that the worker at this position had not begun, or may begin again: it is the first of the pending.
/// A long argument stays where it is, in a buffer of that worker.
void wp_task_put_back(wp_process_pool *pool, wp_host_worker *worker, uint32_t position);
/// With the collector role: clears away what a dead worker leaves. Its published results were all taken, and their callbacks
/// have returned.
void wp_worker_clear(wp_process_pool *pool, uint32_t worker);
/// The same, before that: whether it had begun a task that it has not ended.
bool wp_worker_had_begun(const wp_process_pool *pool, wp_host_worker *worker);
/// `count` tasks are no more.
void wp_task_retire(wp_process_pool *pool, size_t count);

#ifdef __cplusplus
}
#endif

#endif
