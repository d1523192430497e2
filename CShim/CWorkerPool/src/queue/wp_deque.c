#include "wp_deque.h"

#include <stdlib.h>

WP_STATIC_ASSERT((WP_DEQUE_MIN_CELLS & (WP_DEQUE_MIN_CELLS - 1)) == 0, "positions are masked");
WP_STATIC_ASSERT((WP_DEQUE_MAX_CELLS & (WP_DEQUE_MAX_CELLS - 1)) == 0, "positions are masked");
WP_STATIC_ASSERT(sizeof(wp_ring) % sizeof(wp_deque_cell) == 0, "cells follow the header");

static wp_ring *ring_create(int64_t capacity, wp_ring *outgrown) {
  wp_ring *ring = (wp_ring *)malloc(sizeof(wp_ring) + (size_t)capacity * sizeof(wp_deque_cell));
  if (ring == NULL) return NULL;
  ring->capacity = capacity;
  ring->outgrown = outgrown;
  return ring;
}

/// What a deque has before its first push. No cell of it is ever looked at: it is always empty.
static wp_ring no_ring;

void wp_deque_init(wp_deque *deque) {
  wp_atomic_init(&deque->top, (int64_t)0);
  wp_atomic_init(&deque->bottom, (int64_t)0);
  wp_atomic_init(&deque->ring, (uintptr_t)&no_ring);
}

void wp_deque_destroy(wp_deque *deque) {
  wp_ring *ring = (wp_ring *)wp_atomic_load(&deque->ring, wp_relaxed);
  while (ring != &no_ring) {
    wp_ring *outgrown = ring->outgrown;
    free(ring);
    ring = outgrown;
  }
}

/// A ring with room for `needed` jobs, or the largest there may be.
static wp_ring *grow(wp_deque *deque, wp_ring *ring, int64_t top, int64_t bottom, int64_t needed) {
  int64_t capacity = ring->capacity == 0 ? WP_DEQUE_MIN_CELLS : ring->capacity;
  while (capacity < needed && capacity < WP_DEQUE_MAX_CELLS) capacity *= 2;
  if (capacity == ring->capacity) return ring;
  wp_ring *larger = ring_create(capacity, ring);
  if (larger == NULL) return ring;
  for (int64_t i = top; i < bottom; i++) wp_deque_cell_write(wp_ring_cell(larger, i), wp_deque_cell_read(wp_ring_cell(ring, i)));
  wp_atomic_store(&deque->ring, (uintptr_t)larger, wp_release);  // edge GROW
  return larger;
}

bool wp_deque_reserve(wp_deque *deque) {
  wp_ring *ring = (wp_ring *)wp_atomic_load(&deque->ring, wp_relaxed);
  int64_t bottom = wp_atomic_load(&deque->bottom, wp_relaxed);
  return ring != &no_ring || grow(deque, ring, bottom, bottom, 1) != &no_ring;
}

/// Pushes as many of the first jobs as there is room for, turned round or not.
__attribute__((always_inline)) static inline size_t push(wp_deque *deque, const wp_job *jobs, size_t count,
                                                         bool reversed) {
  int64_t bottom = wp_atomic_load(&deque->bottom, wp_relaxed);
  // Acquire: a cell is written again only after the thief that emptied it has moved `top`.
  int64_t top = wp_atomic_load(&deque->top, wp_acquire);
  wp_ring *ring = (wp_ring *)wp_atomic_load(&deque->ring, wp_relaxed);
  int64_t needed = bottom - top + (int64_t)count;
  if (needed > ring->capacity) ring = grow(deque, ring, top, bottom, needed);
  int64_t room = ring->capacity - (bottom - top);
  int64_t pushed = (int64_t)count < room ? (int64_t)count : room;
  for (int64_t i = 0; i < pushed; i++) {
    wp_deque_cell_write(wp_ring_cell(ring, bottom + i), jobs[reversed ? pushed - 1 - i : i]);
  }
  if (pushed > 0) wp_atomic_store(&deque->bottom, bottom + pushed, wp_seq_cst);  // edges PUBLISH and ANNOUNCE
  return (size_t)pushed;
}

size_t wp_deque_push(wp_deque *deque, const wp_job *jobs, size_t count) { return push(deque, jobs, count, false); }

size_t wp_deque_push_reversed(wp_deque *deque, const wp_job *jobs, size_t count) {
  return push(deque, jobs, count, true);
}

static bool passes(wp_job job, const wp_job_filter *filter) {
  return (job.code & filter->mask) == filter->value && (filter->argument == NULL || filter->argument == job.argument);
}

bool wp_deque_take_if(wp_deque *deque, const wp_job_filter *filter, wp_job *job) {
  int64_t bottom = wp_atomic_load(&deque->bottom, wp_relaxed);
  wp_ring *ring = (wp_ring *)wp_atomic_load(&deque->ring, wp_relaxed);
  // The owner alone writes cells: what stands here is what it pushed last, stolen or not.
  if (bottom == 0 || !passes(wp_deque_cell_read(wp_ring_cell(ring, bottom - 1)), filter)) return false;
  return wp_deque_take(deque, job);
}

wp_steal wp_deque_steal(wp_deque *deque, wp_job *job) {
  static const wp_job_filter any = {0, 0, NULL};
  return wp_deque_steal_if(deque, &any, INT64_MIN, job);
}

wp_steal wp_deque_steal_if(wp_deque *deque, const wp_job_filter *filter, int64_t lowest, wp_job *job) {
  int64_t top = wp_atomic_load(&deque->top, wp_seq_cst);        // edge LAST
  int64_t bottom = wp_atomic_load(&deque->bottom, wp_seq_cst);  // edges LAST and PUBLISH
  if (top >= bottom || top < lowest) return WP_STEAL_EMPTY;
  wp_ring *ring = (wp_ring *)wp_atomic_load(&deque->ring, wp_acquire);  // edge GROW
  *job = wp_deque_cell_read(wp_ring_cell(ring, top));
  if (!passes(*job, filter)) return WP_STEAL_EMPTY;
  bool taken = wp_atomic_cas_strong(&deque->top, &top, top + 1, wp_seq_cst, wp_relaxed);
  return taken ? WP_STEAL_TAKEN : WP_STEAL_LOST;
}

size_t wp_deque_count(wp_deque *deque) {
  int64_t count = wp_atomic_load(&deque->bottom, wp_relaxed) - wp_atomic_load(&deque->top, wp_relaxed);
  return count > 0 ? (size_t)count : 0;
}

size_t wp_deque_room(wp_deque *deque) {
  int64_t used = wp_deque_position(deque) - wp_atomic_load(&deque->top, wp_acquire);
  int64_t capacity = ((wp_ring *)wp_atomic_load(&deque->ring, wp_relaxed))->capacity;
  return capacity > used ? (size_t)(capacity - used) : 0;
}

bool wp_deque_is_empty(wp_deque *deque) {
  int64_t top = wp_atomic_load(&deque->top, wp_seq_cst);        // edge ANNOUNCE
  int64_t bottom = wp_atomic_load(&deque->bottom, wp_seq_cst);  // edge ANNOUNCE
  return top >= bottom;
}
