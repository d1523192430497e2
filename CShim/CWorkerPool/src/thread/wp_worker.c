#include "wp_worker.h"

#include <pthread.h>
#include <stdlib.h>

#include "../base/wp_fatal.h"
#include "../platform/wp_name.h"

WP_THREAD_LOCAL wp_worker *wp_worker_of_thread;

// A child of a task's fork has one thread, and that works for no pool: the pool's locks may be held for ever.
static void forget_worker(void) { wp_worker_set_current(NULL); }

__attribute__((constructor)) static void watch_forks(void) { pthread_atfork(NULL, NULL, forget_worker); }

const wp_thread_pool *wp_thread_pool_current(void) {
  const wp_worker *self = wp_worker_current();
  return self != NULL ? self->pool : NULL;
}

int32_t wp_thread_pool_current_worker(const wp_thread_pool *pool) {
  const wp_worker *self = wp_worker_current();
  return self != NULL && self->pool == pool ? (int32_t)self->index : -1;
}

bool wp_worker_init(wp_worker *worker, wp_thread_pool *pool, uint32_t node, uint32_t waiter) {
  size_t lines = (pool->node_count * sizeof *worker->steals + WP_CACHE_LINE - 1) / WP_CACHE_LINE;
  worker->steals = (wp_atomic_u64 *)aligned_alloc(WP_CACHE_LINE, lines * WP_CACHE_LINE);
  if (worker->steals == NULL) return false;
  for (uint32_t i = 0; i < pool->node_count; i++) wp_atomic_init(&worker->steals[i], (uint64_t)0);
  wp_deque_init(&worker->deque);
  worker->pool = pool;
  worker->node = node;
  worker->event_count = &pool->nodes[node].event_count;
  worker->waiter = waiter;
  worker->cpu = -1;
  worker->random = 2463534242u + waiter * 2654435769u;
  return true;
}

void wp_worker_destroy(wp_worker *worker) {
  wp_block_trade_destroy(&worker->trade);
  wp_deque_destroy(&worker->deque);
  free(worker->steals);
}

void wp_worker_number(wp_worker *worker, uint32_t index) {
  char suffix[WP_NAME_BYTES];
  worker->index = index;
  wp_name_number(suffix, index);
  wp_name_format(worker->name, worker->pool->name, suffix);
}

// MARK: Jobs

void wp_pool_discard(wp_thread_pool *pool, wp_job job) {
  if (pool->hooks.discard != NULL) pool->hooks.discard(pool->hooks.context, job);
}

void wp_thread_pool_freed(uintptr_t code, uintptr_t block) {
  wp_worker *self = wp_worker_current();
  if (self != NULL) wp_block_trade_collect(&self->trade, &wp_node_of(self)->freed, code, block);
}

// MARK: Jobs that end their thread

void wp_worker_abandon(wp_worker *worker) {
  if (wp_job_is_engine(worker->running) || worker->helping != 0 || worker->scopes != 0 || worker->forks != 0) {
    wp_fatal("a task ended its thread (pthread_exit) in the middle of fork-join work, whose frames others use");
  }
  const wp_thread_pool_hooks *hooks = &worker->pool->hooks;
  if (hooks->abandon != NULL) hooks->abandon(hooks->context, worker->running);
}
