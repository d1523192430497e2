// A node's queues as one: whether there is work in them, and who is to be told.
#ifndef WP_NODE_H
#define WP_NODE_H

#include "wp_thread_state.h"

#ifdef __cplusplus
extern "C" {
#endif

// Whether there is work in a queue, with the orders that edge ANNOUNCE asks for. O(workers and spares).
bool wp_node_has_work(wp_thread_pool *pool, uint32_t node);
bool wp_pool_has_work_aside(wp_thread_pool *pool);
/// The nearest node with work, as seen from `node`, which work aside counts as; WP_NO_NODE if there is none.
uint32_t wp_pool_find_work(wp_thread_pool *pool, uint32_t node);

/// Wakes everybody who sleeps.
void wp_pool_wake_all(wp_thread_pool *pool);

/// Takes jobs from the front of a node's queue, at most one part in `share` of what is there, rounded up, and at most
/// `max`. Returns how many. `popped` as in `wp_injector_pop`, never NULL.
size_t wp_node_pop(wp_pool_node *node, wp_job *jobs, size_t max, size_t share, wp_popped *popped);

#ifdef __cplusplus
}
#endif

#endif
