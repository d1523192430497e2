#include "wp_guest.h"

#include <sched.h>

#include "wp_node.h"

#include "../platform/wp_thread.h"

void wp_guest_admit(wp_thread_pool *pool) {
  bool alike = pool->node_count == 1 && pool->roster.affinity.policy == WP_AFFINITY_NONE &&
               pool->hooks.worker_start == NULL && pool->hooks.worker_stop == NULL;
  // Where no size was asked for, nobody counts on the last byte of the default.
  size_t stack = pool->stack_size != 0 ? pool->stack_size : wp_thread_default_stack() / 2;
  pool->guest_stack = alike ? stack : SIZE_MAX;
}

static void give_back(wp_worker *worker) {
  wp_thread_pool *pool = worker->pool;
  wp_event_count_give_back(worker->event_count, worker->waiter);
  // As any worker that goes to sleep: a look for all who may have looked for it in the stack meanwhile.
  bool all = wp_pool_is_draining(pool) || wp_atomic_load(&worker->may_leave, wp_seq_cst) != 0;
  if (all) {
    wp_event_count_notify_all(worker->event_count);
  } else if (wp_pool_find_work(pool, worker->node) != WP_NO_NODE) {
    wp_event_count_notify_one(worker->event_count);
  }
}

static wp_worker *borrow(wp_pool_node *node) {
  uint32_t waiter;
  // On a machine of one node a worker's place there is its number among the waiters.
  uint32_t count = wp_atomic_load(&node->worker_count, wp_acquire);  // edge SLOT
  if (!wp_event_count_borrow(&node->event_count, count, &waiter)) return NULL;
  WP_ASSERT(node->workers[waiter]->waiter == waiter);
  return node->workers[waiter];
}

static bool ran_last_on(const wp_worker *worker, int cpu) {
  return wp_atomic_load(&worker->last_cpu, wp_relaxed) == (uint32_t)cpu;
}

/// Whether the next one to be woken ran last on a CPU. A hint.
static bool next_ran_last_on(const wp_pool_node *node, int cpu) {
  uint32_t next = wp_event_count_peek(&node->event_count);
  uint32_t count = wp_atomic_load(&node->worker_count, wp_acquire);  // edge SLOT
  return next < count && ran_last_on(node->workers[next], cpu);
}

/// Borrows such that the worker to be woken next is not one that ran last on the caller's CPU. NULL if that cannot be.
static wp_worker *borrow_nearby(wp_pool_node *node) {
  wp_worker *first = borrow(node);
  if (first == NULL) return NULL;
  int here = sched_getcpu();
  if (!next_ran_last_on(node, here)) return first;
  wp_worker *second = ran_last_on(first, here) ? NULL : borrow(node);
  give_back(first);
  return second;
}

wp_worker *wp_guest_begin(wp_thread_pool *pool) {
  if (wp_thread_remaining_stack() < pool->guest_stack) return NULL;
  if (pool->fork_generation != wp_fork_generation() || wp_pool_is_draining(pool)) return NULL;
  wp_worker *worker = borrow_nearby(&pool->nodes[0]);
  if (worker != NULL) wp_worker_set_current(worker);
  return worker;
}

void wp_guest_end(wp_worker *worker) {
  wp_worker_set_current(NULL);
  give_back(worker);
}
