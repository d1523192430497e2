// The monotonic clock, in nanoseconds.
#ifndef WP_CLOCK_H
#define WP_CLOCK_H

#include <stdint.h>
#include <time.h>

/// CLOCK_MONOTONIC in nanoseconds (about 20 ns through the vDSO). Async-signal-safe.
static inline uint64_t wp_clock_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#endif
