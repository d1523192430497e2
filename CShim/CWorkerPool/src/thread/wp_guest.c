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
// Which worker. The kernel wakes a thread on the CPU where it ran last unless it finds an idle one near, and a virtual CPU
// that is halted it takes for a busy one. A helper that ran last where the caller runs now would therefore stand behind
// the caller until that has done all the work, and so again the next time. So the caller borrows the worker that was on its
// own CPU, and leaves one to be woken that was elsewhere; where there is none it does sleep, which lets the scheduler
// spread the workers.
//
// Sources. A caller that takes part: libdispatch's `dispatch_apply`, oneTBB's arenas, ForkJoinPool's external helpers.
// There it comes on top of the workers, or a slot is kept free for it.

#include <sched.h>

#include "wp_worker.h"

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
  bool all = wp_atomic_load(&pool->closed, wp_seq_cst) != 0 || wp_atomic_load(&worker->may_leave, wp_seq_cst) != 0;
  if (all) {
    wp_event_count_notify_all(worker->event_count);
  } else if (wp_thread_pool_find_work(pool, worker->node) != WP_NO_NODE) {
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
  if (pool->fork_generation != wp_fork_generation() || wp_atomic_load(&pool->closed, wp_seq_cst) != 0) return NULL;
  wp_worker *worker = borrow_nearby(&pool->nodes[0]);
  if (worker != NULL) wp_worker_set_current(worker);
  return worker;
}

void wp_guest_end(wp_worker *worker) {
  wp_worker_set_current(NULL);
  give_back(worker);
}
