#include "wp_host_failure.h"

#include "../../base/wp_error.h"
#include "../../platform/wp_clock.h"
#include "../shared/wp_process_message.h"
#include "wp_host_death.h"
#include "wp_host_ends.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

void wp_failure_start(wp_process_pool *pool, wp_status status, int number, const char *call, const char *rule) {
  if (pool->life.phase != WP_POOL_STARTING) return;
  wp_fail(&pool->life.start_error, status, number, call, rule);
  pool->life.phase = WP_POOL_FAILED;
}

void wp_failure_break(wp_process_pool *pool, const char *reason) {
  if (pool->life.phase != WP_POOL_RUNNING) return;
  pool->life.phase = WP_POOL_BROKEN;
  pool->life.broken_reason = reason;
  pool->life.breakage.reason = reason;
  wp_task_loss loss;
  memset(&loss, 0, sizeof loss);
  loss.end = WP_TASK_POOL_BROKEN;
  loss.reason = reason;
  while (pool->tasks.pending.count > 0) {
    uint32_t index = pool->tasks.pending.first;
    wp_task_unlink(&pool->tasks, &pool->tasks.pending, index);
    wp_task_lose(pool, index, &loss);
  }
}

/// Why a worker that was not ready is gone, if that is final; NULL when it may have been bad luck.
static const char *final_reason(const wp_host_worker *worker, uint32_t call) {
  if (call == WP_CALL_INITIALIZER) return "a worker's initializer failed";
  const wp_channel_status *status = wp_channel_get_status(&worker->channel);
  bool killed = WIFSIGNALED(worker->wait_status) && WTERMSIG(worker->wait_status) == SIGKILL;
  if (call != WP_CALL_NONE || killed || wp_atomic_load(&status->initializing, wp_relaxed) == 0) return NULL;
  return "a worker ended in its initializer";
}

static bool some_live(const wp_process_pool *pool) {
  for (uint32_t i = 0; i < pool->size.bound; i++) {
    const wp_host_worker *worker = &pool->workers[i];
    if (worker->state == WP_WORKER_LIVE && !worker->condemned && wp_is_wanted(pool, i)) return true;
  }
  return false;
}

void wp_failure_worker(wp_process_pool *pool, uint32_t index, uint32_t call, int number) {
  wp_host_worker *worker = &pool->workers[index];
  const char *final = final_reason(worker, call);
  const char *reason = "a worker ended before it was ready, three times in a row";
  if (final != NULL) reason = final;
  else if (worker->out_of_memory) reason = "a worker passed its limit of memory before it was ready";
  else if (pool->life.phase == WP_POOL_STARTING) reason = "a worker ended before it was ready";
  else if (call == WP_CALL_FORK || call == WP_CALL_PIPE) reason = "no worker could be forked, three times in a row";
  worker->start_failures++;
  // A pool that got by without this worker still does. A worker that was turned away for want of a descriptor costs no task.
  bool dispensable = (worker->added || call == WP_CALL_RECVMSG) && pool->life.phase == WP_POOL_RUNNING && some_live(pool);
  bool breaks = final != NULL || (worker->start_failures >= WP_START_ATTEMPTS && !dispensable);
  if (pool->life.phase == WP_POOL_STARTING || (pool->life.phase == WP_POOL_RUNNING && breaks)) {
    wp_breakage_note(pool, worker, reason);
  }
  const char *rule = wp_call_rule(call);
  if (rule != NULL) wp_failure_start(pool, WP_INVALID_ARGUMENT, 0, wp_call_name(call), rule);
  else if (call == WP_CALL_NONE || final != NULL) wp_failure_start(pool, WP_BROKEN, 0, NULL, reason);
  else wp_failure_start(pool, WP_SYSTEM_CALL_FAILED, number, wp_call_name(call), NULL);
  if (breaks) wp_failure_break(pool, reason);
  // 10 ms, then 100, then a second: time for a passing shortage of processes to pass.
  uint64_t pause = worker->start_failures == 1 ? 10000000u : 100000000u;
  if (worker->start_failures > WP_START_ATTEMPTS) pause = 1000000000u;
  worker->retry_at = wp_clock_now() + pause;
}
