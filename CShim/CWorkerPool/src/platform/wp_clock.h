// The monotonic clock, in nanoseconds.
#ifndef WP_CLOCK_H
#define WP_CLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

/// CLOCK_MONOTONIC in nanoseconds (about 20 ns through the vDSO). Async-signal-safe.
static inline uint64_t wp_clock_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/// `length` after `time`, UINT64_MAX if that is never.
static inline uint64_t wp_clock_after(uint64_t time, uint64_t length) {
  return time > UINT64_MAX - length ? UINT64_MAX : time + length;
}

/// The time that is left until `deadline_ns`, for a call that takes a time and not a deadline: ask anew for each attempt,
/// since signals may interrupt it any number of times. NULL for UINT64_MAX, which is never.
static inline const struct timespec *wp_clock_left(uint64_t deadline_ns, struct timespec *time) {
  if (deadline_ns == UINT64_MAX) return NULL;
  uint64_t now = wp_clock_now();
  uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
  time->tv_sec = (time_t)(left / 1000000000u);
  time->tv_nsec = (long)(left % 1000000000u);
  return time;
}

#endif
