#include "wp_cancelled.h"

#include "../base/wp_assert.h"
#include "../base/wp_atomic.h"

#define COUNTERS 64u

typedef struct wp_cancelled_counter {
  /// Any thread; relaxed, since nothing hangs on it.
  WP_ALIGNED(WP_CACHE_LINE) wp_atomic_u64 count;
} wp_cancelled_counter;

static wp_cancelled_counter counters[COUNTERS];

static wp_atomic_u64 *counter_of(const wp_thread_pool *pool) {
  uint64_t hash = ((uintptr_t)pool / WP_CACHE_LINE) * (uint64_t)0x9e3779b97f4a7c15u;  // Fibonacci hashing
  return &counters[hash >> 58].count;
}

void wp_cancelled_add(const wp_thread_pool *pool, uint64_t count) {
  wp_atomic_fetch_add(counter_of(pool), count, wp_relaxed);
}

void wp_thread_pool_note_cancelled(const wp_thread_pool *pool) { wp_cancelled_add(pool, 1); }

uint64_t wp_cancelled_count(const wp_thread_pool *pool) { return wp_atomic_load(counter_of(pool), wp_relaxed); }

void wp_cancelled_subtract(const wp_thread_pool *pool, uint64_t count) {
  wp_atomic_u64 *counter = counter_of(pool);
  uint64_t before = wp_atomic_load(counter, wp_relaxed);
  while (!wp_atomic_cas_weak(counter, &before, before > count ? before - count : 0, wp_relaxed, wp_relaxed)) continue;
}
