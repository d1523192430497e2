// Guests: threads from outside that work as a worker while that sleeps.
//
// A thread that calls a pool from outside, with fork-join work that it is going to wait for, could hand the work to a
// worker and sleep. On an idle machine that costs two wake-ups, of a worker at the start and of the caller at the end, some
// 100 µs in which nothing is done. So it borrows a worker that sleeps: takes it from the event count's stack, uses its
// deque, its index and its place among the victims, and gives it back, still asleep. To the rest of the pool that is a
// worker that was woken, had work and slept again; no more threads run jobs than the pool has workers.
//
//   worker:  asleep in the stack ──borrow──▶ asleep, lent ──give back──▶ asleep in the stack
//   caller:  outside             ──────────▶ guest        ───────────▶ outside
//
// Invariant: a lent worker's thread sleeps until it has been given back and popped again, so all that belongs to the
// worker's thread belongs to the guest. Edge LEND (park/wp_event_count.h) passes it on, both ways.
//
// Refused, so that nobody can tell: pools whose workers differ from any thread (pinned, with a start or stop hook, of
// several nodes), and callers with less stack than a worker. Then, and when no worker sleeps, a worker does it all.
//
// Sources. A caller that takes part: libdispatch's `dispatch_apply`, oneTBB's arenas, ForkJoinPool's external helpers.
// There it comes on top of the workers, or a slot is kept free for it.

#include "wp_worker.h"

#include "../platform/wp_thread.h"

void wp_guest_admit(wp_thread_pool *pool) {
  bool alike = pool->node_count == 1 && pool->roster.affinity.policy == WP_AFFINITY_NONE &&
               pool->hooks.worker_start == NULL && pool->hooks.worker_stop == NULL;
  // Where no size was asked for, nobody counts on the last byte of the default.
  size_t stack = pool->stack_size != 0 ? pool->stack_size : wp_thread_default_stack() / 2;
  pool->guest_stack = alike ? stack : SIZE_MAX;
}

wp_worker *wp_guest_begin(wp_thread_pool *pool) {
  uint32_t waiter;
  if (wp_thread_remaining_stack() < pool->guest_stack) return NULL;
  if (pool->fork_generation != wp_fork_generation() || wp_atomic_load(&pool->closed, wp_seq_cst) != 0) return NULL;
  // On a machine of one node a worker's place there is its number among the waiters.
  wp_pool_node *node = &pool->nodes[0];
  uint32_t count = wp_atomic_load(&node->worker_count, wp_acquire);  // edge SLOT
  if (!wp_event_count_borrow(&node->event_count, count, &waiter)) return NULL;
  wp_worker *worker = node->workers[waiter];
  WP_ASSERT(worker->waiter == waiter);
  wp_worker_set_current(worker);
  return worker;
}

void wp_guest_end(wp_worker *worker) {
  wp_thread_pool *pool = worker->pool;
  wp_worker_set_current(NULL);
  wp_event_count_give_back(worker->event_count, worker->waiter);
  // As any worker that goes to sleep it looks once more: here for all who may have looked for it in the stack meanwhile.
  bool all = wp_atomic_load(&pool->closed, wp_seq_cst) != 0 || wp_atomic_load(&worker->may_leave, wp_seq_cst) != 0;
  if (all) {
    wp_event_count_notify_all(worker->event_count);
  } else if (wp_thread_pool_find_work(pool, worker->node) != WP_NO_NODE) {
    wp_event_count_notify_one(worker->event_count);
  }
}
