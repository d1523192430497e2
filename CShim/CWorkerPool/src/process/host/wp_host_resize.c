// Changing how many workers a pool wants.
#include "wp_host_state.h"

#include "../../base/wp_error.h"
#include "wp_host_affinity.h"
#include "wp_host_bell.h"
#include "wp_host_room.h"
#include "wp_host_slots.h"

#include <errno.h>
#include <stdlib.h>

/// Under the lock.
static wp_status check_open(const wp_process_pool *pool, wp_error *error) {
  if (pool->users.closed) return wp_fail(error, WP_SHUT_DOWN, 0, NULL, "the pool was shut down");
  if (pool->life.phase != WP_POOL_RUNNING) return wp_fail(error, WP_BROKEN, 0, NULL, pool->life.broken_reason);
  return WP_OK;
}

/// Under the lock, which it lets go of between two channels: hundreds of them take a while, and nobody else waits for that.
static wp_status make_room(wp_process_pool *pool, uint32_t count, wp_error *error) {
  wp_status status = check_open(pool, error);
  while (status == WP_OK && pool->size.mapped < count) {
    status = wp_room_map(pool, pool->size.mapped + 1, error);
    pthread_mutex_unlock(&pool->lock);
    pthread_mutex_lock(&pool->lock);
    if (status == WP_OK) status = check_open(pool, error);
  }
  return status;
}

/// Under the lock.
static wp_status set_size(wp_process_pool *pool, uint32_t count, const wp_place *places, wp_error *error) {
  wp_status status = make_room(pool, count, error);
  if (status != WP_OK) return status;
  uint32_t before = wp_atomic_load(&pool->size.wanted, wp_relaxed);
  wp_atomic_store(&pool->size.wanted, count, wp_relaxed);
  for (uint32_t i = before; i < count; i++) {
    wp_places_assign(pool, i, places);
    wp_slots_list(pool, i);  // one that is still there
  }
  for (uint32_t i = count; i < before; i++) wp_slots_unlist(pool, i);
  if (count != before) wp_bell_collector(pool);
  return WP_OK;
}

wp_status wp_process_pool_resize(wp_process_pool *pool, uint32_t worker_count, wp_error *error) {
  if (wp_forked_from(pool)) return wp_fail(error, WP_FORKED, 0, NULL, "the pool is the parent process's");
  uint32_t count = worker_count;
  wp_place *places = NULL;
  if (count <= pool->geometry.capacity) {
    wp_status status = wp_places_find(&pool->settings.affinity, true, &count, &places, error);
    if (status != WP_OK) return status;
    if (worker_count == 0 && count > pool->geometry.capacity) count = pool->geometry.capacity;
  }
  if (count > pool->geometry.capacity) {
    const char *rule = count > WP_PROCESS_POOL_MAX_WORKERS ? "at most 1024 worker processes"
                                                           : "more than a file may hold under RLIMIT_FSIZE";
    return wp_fail(error, WP_INVALID_ARGUMENT, 0, "worker_count", rule);
  }
  pthread_mutex_lock(&pool->lock);
  wp_status status = set_size(pool, count, places, error);
  pthread_mutex_unlock(&pool->lock);
  free(places);
  return status;
}
