// Submission.
#include "wp_thread_state.h"

#include "../platform/wp_thread.h"

/// The node that the caller runs on.
static wp_pool_node *near_node(wp_thread_pool *pool) {
  if (pool->node_count > 1) {
    int id = wp_thread_current_node();
    for (uint32_t i = 0; i < pool->node_count; i++) {
      if (pool->nodes[i].system_id == id) return &pool->nodes[i];
    }
  }
  return &pool->nodes[0];
}

/// Why a job is refused. Not inlined: what it would cost on the way of those that are taken pays for the check.
__attribute__((cold, noinline)) static wp_status refusal(const wp_thread_pool *pool) {
  return pool->fork_generation != wp_fork_generation() ? WP_FORKED : WP_INVALID_ARGUMENT;
}

/// Hands jobs over, to the own deque of a worker of `node`, else to that node's injector. NULL: to the nearest. Inlined,
/// since most calls are about one job and the nearest node.
__attribute__((always_inline)) static inline wp_status submit_to(wp_thread_pool *pool, wp_pool_node *node,
                                                                 const wp_job *jobs, size_t count, size_t *accepted) {
  *accepted = 0;
  if (pool->fork_generation != wp_fork_generation()) return refusal(pool);
  if (count == 0) return WP_OK;
  for (size_t i = 0; i < count; i++) {
    if (jobs[i].code - WP_LEAST_CODE > pool->code_span) return refusal(pool);
  }
  wp_worker *self = wp_worker_current();
  if (self != NULL && self->pool == pool && !self->takes_no_more) {
    if (node == NULL) node = &pool->nodes[self->node];
    if (node == &pool->nodes[self->node]) {
      // For others the injector itself knows, exactly; a worker's own deque has no such flag.
      if (wp_pool_is_draining(pool)) return WP_SHUT_DOWN;
      // Turned round, since the owner takes the newest first: jobs that come together begin in their order.
      *accepted = count == 1 ? wp_deque_push_one(&self->deque, *jobs) : wp_deque_push_reversed(&self->deque, jobs, count);
      self->trade.serves_others = false;
    }
  } else if (node == NULL) {
    node = near_node(pool);
  }
  wp_status status = WP_OK;
  if (*accepted < count) {
    size_t injected;
    status = wp_injector_push(&node->injector, jobs + *accepted, count - *accepted, &injected);
    *accepted += injected;
  }
  if (*accepted > 0) {
    wp_event_count_notify_one(&node->event_count);
    wp_block_trade_refund(&node->freed, *accepted);
  }
  return status;
}

wp_status wp_thread_pool_submit_batch(wp_thread_pool *pool, const wp_job *jobs, size_t count, size_t *accepted) {
  return submit_to(pool, NULL, jobs, count, accepted);
}

wp_status wp_thread_pool_submit_on(wp_thread_pool *pool, int node, wp_job job) {
  size_t accepted;
  for (uint32_t i = 0; i < pool->node_count; i++) {
    if (pool->nodes[i].system_id == node) return submit_to(pool, &pool->nodes[i], &job, 1, &accepted);
  }
  return WP_INVALID_ARGUMENT;
}

wp_status wp_thread_pool_submit(wp_thread_pool *pool, wp_job job) {
  size_t accepted;
  return submit_to(pool, NULL, &job, 1, &accepted);
}
