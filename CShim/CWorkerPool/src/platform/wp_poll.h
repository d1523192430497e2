// Waiting for descriptors, whatever limit they are under.
//
// poll(2) refuses more entries than the process may have files (RLIMIT_NOFILE), which a program may lower at any time, to
// below what it has open. An error that is not a signal's would be there at the next attempt as well, so that a loop around
// it turns without end and sees nothing any more.
#ifndef WP_POLL_H
#define WP_POLL_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// As poll(2), until `deadline_ns` on CLOCK_MONOTONIC (UINT64_MAX: for ever; 0: no wait), for POLLIN and POLLOUT. Returns how
/// many entries have events, 0 when the time is up; -1 with `errno` set and no events: EINTR, or what the kernel refused,
/// then after a pause, so that a caller may just ask again. [fork]
int wp_poll(struct pollfd *entries, size_t count, uint64_t deadline_ns);

#ifdef __cplusplus
}
#endif

#endif
