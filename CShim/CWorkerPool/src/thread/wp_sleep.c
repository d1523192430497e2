#include "wp_sleep.h"

#include "wp_look.h"
#include "wp_node.h"
#include "wp_threads.h"

#include "../platform/wp_clock.h"

#include <sched.h>

// A worker's states between two jobs:
//
//   RUNNING ──finds nothing──▶ SEARCHING ──▶ PREPARED ──▶ ASLEEP
//       ▲                        │  ▲           │            │
//       └──────── finds work ────┘  └─ woken ───┴────────────┘
//       draining and nothing left, in PREPARED: out of the stack, then it ends
//
// At most one worker of a node is SEARCHING (park/wp_event_count.h, I2); it spins for `spin_ns`.

// Jobs from outside are looked for this often per clock reading while spinning (a reading costs about 20 ns).
#define LOOKS_PER_CLOCK 8
// Pauses between two looks: the look itself touches lines that submitters write.
#define PAUSES_PER_LOOK 4

/// Passes the wake on if there is more work than this worker took (I2): to the node that has it, the nearest first.
static void pass_on(wp_worker *worker) {
  uint32_t node = wp_pool_find_work(worker->pool, worker->node);
  if (node != WP_NO_NODE) wp_event_count_notify_one(&worker->pool->nodes[node].event_count);
}

/// What a worker owes that stops waiting: to end its search, and in any case the wake of those submitters who saw it search,
/// perhaps before prepare ended that search, and stayed silent.
static void end_wait(wp_worker *worker, bool searching) {
  if (searching) wp_event_count_end_search(worker->event_count);
  pass_on(worker);
}

/// Spins as the searcher for the pool's budget. True with a job.
static bool spin(wp_worker *worker, wp_job *job) {
  wp_thread_pool *pool = worker->pool;
  uint64_t deadline = wp_clock_now() + pool->spin_ns;
  do {
    for (int look = 0; look < LOOKS_PER_CLOCK; look++) {
      if (wp_pool_find_work(pool, worker->node) != WP_NO_NODE && wp_look_around(worker, job)) return true;
      for (int i = 0; i < PAUSES_PER_LOOK; i++) wp_cpu_relax();
    }
  } while (wp_clock_now() < deadline && !wp_pool_is_draining(pool));
  return false;
}

/// Takes a prepared worker out of the stack. Returns whether it searches now, since somebody woke it for work.
static bool leave_stack(wp_worker *worker) {
  if (wp_event_count_retract(worker->event_count, worker->waiter)) return false;
  // Others stand above it: they are woken with it, and come back. Or it was popped already.
  wp_event_count_notify_all(worker->event_count);
  return wp_event_count_wait(worker->event_count, worker->waiter) == WP_WAKE_SEARCHING;
}

/// The same for a worker that may have to leave. A spare sleeps for some time first. If it is one too many then, it leaves
/// the stack; else it sleeps on, and whoever makes it one too many wakes it.
static bool sleep_expendable(wp_worker *worker) {
  wp_event_count *event_count = worker->event_count;
  if (worker->is_spare) {
    uint64_t deadline = wp_clock_now() + WP_SPARE_ASLEEP_NS;
    wp_wake wake = wp_event_count_wait_until(event_count, worker->waiter, deadline);
    if (wake != WP_WAKE_TIMED_OUT) return wake == WP_WAKE_SEARCHING;
  }
  if (!wp_threads_linger(worker)) return leave_stack(worker);
  wp_wake wake = wp_event_count_wait(event_count, worker->waiter);
  wp_threads_end_lingering(worker);
  return wake == WP_WAKE_SEARCHING;
}

/// Sleeps in the stack until woken. Returns whether the worker searches now.
static bool sleep_in_stack(wp_worker *worker) {
  if (wp_atomic_load(&worker->may_leave, wp_relaxed) != 0) return sleep_expendable(worker);
  return wp_event_count_wait(worker->event_count, worker->waiter) == WP_WAKE_SEARCHING;
}

/// For a prepared worker that has seen no work in a draining pool.
static wp_sleep_end end_drained(wp_worker *worker, wp_job *job) {
  bool searching = leave_stack(worker);
  // Perhaps it was woken for work: nobody else looks for that.
  bool found = wp_look_in_order(worker, job);
  if (found || searching) end_wait(worker, searching);
  return found ? WP_SLEEP_JOB : WP_SLEEP_DRAINED;
}

wp_sleep_end wp_sleep_for_job(wp_worker *worker, wp_job *job) {
  wp_thread_pool *pool = worker->pool;
  wp_event_count *event_count = worker->event_count;
  bool searching = pool->spin_ns != 0 && wp_event_count_begin_search(event_count);
  if (searching && spin(worker, job)) {
    end_wait(worker, true);
    return WP_SLEEP_JOB;
  }
  for (;;) {
    wp_atomic_store(&worker->last_cpu, (uint32_t)sched_getcpu(), wp_relaxed);
    // Below this worker nobody would find the one that is too many. Where none may leave, two would wake each other for ever.
    if (wp_threads_have_surplus(worker)) wp_event_count_notify_expendable(event_count);
    wp_event_count_prepare(event_count, worker->waiter, searching);
    // Before the look: what was submitted between a look and the closing would be left behind.
    bool draining = wp_pool_is_draining(pool);
    bool sees = wp_look_sees_work(worker);
    if (!sees && draining) return end_drained(worker, job);
    searching = false;
    if (!sees || !wp_event_count_retract(event_count, worker->waiter)) {
      // With work in sight others stand above, so one of them gets the wake; or this worker was popped already.
      if (sees) wp_event_count_notify_one(event_count);
      searching = sleep_in_stack(worker);
      if (wp_atomic_load(&worker->may_leave, wp_relaxed) != 0) {
        end_wait(worker, searching);
        return WP_SLEEP_LOOK_AGAIN;
      }
    }
    // A guest may have left something in the own deque.
    if (wp_look_in_order(worker, job)) {
      end_wait(worker, searching);
      return WP_SLEEP_JOB;
    }
  }
}
