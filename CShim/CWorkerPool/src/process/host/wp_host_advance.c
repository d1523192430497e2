#include "wp_host_advance.h"

#include "../../platform/wp_clock.h"
#include "wp_host_failure.h"
#include "wp_host_size.h"
#include "wp_host_tidy.h"
#include "wp_host_workers.h"

static bool all_live(const wp_process_pool *pool) {
  for (uint32_t i = 0; i < pool->size.bound; i++) {
    if (pool->workers[i].state != WP_WORKER_LIVE) return false;
  }
  return true;
}

/// No task is left: each worker may go. One that is still starting finds the order when it begins.
static void order_to_leave(wp_process_pool *pool, wp_wakes *wakes) {
  pool->life.phase = WP_POOL_LEAVING;
  pool->life.leave_by = wp_clock_now() + WP_LEAVE_TIMEOUT_NS;
  for (uint32_t i = 0; i < pool->size.bound; i++) {
    wp_host_worker *worker = &pool->workers[i];
    if (worker->state != WP_WORKER_LIVE && worker->state != WP_WORKER_SPAWNING) continue;
    wp_bell_worker(worker, true, wakes);
  }
}

static void start_what_is_due(wp_process_pool *pool) {
  for (uint32_t i = 0; i < pool->size.bound; i++) {
    const wp_host_worker *worker = &pool->workers[i];
    if (worker->state != WP_WORKER_ABSENT || !wp_is_wanted(pool, i)) continue;
    if (worker->retry_at == 0 || worker->retry_at <= wp_clock_now()) wp_workers_spawn(pool, i);
  }
}

void wp_advance(wp_process_pool *pool, wp_wakes *wakes) {
  bool waiting = pool->forker.pidfd >= 0 && !pool->forker.ready;
  if (waiting && wp_clock_now() > pool->forker.deadline) {
    wp_failure_start(pool, WP_TIMED_OUT, 0, NULL, "the template process did not answer within 60 seconds");
    wp_failure_break(pool, "a new template process did not answer within 60 seconds");
  }
  wp_workers_see_silence(pool);
  // The notices come first: the thread that makes the pool may count on that.
  bool said = !pool->notices.floats && !pool->notices.elsewhere;
  if (pool->life.phase == WP_POOL_STARTING && said && all_live(pool)) {
    pool->life.phase = WP_POOL_RUNNING;
    pthread_cond_broadcast(&pool->changed);
  } else if (pool->life.phase == WP_POOL_RUNNING && pool->users.closed && pool->queue.unfinished == 0) {
    order_to_leave(pool, wakes);
  } else if (pool->life.phase == WP_POOL_RUNNING) {
    wp_size_follow(pool, wakes);
    if (pool->forker.ready) start_what_is_due(pool);
  }
}

uint64_t wp_advance_deadline(const wp_process_pool *pool) {
  uint64_t deadline = UINT64_MAX;
  if (pool->forker.pidfd >= 0 && !pool->forker.ready) deadline = pool->forker.deadline;
  if (pool->life.phase == WP_POOL_LEAVING && pool->life.leave_by < deadline) deadline = pool->life.leave_by;
  for (uint32_t i = 0; i < pool->size.bound; i++) {
    const wp_host_worker *worker = &pool->workers[i];
    if (worker->report_by != 0 && worker->report_by < deadline) deadline = worker->report_by;
  }
  if (pool->life.phase != WP_POOL_RUNNING || !pool->forker.ready) return deadline;
  uint64_t tidying = wp_tidy_deadline(pool);
  if (tidying < deadline) deadline = tidying;
  uint64_t leaving = wp_size_deadline(pool);
  if (leaving < deadline) deadline = leaving;
  for (uint32_t i = 0; i < pool->size.bound; i++) {
    const wp_host_worker *worker = &pool->workers[i];
    if (worker->state != WP_WORKER_ABSENT || !wp_is_wanted(pool, i)) continue;
    if (worker->retry_at < deadline) deadline = worker->retry_at;
  }
  return deadline;
}
