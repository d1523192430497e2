// A doorbell that a sleeping `poll` hears: an eventfd.
#ifndef WP_EVENT_H
#define WP_EVENT_H

#include "wp_process.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

/// Close-on-exec and non-blocking; -1 with `errno` set ("eventfd").
static inline int wp_event_create(void) {
  int descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
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

#endif
