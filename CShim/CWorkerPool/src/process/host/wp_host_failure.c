#include "wp_host_failure.h"

#include "../../base/wp_error.h"
#include "wp_host_bell.h"
#include "wp_host_death.h"
#include "wp_host_ends.h"

#include <string.h>

void wp_failure_start(wp_process_pool *pool, wp_status status, int number, const char *call, const char *rule) {
  if (pool->life.phase != WP_POOL_STARTING) return;
  wp_fail(&pool->life.start_error, status, number, call, rule);
  pool->life.phase = WP_POOL_FAILED;
}

void wp_failure_break(wp_process_pool *pool, const char *reason) {
  if (pool->life.phase != WP_POOL_RUNNING) return;
  pool->life.phase = WP_POOL_BROKEN;
  pool->life.broken_reason = reason;
  // What was noted of a start that failed is not about this, unless it is the reason.
  if (pool->life.breakage.reason != reason) wp_breakage_destroy(pool);
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
  wp_bell_collector(pool);  // this may be a leader, which tells nobody
}
