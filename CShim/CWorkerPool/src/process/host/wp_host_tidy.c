#include "wp_host_tidy.h"

#include "../../platform/wp_clock.h"
#include "wp_host_bell.h"
#include "wp_host_buffers.h"

/// A buffer is busy while the lock is released, so that no thread finds its argument gone. One at a time, since a
/// thread that submits meanwhile counts on there being another. False when some thread has: the others will be used.
static bool tidy(wp_process_pool *pool, uint32_t worker, wp_buffers *buffers, wp_buffer_at *at) {
  bool idle = true;
  for (uint32_t i = 0; i < buffers->count && idle; i++) {
    pthread_mutex_lock(&pool->lock);
    idle = pool->queue.unfinished == 0;
    uint64_t buffer = idle ? wp_buffers_take_warm(buffers, (uint64_t)1 << i) : 0;
    buffers->busy |= buffer;
    pthread_mutex_unlock(&pool->lock);
    if (buffer == 0) continue;
    wp_buffers_give_back(pool, worker, buffer, at);
    pthread_mutex_lock(&pool->lock);
    buffers->busy &= ~buffer;
    pthread_mutex_unlock(&pool->lock);
  }
  return idle;
}

bool wp_tidy_is_due(wp_process_pool *pool) {
  if (pool->queue.unfinished > 0 || !pool->idle.warm) {
    pool->idle.since = 0;
    return false;
  }
  uint64_t now = wp_clock_now();
  if (pool->idle.since == 0) pool->idle.since = now;
  if (now - pool->idle.since < WP_TIDY_AFTER_NS) return false;
  pool->idle.since = 0;
  pool->idle.warm = false;
  return true;
}

void wp_tidy_now(wp_process_pool *pool) {
  bool idle = true;
  pthread_mutex_lock(&pool->lock);
  uint32_t count = pool->size.mapped;
  pthread_mutex_unlock(&pool->lock);
  for (uint32_t i = 0; i < count && idle; i++) {
    wp_host_worker *worker = &pool->workers[i];
    idle = tidy(pool, i, &worker->arguments, wp_channel_arguments) && tidy(pool, i, &worker->results, wp_channel_results);
  }
  if (idle) return;
  pthread_mutex_lock(&pool->lock);
  pool->idle.warm = true;
  pthread_mutex_unlock(&pool->lock);
}

void wp_tidy_later(wp_process_pool *pool) {
  if (!pool->idle.warm) return;
  pool->idle.since = 0;
  wp_bell_look_by(pool, wp_clock_now() + WP_TIDY_AFTER_NS);
}

uint64_t wp_tidy_deadline(const wp_process_pool *pool) {
  return pool->idle.since == 0 ? UINT64_MAX : pool->idle.since + WP_TIDY_AFTER_NS;
}
