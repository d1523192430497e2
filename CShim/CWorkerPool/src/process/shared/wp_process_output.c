#include "wp_process_output.h"

#include <string.h>

static size_t ring_size(size_t limit) { return limit + WP_OUTPUT_CHUNK; }

wp_output_ring *wp_output_ring_at(void *base, const wp_geometry *geometry, uint32_t worker, uint32_t stream) {
  if (geometry->output_limit[stream] == 0) return NULL;
  size_t offset = worker * geometry->output_part + (stream == WP_STREAM_OUTPUT ? 0 : geometry->output_stream);
  return (wp_output_ring *)(void *)((unsigned char *)base + offset);
}

void wp_output_clear(wp_output_ring *ring) { wp_atomic_store(&ring->total, 0u, wp_release); }

void wp_output_put(wp_output_ring *ring, size_t limit, const unsigned char *bytes, size_t length) {
  unsigned char *room = (unsigned char *)(ring + 1);
  uint64_t total = wp_atomic_load(&ring->total, wp_relaxed);
  size_t size = ring_size(limit);
  size_t at = (size_t)(total % size);
  size_t first = length < size - at ? length : size - at;
  memcpy(room + at, bytes, first);
  memcpy(room, bytes + first, length - first);
  wp_atomic_store(&ring->total, total + length, wp_release);  // edge "output"
}

size_t wp_output_tail(const wp_output_ring *ring, size_t limit, unsigned char *buffer, size_t capacity) {
  const unsigned char *room = (const unsigned char *)(ring + 1);
  uint64_t total = wp_atomic_load(&ring->total, wp_acquire);  // edge "output"
  size_t size = ring_size(limit);
  size_t count = capacity < limit ? capacity : limit;
  if (count > total) count = (size_t)total;
  size_t at = (size_t)((total - count) % size);
  size_t first = count < size - at ? count : size - at;
  memcpy(buffer, room + at, first);
  memcpy(buffer + first, room, count - first);
  // What went on meanwhile has overwritten the oldest bytes, if there was more of it than the slack.
  uint64_t written = wp_atomic_load(&ring->total, wp_acquire) - total;
  uint64_t lost = written + count > limit ? written + count - limit : 0;
  if (lost >= count) return 0;
  memmove(buffer, buffer + lost, count - (size_t)lost);
  return count - (size_t)lost;
}
