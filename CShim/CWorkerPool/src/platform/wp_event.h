// A doorbell that a sleeping `poll` hears: an eventfd.
#ifndef WP_EVENT_H
#define WP_EVENT_H

#include "wp_clock.h"
#include "wp_process.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/// Close-on-exec; -1 with `errno` set ("eventfd"). `blocks` is for `wp_event_wait`; ringing never does.
static inline int wp_event_create(bool blocks) {
  int descriptor = eventfd(0, EFD_CLOEXEC | (blocks ? 0 : EFD_NONBLOCK));
  return descriptor < 0 ? -1 : wp_above_stdio(descriptor);
}

/// Rings. False when the descriptor is no eventfd any more; a bell that is full already rings. Async-signal-safe.
static inline bool wp_event_ring(int descriptor) {
  uint64_t one = 1;
  ssize_t written;
  do written = write(descriptor, &one, sizeof one);
  while (written < 0 && errno == EINTR);
  return written == (ssize_t)sizeof one || errno == EAGAIN;
}

static inline void wp_event_clear(int descriptor) {
  uint64_t count;
  ssize_t got = read(descriptor, &count, sizeof count);
  (void)got;
}

/// Waits until a bell that blocks rings or `deadline_ns` on CLOCK_MONOTONIC has passed (UINT64_MAX: for ever), and clears
/// it. May return early.
static inline void wp_event_wait(int descriptor, uint64_t deadline_ns) {
  if (deadline_ns != UINT64_MAX) {
    uint64_t now = wp_clock_now();
    uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
    struct timespec timeout = {(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
    struct pollfd event = {descriptor, POLLIN, 0};
    if (ppoll(&event, 1, &timeout, NULL) <= 0) return;
  }
  wp_event_clear(descriptor);
}

#endif
