#include "wp_host_handle.h"

#include "../../platform/wp_process.h"
#include "wp_host_affinity.h"
#include "wp_host_bell.h"
#include "wp_host_collect.h"
#include "wp_host_death.h"
#include "wp_host_room.h"
#include "wp_host_share.h"

#include <stdlib.h>
#include <time.h>

static void destroy(wp_process_pool *pool) {
  wp_share_leave(pool);
  void (*hook)(void *) = pool->settings.hooks.destroy;
  void *context = pool->settings.hooks.context;
  wp_task_table_destroy(&pool->tasks);
  wp_breakage_destroy(pool);
  wp_places_destroy(pool);
  wp_room_free(pool);
  free(pool->batch.records);
  pthread_cond_destroy(&pool->changed);
  pthread_mutex_destroy(&pool->lock);
  free(pool);
  if (hook != NULL) hook(context);
}

void wp_handle_drop(wp_process_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  uint32_t left = --pool->users.references;
  pthread_mutex_unlock(&pool->lock);
  if (left == 0) destroy(pool);
}

void wp_process_pool_close(wp_process_pool *pool) {
  if (wp_forked_from(pool)) return;
  pthread_mutex_lock(&pool->lock);
  if (!pool->users.closed) {
    pool->users.closed = true;
    pthread_cond_broadcast(&pool->changed);
    wp_bell_collector(pool);
  }
  pthread_mutex_unlock(&pool->lock);
}

wp_status wp_process_pool_join(wp_process_pool *pool) { return wp_process_pool_join_until(pool, UINT64_MAX); }

wp_status wp_process_pool_join_until(wp_process_pool *pool, uint64_t deadline_ns) {
  if (wp_forked_from(pool)) return WP_FORKED;
  if (wp_calling_back == pool) return WP_WOULD_DEADLOCK;
  struct timespec deadline = {(time_t)(deadline_ns / 1000000000u), (long)(deadline_ns % 1000000000u)};
  int failure = 0;
  pthread_mutex_lock(&pool->lock);
  bool closed = pool->users.closed;
  while (closed && !pool->users.finished && failure == 0) {
    failure = deadline_ns == UINT64_MAX ? pthread_cond_wait(&pool->changed, &pool->lock)
                                        : pthread_cond_timedwait(&pool->changed, &pool->lock, &deadline);
  }
  bool finished = pool->users.finished;
  pid_t thread = pool->users.collector_thread;
  pthread_mutex_unlock(&pool->lock);
  if (!closed) return WP_INVALID_ARGUMENT;
  if (!finished) return WP_TIMED_OUT;
  wp_thread_await_exit(thread);  // so that a host with no other thread can be forked again
  return WP_OK;
}

void wp_process_pool_release(wp_process_pool *pool) {
  if (pool == NULL || wp_forked_from(pool)) return;  // in a child: processes and threads are the parent's
  wp_process_pool_close(pool);
  wp_handle_drop(pool);
}
