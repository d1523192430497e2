// What a pool can be asked.
#include "wp_host_state.h"

#include "../shared/wp_process_output.h"
#include "wp_host_room.h"

uint32_t wp_process_pool_worker_count(const wp_process_pool *pool) { return wp_atomic_load(&pool->size.wanted, wp_relaxed); }
uint32_t wp_process_pool_capacity(const wp_process_pool *pool) { return pool->geometry.capacity; }
wp_start_method wp_process_pool_start_method(const wp_process_pool *pool) { return wp_pool_method(pool); }

size_t wp_process_pool_worker_pids(wp_process_pool *pool, int32_t *pids, size_t capacity) {
  if (wp_forked_from(pool)) return 0;
  size_t count = 0;
  pthread_mutex_lock(&pool->lock);
  for (uint32_t i = 0; i < pool->size.bound; i++) {
    const wp_host_worker *worker = &pool->workers[i];
    if (worker->process == 0 || worker->state == WP_WORKER_ENDED) continue;
    if (count < capacity) pids[count] = worker->process;
    count++;
  }
  pthread_mutex_unlock(&pool->lock);
  return count;
}

wp_memory_limit wp_process_pool_memory_limit(wp_process_pool *pool) {
  if (wp_forked_from(pool)) return WP_MEMORY_UNLIMITED;
  pthread_mutex_lock(&pool->lock);
  wp_memory_limit limit = pool->settings.memory_limit;
  for (uint32_t i = 0; limit == WP_MEMORY_CGROUP && pool->memory.head != NULL && i < pool->size.bound; i++) {
    if (pool->workers[i].state == WP_WORKER_ABSENT) continue;
    const wp_channel_status *status = wp_channel_get_status(&pool->workers[i].channel);
    // The worker's word, which decides no more than what is said here.
    if (wp_atomic_load(&status->outside_cgroup, wp_relaxed) != 0) limit = WP_MEMORY_DATA;
  }
  pthread_mutex_unlock(&pool->lock);
  return limit;
}

int32_t wp_process_pool_template_pid(wp_process_pool *pool) {
  if (wp_forked_from(pool)) return 0;
  pthread_mutex_lock(&pool->lock);
  pid_t process = pool->forker.process;
  pthread_mutex_unlock(&pool->lock);
  return process;
}

wp_status wp_process_pool_intern(wp_process_pool *pool, const void *name, size_t length, uint32_t *index) {
  if (wp_forked_from(pool)) return WP_FORKED;
  pthread_mutex_lock(&pool->lock);
  wp_status status = WP_OK;
  if (pool->memory.head == NULL) status = pool->life.phase == WP_POOL_BROKEN ? WP_BROKEN : WP_SHUT_DOWN;
  else status = wp_pool_intern(pool->memory.head, name, length, index);
  pthread_mutex_unlock(&pool->lock);
  return status;
}

size_t wp_process_pool_output(wp_process_pool *pool, int32_t process, uint32_t stream, void *buffer, size_t capacity) {
  if (wp_forked_from(pool) || stream >= WP_STREAM_COUNT || process <= 0) return 0;
  size_t length = 0;
  pthread_mutex_lock(&pool->lock);
  size_t limit = pool->geometry.output_limit[stream];
  for (uint32_t i = 0; limit > 0 && pool->memory.head != NULL && i < pool->size.bound; i++) {
    const wp_host_worker *worker = &pool->workers[i];
    if (worker->process != process || worker->state == WP_WORKER_ENDED) continue;
    length = wp_output_tail(wp_room_output(pool, worker, stream), limit, (unsigned char *)buffer, capacity);
    break;
  }
  pthread_mutex_unlock(&pool->lock);
  return length;
}

const wp_process_breakage *wp_process_pool_breakage(wp_process_pool *pool) {
  if (wp_forked_from(pool)) return NULL;
  pthread_mutex_lock(&pool->lock);
  // Constant once the pool is broken.
  const wp_process_breakage *breakage = pool->life.broken_reason != NULL ? &pool->life.breakage : NULL;
  pthread_mutex_unlock(&pool->lock);
  return breakage;
}

wp_process_task_counts wp_process_pool_task_counts(wp_process_pool *pool) {
  wp_process_task_counts counts = {0, 0, 0};
  if (wp_forked_from(pool)) return counts;
  pthread_mutex_lock(&pool->lock);
  counts.unfinished = pool->queue.unfinished;
  counts.discarded = pool->queue.discarded;
  counts.terminated = pool->queue.terminated;
  pthread_mutex_unlock(&pool->lock);
  return counts;
}
