// The template's side of captured output: a pipe per worker and stream, read into the worker's ring and passed on.
//
// Rejected: a memfd per worker, which needs no reader but grows without a bound or, bounded, keeps the beginning and
// not the end, and whose echo would have to be polled; a thread of the host that reads, which would have to hold two
// descriptors for each worker in the process that runs out of them first.
#ifndef WP_PROCESS_CAPTURE_H
#define WP_PROCESS_CAPTURE_H

#include "../../platform/wp_echo.h"
#include "../shared/wp_process_layout.h"
#include "../shared/wp_process_message.h"

#include <poll.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wp_capture {
  wp_geometry geometry;
  wp_process_output settings[WP_STREAM_COUNT];
  /// The output part of the pool's memory, NULL when nothing is captured.
  void *rings;
  wp_echo echoes[WP_STREAM_COUNT];
  /// Write ends for the worker that is being forked.
  int given[WP_STREAM_COUNT];
  /// Read ends, by worker and stream; -1 for none.
  int *pipes;
  /// What the template's poll looks at: the streams that are behind, then the pipes in the same order.
  struct pollfd *events;
  /// As far as there have been workers.
  size_t event_count;
  uint32_t workers;
  /// The first events of the array are the template's own.
  size_t first_event;
} wp_capture;

/// Allocates the events, of which the first `own_events` are the caller's, and maps the rings. What failed, with
/// `errno` set, or WP_CALL_NONE.
wp_call wp_capture_init(wp_capture *self, int file, const wp_geometry *geometry, const wp_pool_head *head,
                        size_t own_events);
/// Makes the pipes for a worker that is about to be forked. False with `errno` set ("pipe2").
bool wp_capture_begin(wp_capture *self, uint32_t worker);
/// In the worker: puts its streams where they belong. [fork]
wp_call wp_capture_attach(const wp_capture *self);
/// In the template, when the fork is over.
void wp_capture_forked(wp_capture *self);
/// Says which events matter, before poll.
void wp_capture_prepare(wp_capture *self);
/// Reads and passes on, after poll. Bounded, so that deaths are noticed meanwhile.
void wp_capture_serve(wp_capture *self);
/// The worker is gone: takes what its pipes still hold, and closes them (which its own children notice).
void wp_capture_end(wp_capture *self, uint32_t worker);

#ifdef __cplusplus
}
#endif

#endif
