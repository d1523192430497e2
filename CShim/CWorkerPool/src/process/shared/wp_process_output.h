// The end of what each worker printed: a ring per worker and captured stream, behind the channels in the pool's memory.
//
// The template reads the workers' pipes and writes the rings; the host reads them; workers do not map them.
// A ring is a little larger than what it promises, so that the bytes it promises stay whole while the next chunk is
// being written.
#ifndef WP_PROCESS_OUTPUT_H
#define WP_PROCESS_OUTPUT_H

#include "wp_process_layout.h"

#ifdef __cplusplus
extern "C" {
#endif

/// The ring of one worker and stream; NULL when the stream is not captured. `base` is where `output_offset` is mapped.
wp_output_ring *wp_output_ring_at(void *base, const wp_geometry *geometry, uint32_t worker, uint32_t stream);
/// Forgets what a former worker wrote.
void wp_output_clear(wp_output_ring *ring);
/// Appends at most `WP_OUTPUT_CHUNK` bytes.
void wp_output_put(wp_output_ring *ring, size_t limit, const unsigned char *bytes, size_t length);
/// Copies the last bytes, as far as `limit` and `capacity` reach. While a worker writes, the oldest may be missing.
size_t wp_output_tail(const wp_output_ring *ring, size_t limit, unsigned char *buffer, size_t capacity);

#ifdef __cplusplus
}
#endif

#endif
