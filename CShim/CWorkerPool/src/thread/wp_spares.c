#include "wp_spares.h"

#include <stdlib.h>
#include <string.h>

#include "wp_node.h"
#include "wp_threads.h"
#include "wp_worker.h"

#include "../platform/wp_clock.h"
#include "../platform/wp_futex.h"

bool wp_spares_init(wp_thread_pool *pool, uint32_t limit) {
  wp_spares *spares = &pool->spares;
  spares->limit = limit;
  if (limit == 0) return true;
  spares->slots = (wp_worker *)aligned_alloc(WP_CACHE_LINE, limit * sizeof(wp_worker));
  return spares->slots != NULL;
}

void wp_spares_destroy(wp_thread_pool *pool) {
  wp_spares *spares = &pool->spares;
  uint32_t used = wp_atomic_load(&spares->used, wp_relaxed);
  for (uint32_t i = 0; i < used; i++) wp_worker_destroy(&spares->slots[i]);
  free(spares->slots);
}

// MARK: Calling up, under the lock

static wp_worker *pop(wp_worker **stack) {
  wp_worker *top = *stack;
  if (top != NULL) *stack = top->next_idle;
  return top;
}

/// A slot that was never used, initialised. NULL when all are used, or without memory.
static wp_worker *new_slot(wp_thread_pool *pool, uint32_t node) {
  wp_spares *spares = &pool->spares;
  uint32_t used = wp_atomic_load(&spares->used, wp_relaxed);
  if (used == spares->limit) return NULL;
  wp_worker *spare = &spares->slots[used];
  memset((void *)spare, 0, sizeof *spare);
  if (!wp_worker_init(spare, pool, node, pool->roster.capacity + used)) return NULL;
  spare->is_spare = true;
  wp_worker_number(spare, WP_THREAD_POOL_FIRST_SPARE + used);
  wp_atomic_store(&spares->used, used + 1, wp_seq_cst);  // edges SLOT and ANNOUNCE
  return spare;
}

/// A spare without a thread: of the node, or a new one, or of any node. NULL when all have one.
static wp_worker *absent_spare(wp_thread_pool *pool, uint32_t node) {
  wp_worker *spare = pop(&pool->nodes[node].absent);
  if (spare == NULL) spare = new_slot(pool, node);
  for (uint32_t i = 1; spare == NULL && i < pool->node_count; i++) {
    spare = pop(&pool->nodes[pool->nodes[node].nearest[i]].absent);
  }
  return spare;
}

static wp_status start_spare(wp_thread_pool *pool, uint32_t node, wp_error *error) {
  wp_worker *spare = absent_spare(pool, node);
  if (spare == NULL) return WP_WOULD_DEADLOCK;
  wp_status status = wp_threads_start(spare, WP_WORKER_LEAVES, error);
  if (status != WP_OK) {
    spare->next_idle = wp_node_of(spare)->absent;
    wp_node_of(spare)->absent = spare;
  }
  return status;
}

static void wake_benched(wp_worker *spare, wp_worker_life life) {
  wp_threads_set_life(spare, life);
  wp_atomic_fetch_add(&spare->called, 1, wp_release);
  wp_futex_wake(&spare->called, 1, WP_FUTEX_PRIVATE);
}

static bool call_up_benched(wp_thread_pool *pool, uint32_t node) {
  wp_worker *spare = pop(&pool->nodes[node].benched);
  if (spare != NULL) wake_benched(spare, WP_WORKER_LEAVES);
  return spare != NULL;
}

static wp_status call_up(wp_thread_pool *pool, uint32_t node, wp_error *error) {
  if (call_up_benched(pool, node)) return WP_OK;
  wp_status status = start_spare(pool, node, error);
  // One of another node is of use only to the pool as a whole.
  for (uint32_t i = 1; status != WP_OK && i < pool->node_count; i++) {
    if (wp_thread_counts_are_short(&pool->threads.counts) && call_up_benched(pool, pool->nodes[node].nearest[i])) {
      status = WP_OK;
    }
  }
  return status;
}

wp_status wp_spares_compensate(wp_thread_pool *pool, uint32_t node, wp_error *error) {
  return wp_threads_need_one_more(pool, node) ? call_up(pool, node, error) : WP_OK;
}

// MARK: The spare's side

/// Requires: lock. Takes a spare off the bench of its node.
static void leave_bench(wp_worker *spare) {
  wp_worker **place = &wp_node_of(spare)->benched;
  while (*place != spare) place = &(*place)->next_idle;
  *place = spare->next_idle;
}

/// Requires: lock, which it gives up meanwhile. Sleeps on the bench. True when called up, false when the thread should end.
static bool sit_on_bench(wp_worker *spare) {
  pthread_mutex_t *lock = &spare->pool->threads.lock;
  wp_threads_set_life(spare, WP_WORKER_BENCHED);
  spare->next_idle = wp_node_of(spare)->benched;
  wp_node_of(spare)->benched = spare;
  uint64_t deadline = wp_clock_now() + WP_SPARE_BENCHED_NS;
  bool in_time = true;
  while (spare->life == WP_WORKER_BENCHED && in_time) {
    uint32_t called = wp_atomic_load(&spare->called, wp_acquire);
    pthread_mutex_unlock(lock);
    in_time = wp_futex_wait(&spare->called, called, deadline, WP_FUTEX_PRIVATE);
    pthread_mutex_lock(lock);
  }
  if (spare->life == WP_WORKER_BENCHED) {
    leave_bench(spare);
    wp_threads_set_life(spare, WP_WORKER_ENDING);
  }
  return spare->life == WP_WORKER_LEAVES;
}

bool wp_spares_step_down(wp_worker *spare) {
  wp_thread_pool *pool = spare->pool;
  // What is left in its deque belongs to the others, who may all be asleep.
  if (!wp_deque_is_empty(&spare->deque)) wp_event_count_notify_one(spare->event_count);
  pthread_mutex_lock(&pool->threads.lock);
  bool called_up = true;
  // In a draining pool it goes on like any worker, until nothing is left: nobody else might be there for its deque.
  if (wp_threads_have_surplus(spare) && !wp_pool_is_draining(pool)) called_up = sit_on_bench(spare);  // S2
  pthread_mutex_unlock(&pool->threads.lock);
  return !called_up;
}

void wp_spares_close(wp_thread_pool *pool) {
  pthread_mutex_lock(&pool->threads.lock);
  for (uint32_t n = 0; n < pool->node_count; n++) {
    for (wp_worker *spare; (spare = pop(&pool->nodes[n].benched)) != NULL;) wake_benched(spare, WP_WORKER_ENDING);
  }
  pthread_mutex_unlock(&pool->threads.lock);
}
