// Shutting down: closing, giving back what did not run, waiting for the end, and releasing the handle.
//
// Without losing a job: `close` closes the injectors, each of which from then on refuses every submitter that has not taken a
// ticket yet, then makes the pool DRAINING, then wakes everyone. A worker ends when it has seen DRAINING and after that all
// queues empty; a job still running can add to its own worker's deque only if it looked at the pool's life before, and that
// worker drains its deque before it ends.
#include "wp_blocked.h"
#include "wp_node.h"
#include "wp_spares.h"
#include "wp_threads.h"
#include "wp_worker.h"

#include "../platform/wp_thread.h"

uint32_t wp_thread_pool_worker_count(wp_thread_pool *pool) { return wp_atomic_load(&pool->worker_count, wp_relaxed); }

void wp_thread_pool_close(wp_thread_pool *pool) {
  if (pool->fork_generation != wp_fork_generation()) return;
  for (uint32_t i = 0; i < pool->node_count; i++) wp_injector_close(&pool->nodes[i].injector);
  if (!wp_threads_close(pool)) return;
  wp_pool_wake_all(pool);
  wp_spares_close(pool);
}

// MARK: Giving back

/// Leaves fork-join work to the workers that is under way: its owner may be blocked on top of it, and wait for what it does.
static void let_go_on(wp_thread_pool *pool, wp_job job) {
  size_t accepted;
  wp_atomic_store(&pool->aside_used, 1u, wp_seq_cst);  // edge ANNOUNCE: before the job, which is before the notify
  // Without memory its owner does it, which claims what nobody comes for.
  if (wp_injector_push(pool->aside, &job, 1, &accepted) != WP_OK) ((wp_engine_job *)job.argument)->refuse(job.argument);
}

/// Gives a job back that was taken from a node's queue. Returns how many that were of the user's.
static size_t give_back(wp_thread_pool *pool, wp_job job) {
  if (!wp_job_is_engine(job)) {
    wp_pool_discard(pool, job);
    return 1;
  }
  if ((job.code & WP_JOB_UNBEGUN) == WP_JOB_UNBEGUN) {
    ((wp_engine_job *)job.argument)->refuse(job.argument);
  } else {
    let_go_on(pool, job);
  }
  return 0;
}

/// Steals and discards as far as no job of the engine's own is in the way; workers do the rest.
static size_t discard_deque(wp_thread_pool *pool, wp_deque *deque) {
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
    wp_pool_discard(pool, job);
    discarded++;
  }
  return discarded;
}

size_t wp_thread_pool_discard_pending(wp_thread_pool *pool) {
  if (!wp_pool_is_draining(pool)) return 0;
  // From here on workers discard what they take. Relaxed: no data hangs on when they see it.
  wp_atomic_fetch_or(&pool->life, WP_POOL_DISCARDING, wp_relaxed);
  size_t discarded = 0;
  wp_job job;
  wp_popped popped;
  for (uint32_t n = 0; n < pool->node_count; n++) {
    wp_pool_node *node = &pool->nodes[n];
    while (wp_node_pop(node, &job, 1, 1, &popped) == 1) discarded += give_back(pool, job);
    uint32_t count = wp_atomic_load(&node->worker_count, wp_acquire);  // edge SLOT
    for (uint32_t i = 0; i < count; i++) discarded += discard_deque(pool, &node->workers[i]->deque);
  }
  uint32_t spares = wp_atomic_load(&pool->spares.used, wp_acquire);  // edge SLOT
  for (uint32_t i = 0; i < spares; i++) discarded += discard_deque(pool, &pool->spares.slots[i].deque);
  // What was set aside stood in no queue for a moment, in which threads may have slept, ended or blocked.
  wp_pool_wake_all(pool);
  pthread_mutex_lock(&pool->threads.lock);
  wp_spares_compensate(pool, 0, NULL);
  pthread_mutex_unlock(&pool->threads.lock);
  return discarded;
}

// MARK: The end

wp_status wp_thread_pool_join(wp_thread_pool *pool) {
  if (pool->fork_generation != wp_fork_generation()) return WP_FORKED;
  if (!wp_pool_is_draining(pool)) return WP_INVALID_ARGUMENT;
  wp_worker *self = wp_worker_current();
  if ((self != NULL && self->pool == pool) || wp_threads_is_joined_by(pool)) return WP_WOULD_DEADLOCK;
  // A worker of another pool may be what this pool's last jobs wait for.
  wp_blocking_state blocking;
  wp_blocked_begin_for_others(self, &blocking);
  wp_threads_join(pool);
  wp_blocked_end(&blocking);
  return WP_OK;
}

void wp_thread_pool_release(wp_thread_pool *pool) {
  if (pool == NULL || pool->fork_generation != wp_fork_generation()) return;
  wp_thread_pool_close(pool);
  wp_threads_abandon(pool);
  wp_threads_unreference(pool);
}
