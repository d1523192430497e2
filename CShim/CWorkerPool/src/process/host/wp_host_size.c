#include "wp_host_size.h"

#include "../../platform/wp_clock.h"
#include "wp_host_ends.h"
#include "wp_host_kill.h"
#include "wp_host_slots.h"

/// Takes back what the worker has not begun, newest first, each put in front of the pending: that keeps their order.
static void take_back(wp_process_pool *pool, wp_host_worker *worker) {
  for (uint32_t position = worker->published; position-- != worker->collected;) {
    const wp_sent *sent = wp_sent_at(pool, worker, position);
    if (sent->state == WP_SENT_REVOKED || !wp_slots_revoke(pool, sent->task)) continue;
    wp_task_put_back(pool, worker, position);
  }
}

/// Whether it may be told to leave: it starts, or it has nothing left to do.
static bool may_leave(const wp_host_worker *worker) {
  if (worker->leaving || worker->condemned) return false;
  if (worker->state == WP_WORKER_SPAWNING) return true;  // and finds the order when it begins
  return worker->state == WP_WORKER_LIVE && worker->published == worker->collected;
}

static void end_unwanted(wp_process_pool *pool, uint32_t index, wp_wakes *wakes) {
  wp_host_worker *worker = &pool->workers[index];
  if (worker->state == WP_WORKER_ABSENT) {
    worker->starts = (wp_attempts){0, 0};
    return;
  }
  if (worker->state == WP_WORKER_LIVE && !worker->leaving) take_back(pool, worker);
  if (may_leave(worker)) {
    worker->leaving = true;
    worker->leave_by = wp_clock_now() + WP_LEAVE_TIMEOUT_NS;
    wp_bell_worker(worker, true, wakes);
  } else if (worker->leaving && !worker->condemned && worker->pidfd >= 0 && wp_clock_now() >= worker->leave_by) {
    wp_kill_worker(pool, index);
  }
}

void wp_size_follow(wp_process_pool *pool, wp_wakes *wakes) {
  uint32_t wanted = wp_atomic_load(&pool->size.wanted, wp_relaxed);
  if (pool->size.bound < wanted) pool->size.bound = wanted;
  for (uint32_t i = wanted; i < pool->size.bound; i++) end_unwanted(pool, i, wakes);
  while (pool->size.bound > wanted && pool->workers[pool->size.bound - 1].state == WP_WORKER_ABSENT) pool->size.bound--;
}

bool wp_size_is_due(const wp_process_pool *pool) {
  for (uint32_t i = wp_atomic_load(&pool->size.wanted, wp_relaxed); i < pool->size.bound; i++) {
    if (may_leave(&pool->workers[i])) return true;
  }
  return false;
}

uint64_t wp_size_deadline(const wp_process_pool *pool) {
  uint64_t deadline = UINT64_MAX;
  for (uint32_t i = wp_atomic_load(&pool->size.wanted, wp_relaxed); i < pool->size.bound; i++) {
    const wp_host_worker *worker = &pool->workers[i];
    bool waits = worker->leaving && !worker->condemned && worker->pidfd >= 0;
    if (waits && worker->leave_by < deadline) deadline = worker->leave_by;
  }
  return deadline;
}
