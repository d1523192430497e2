// The payload buffers of a channel: which are in use, and which may hold pages.
//
// Buffers are not tied to slots: an argument is copied into its buffer before it has a slot, and a result stays in its buffer
// after its slot was sent again. The lowest free one is taken, so that few buffers ever have pages.
//
//     FREE ──▶ BUSY (being filled, in a slot, waiting for another worker, in a callback) ──▶ FREE
//                └──▶ LENT (results; until the user lets go of it) ─────────────────────────▲
//
// The pool's lock protects all of it. Pages are given back without the lock, in buffers that are busy meanwhile.
#ifndef WP_HOST_BUFFERS_H
#define WP_HOST_BUFFERS_H

#include "wp_host_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Whether some buffer is free.
bool wp_buffer_is_free(const wp_buffers *buffers);
/// A free buffer, WP_NO_BUFFER when there is none.
uint8_t wp_buffer_take(wp_buffers *buffers);
/// WP_NO_BUFFER is no buffer, and no error.
void wp_buffer_free(wp_buffers *buffers, uint8_t buffer);
/// Those of these buffers that are warm and used by nobody, which are cold from now on.
uint64_t wp_buffers_take_warm(wp_buffers *buffers, uint64_t wanted);

/// Where a buffer of a channel is: `wp_channel_arguments` or `wp_channel_results`.
typedef void *wp_buffer_at(const wp_channel *channel, const wp_geometry *geometry, uint32_t buffer);
/// Gives all pages of these buffers back, a bit for each.
void wp_buffers_give_back(const wp_process_pool *pool, uint32_t worker, uint64_t buffers, wp_buffer_at *at);
/// Without the lock: gives the pages of a busy buffer back as far as they exceed what is kept between tasks.
void wp_buffer_trim(void *buffer, size_t touched);
/// Under the lock: gives back all pages of a dead worker's free buffers.
void wp_buffers_clear(wp_process_pool *pool, uint32_t worker);
/// Under the lock, when the processes are gone: whether the memory has to stay because some of it is lent. All other pages
/// are given back then, so that a small loan does not keep a pool's memory.
bool wp_buffers_keep_lent(const wp_process_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
