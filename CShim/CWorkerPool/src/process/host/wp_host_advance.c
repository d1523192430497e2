#include "wp_host_advance.h"

#include "../../platform/wp_clock.h"
#include "wp_host_failure.h"
#include "wp_host_size.h"
#include "wp_host_spawn.h"
#include "wp_host_supervise.h"
#include "wp_host_tidy.h"
#include "wp_host_workers.h"

static uint64_t smaller(uint64_t first, uint64_t second) { return first < second ? first : second; }

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

void wp_advance(wp_process_pool *pool, wp_wakes *wakes) {
  bool waiting = pool->forker.pidfd >= 0 && !pool->forker.ready;
  if (waiting && wp_clock_now() > pool->forker.deadline) {
    wp_failure_start(pool, WP_TIMED_OUT, 0, NULL, "the template process did not answer within 60 seconds");
  }
  wp_workers_see_silence(pool);
  wp_supervise_advance(pool);
  // The notices come first: the thread that makes the pool may count on that.
  bool said = !pool->notices.floats && !pool->notices.elsewhere;
  if (pool->life.phase == WP_POOL_STARTING && said && all_live(pool)) {
    pool->life.phase = WP_POOL_RUNNING;
    pthread_cond_broadcast(&pool->changed);
  } else if (pool->life.phase == WP_POOL_RUNNING && pool->users.closed && pool->queue.unfinished == 0) {
    order_to_leave(pool, wakes);
  } else if (pool->life.phase == WP_POOL_RUNNING) {
    wp_size_follow(pool, wakes);
  }
  wp_spawn_what_is_due(pool);
}

uint64_t wp_advance_deadline(const wp_process_pool *pool) {
  uint64_t deadline = UINT64_MAX;
  if (pool->forker.pidfd >= 0 && !pool->forker.ready) deadline = pool->forker.deadline;
  if (pool->life.phase == WP_POOL_LEAVING && pool->life.leave_by < deadline) deadline = pool->life.leave_by;
  for (uint32_t i = 0; i < pool->size.bound; i++) {
    const wp_host_worker *worker = &pool->workers[i];
    if (worker->report_by != 0 && worker->report_by < deadline) deadline = worker->report_by;
  }
  deadline = smaller(deadline, wp_supervise_deadline(pool));
  deadline = smaller(deadline, wp_spawn_deadline(pool));
  if (pool->life.phase != WP_POOL_RUNNING) return deadline;
  if (pool->forker.pidfd < 0) return smaller(deadline, pool->forker.starts.next_at);
  return smaller(deadline, smaller(wp_tidy_deadline(pool), wp_size_deadline(pool)));
}
