// What one would write without the engine: a ring behind a lock, which doubles when it is full.
#ifndef MUTEX_RING_H
#define MUTEX_RING_H

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "wp_thread_pool.h"

typedef struct mutex_ring {
  pthread_mutex_t lock;
  wp_job *cells;
  size_t capacity;  // a power of two
  size_t front, back;
} mutex_ring;

static inline void mutex_ring_init(mutex_ring *ring) {
  *ring = (mutex_ring){.capacity = 1024, .cells = (wp_job *)malloc(1024 * sizeof(wp_job))};
  if (ring->cells == NULL || pthread_mutex_init(&ring->lock, NULL) != 0) abort();
}

static inline void mutex_ring_destroy(mutex_ring *ring) {
  pthread_mutex_destroy(&ring->lock);
  free(ring->cells);
}

static inline void mutex_ring_grow(mutex_ring *ring) {
  wp_job *cells = (wp_job *)malloc(2 * ring->capacity * sizeof *cells);
  if (cells == NULL) abort();
  for (size_t i = ring->front; i != ring->back; i++) {
    cells[i & (2 * ring->capacity - 1)] = ring->cells[i & (ring->capacity - 1)];
  }
  free(ring->cells);
  ring->cells = cells;
  ring->capacity *= 2;
}

static inline void mutex_ring_push(mutex_ring *ring, wp_job job) {
  pthread_mutex_lock(&ring->lock);
  if (ring->back - ring->front == ring->capacity) mutex_ring_grow(ring);
  ring->cells[ring->back++ & (ring->capacity - 1)] = job;
  pthread_mutex_unlock(&ring->lock);
}

/// The oldest job, or the newest.
static inline bool mutex_ring_pop(mutex_ring *ring, bool newest, wp_job *job) {
  pthread_mutex_lock(&ring->lock);
  bool found = ring->front != ring->back;
  if (found) *job = ring->cells[(newest ? --ring->back : ring->front++) & (ring->capacity - 1)];
  pthread_mutex_unlock(&ring->lock);
  return found;
}

#endif
