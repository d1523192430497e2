// The payload areas of a channel: which are in use, and which may hold pages.
//
// Areas are not tied to slots: an argument is copied into its area before it has a slot, and a result stays in its area
// after its slot was sent again. The lowest free one is taken, so that few areas ever have pages.
//
//     FREE ──▶ BUSY (being filled, in a slot, waiting for another worker, in a callback) ──▶ FREE
//                └──▶ LENT (results; until the user lets go of it) ─────────────────────────▲
//
// The pool's lock protects all of it. Pages are given back without the lock, in areas that are busy meanwhile.
#ifndef WP_HOST_BUFFERS_H
#define WP_HOST_BUFFERS_H

#include "wp_host_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// A free area, WP_NO_AREA when there is none.
uint8_t wp_area_take(wp_areas *areas);
/// WP_NO_AREA is no area, and no error.
void wp_area_free(wp_areas *areas, uint8_t area);
/// Those of these areas that are warm and used by nobody, which are cold from now on.
uint64_t wp_areas_take_warm(wp_areas *areas, uint64_t wanted);

/// Where an area of a channel is: `wp_channel_arguments` or `wp_channel_results`.
typedef void *wp_area_at(const wp_channel *channel, const wp_geometry *geometry, uint32_t area);
/// Gives all pages of these areas back, a bit for each.
void wp_areas_give_back(const wp_process_pool *pool, uint32_t worker, uint64_t areas, wp_area_at *at);
/// Without the lock: gives the pages of a busy area back as far as they exceed what is kept between tasks.
void wp_area_trim(void *area, size_t touched);
/// Under the lock: gives back all pages of a dead worker's free areas.
void wp_areas_clear(wp_process_pool *pool, uint32_t worker);
/// Under the lock, when the processes are gone: whether the memory has to stay because some of it is lent. All other pages
/// are given back then, so that a small loan does not keep a pool's memory.
bool wp_areas_keep_lent(const wp_process_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
