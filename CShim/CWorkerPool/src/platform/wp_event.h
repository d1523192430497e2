// A doorbell that a sleeping `poll` hears: a pipe, whose content means nothing. Not an eventfd: whoever can ring one can
// silence it too, by a read, and one that is made to count to its maximum blocks those who ring it. Workers get the end
// that rings and no other.
#ifndef WP_EVENT_H
#define WP_EVENT_H

#include "wp_poll.h"
#include "wp_process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#define WP_EVENT_BYTES 4096

/// Two descriptors, -1 when there are none.
typedef struct wp_event {
  int hear;
  int ring;
} wp_event;

static inline void wp_event_destroy(wp_event *event) {
  if (event->hear >= 0) close(event->hear);
  if (event->ring >= 0) close(event->ring);
  event->hear = event->ring = -1;
}

/// Close-on-exec. False with `errno` set ("pipe2"). `blocks` is for `wp_event_wait`; ringing never does.
static inline bool wp_event_create(wp_event *event, bool blocks) {
  int ends[2];
  event->hear = event->ring = -1;
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return false;
  event->hear = wp_above_stdio(ends[0]);
  event->ring = wp_above_stdio(ends[1]);
  if (event->hear < 0 || event->ring < 0) {
    int saved = errno;
    wp_event_destroy(event);
    errno = saved;
    return false;
  }
  fcntl(event->ring, F_SETPIPE_SZ, WP_EVENT_BYTES);  // as little as there is
  if (blocks) fcntl(event->hear, F_SETFL, 0);
  return true;
}

/// Rings. False when the descriptor is no bell any more; one that is full already rings. Async-signal-safe.
static inline bool wp_event_ring(int ring) {
  ssize_t written;
  do written = write(ring, "", 1);
  while (written < 0 && errno == EINTR);
  return written == 1 || errno == EAGAIN;
}

/// One that is rung all the time may still ring afterwards.
static inline void wp_event_clear(int hear) {
  char rung[WP_EVENT_BYTES];
  ssize_t got = read(hear, rung, sizeof rung);
  (void)got;
}

/// Waits until a bell that blocks rings or `deadline_ns` on CLOCK_MONOTONIC has passed (UINT64_MAX: for ever), and clears
/// it. May return early, as after a signal.
static inline void wp_event_wait(int hear, uint64_t deadline_ns) {
  if (deadline_ns != UINT64_MAX) {
    struct pollfd event = {hear, POLLIN, 0};
    if (wp_poll(&event, 1, deadline_ns) <= 0) return;
  }
  wp_event_clear(hear);
}

#endif
