// A pool of threads: submission, and shutting down.
//
// Shutting down without losing a job: `close` closes the injectors, each of which from then on refuses every
// submitter that has not taken a ticket yet, then raises `closed`, then wakes everyone. A worker ends when it has
// seen `closed` and after that all queues empty; a job still running can add to its own worker's deque only if it
// looked at `closed` before, and that worker drains its deque before it ends.

#include "wp_worker.h"

#include "../platform/wp_thread.h"

uint32_t wp_thread_pool_worker_count(wp_thread_pool *pool) { return wp_atomic_load(&pool->worker_count, wp_relaxed); }

// MARK: Submission

bool wp_thread_pool_node_has_work(wp_thread_pool *pool, uint32_t n) {
  wp_pool_node *node = &pool->nodes[n];
  if (!wp_injector_is_empty(&node->injector)) return true;
  uint32_t count = wp_atomic_load(&node->worker_count, wp_seq_cst);  // edges SLOT and ANNOUNCE
  for (uint32_t i = 0; i < count; i++) {
    if (!wp_deque_is_empty(&node->workers[i]->deque)) return true;
  }
  uint32_t spares = wp_atomic_load(&pool->spares.used, wp_seq_cst);  // edges SLOT and ANNOUNCE
  for (uint32_t i = 0; i < spares; i++) {
    wp_worker *spare = &pool->spares.slots[i];
    if (spare->node == n && !wp_deque_is_empty(&spare->deque)) return true;
  }
  return false;
}

bool wp_thread_pool_has_work_aside(wp_thread_pool *pool) {
  // edge ANNOUNCE, of both words
  return wp_atomic_load(&pool->aside_used, wp_seq_cst) != 0 && !wp_injector_is_empty(pool->aside);
}

uint32_t wp_thread_pool_find_work(wp_thread_pool *pool, uint32_t node) {
  const uint32_t *nearest = pool->nodes[node].nearest;
  for (uint32_t i = 0; i < pool->node_count; i++) {
    if (wp_thread_pool_node_has_work(pool, nearest[i])) return nearest[i];
  }
  return wp_thread_pool_has_work_aside(pool) ? node : WP_NO_NODE;
}

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

/// Hands jobs over, to the own deque of a worker of `node`, else to that node's injector. NULL: to the nearest. Inlined,
/// since most calls are about one job and the nearest node.
__attribute__((always_inline)) static inline wp_status submit_to(wp_thread_pool *pool, wp_pool_node *node,
                                                                 const wp_job *jobs, size_t count, size_t *accepted) {
  *accepted = 0;
  if (pool->fork_generation != wp_fork_generation()) return WP_FORKED;
  if (count == 0) return WP_OK;
  for (size_t i = 0; i < count; i++) {
    if (jobs[i].code <= 1) return WP_INVALID_ARGUMENT;  // what the queues mark their cells with
  }
  wp_worker *self = wp_worker_current();
  if (self != NULL && self->pool == pool) {
    if (node == NULL) node = &pool->nodes[self->node];
    if (node == &pool->nodes[self->node]) {
      // For others the injector itself knows, exactly; a worker's own deque has no such flag.
      if (wp_atomic_load(&pool->closed, wp_relaxed) != 0) return WP_SHUT_DOWN;
      *accepted = wp_deque_push(&self->deque, jobs, count);
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

int32_t wp_thread_pool_current_worker(const wp_thread_pool *pool) {
  const wp_worker *self = wp_worker_current();
  return self != NULL && self->pool == pool ? (int32_t)self->index : -1;
}

// MARK: Shutting down

void wp_thread_pool_wake_all(wp_thread_pool *pool) {
  for (uint32_t i = 0; i < pool->node_count; i++) wp_event_count_notify_all(&pool->nodes[i].event_count);
}

void wp_thread_pool_close(wp_thread_pool *pool) {
  if (pool->fork_generation != wp_fork_generation()) return;
  for (uint32_t i = 0; i < pool->node_count; i++) wp_injector_close(&pool->nodes[i].injector);
  wp_atomic_store(&pool->closed, 1, wp_seq_cst);  // edge ANNOUNCE: before the stack is looked at
  wp_thread_pool_wake_all(pool);
  wp_spares_close(pool);
}

/// Steals and discards as far as no job of the engine's own is in the way; workers do the rest.
static size_t discard_from(wp_thread_pool *pool, wp_deque *deque) {
  static const wp_job_filter discardable[] = {
      {WP_JOB_FOREIGN, WP_JOB_FOREIGN, NULL},
      {WP_JOB_FOREIGN | WP_JOB_ENGINE, 0, NULL},
  };
  size_t discarded = 0;
  wp_job job;
  for (int i = 0, misses = 0; misses < 2; i ^= 1) {
    wp_steal steal = wp_deque_steal_if(deque, &discardable[i], INT64_MIN, &job);
    misses = steal == WP_STEAL_EMPTY ? misses + 1 : 0;
    if (steal != WP_STEAL_TAKEN) continue;
    wp_worker_discard(pool, job);
    discarded++;
  }
  return discarded;
}

size_t wp_thread_pool_discard_pending(wp_thread_pool *pool) {
  if (wp_atomic_load(&pool->closed, wp_acquire) == 0) return 0;
  // From here on workers discard what they take. Relaxed: no data hangs on when they see it.
  wp_atomic_store(&pool->discarding, 1u, wp_relaxed);
  size_t discarded = 0;
  wp_job job;
  for (uint32_t i = 0; i < pool->node_count; i++) {
    while (wp_injector_pop(&pool->nodes[i].injector, &job, 1, 1, NULL) == 1) {
      if (wp_fork_join_refuse(job)) continue;
      wp_worker_discard(pool, job);
      discarded++;
    }
  }
  for (uint32_t n = 0; n < pool->node_count; n++) {
    uint32_t count = wp_atomic_load(&pool->nodes[n].worker_count, wp_acquire);  // edge SLOT
    for (uint32_t i = 0; i < count; i++) discarded += discard_from(pool, &pool->nodes[n].workers[i]->deque);
  }
  uint32_t spares = wp_atomic_load(&pool->spares.used, wp_acquire);  // edge SLOT
  for (uint32_t i = 0; i < spares; i++) discarded += discard_from(pool, &pool->spares.slots[i].deque);
  return discarded;
}

wp_status wp_thread_pool_join(wp_thread_pool *pool) {
  if (pool->fork_generation != wp_fork_generation()) return WP_FORKED;
  if (wp_atomic_load(&pool->closed, wp_acquire) == 0) return WP_INVALID_ARGUMENT;
  if (wp_thread_pool_current_worker(pool) >= 0) return WP_WOULD_DEADLOCK;
  pthread_mutex_lock(&pool->join_lock);
  if (!pool->joined) {
    wp_roster_join(pool);
    wp_spares_join(pool);
    pool->joined = true;
  }
  pthread_mutex_unlock(&pool->join_lock);
  return WP_OK;
}

void wp_thread_pool_release(wp_thread_pool *pool) {
  if (pool == NULL || pool->fork_generation != wp_fork_generation()) return;
  wp_thread_pool_close(pool);
  if (!pool->joined) {
    wp_roster_detach(pool);
  }
  wp_thread_pool_unreference(pool);
}
