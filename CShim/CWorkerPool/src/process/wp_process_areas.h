// The payload areas of a channel: which are in use, and which may hold pages.
//
// Areas are not tied to slots: an argument is copied into its area before it has a slot, and a result stays in its area
// after its slot was sent again. The lowest free one is taken, so that few areas ever have pages.
//
//     FREE ──▶ BUSY (being filled, in a slot, waiting for another worker, in a callback) ──▶ FREE
//                └──▶ LENT (results; until the user lets go of it) ─────────────────────────▲
//
// The pool's lock protects all of it. Pages are given back without the lock, in areas that are busy meanwhile.
#ifndef WP_PROCESS_AREAS_H
#define WP_PROCESS_AREAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// How long a pool is idle before it gives the pages of its areas back.
#define WP_TIDY_AFTER_NS ((uint64_t)1000000000u)

typedef struct wp_areas {
  /// By bit: in use.
  uint64_t busy;
  /// By bit: used since its pages were last given back.
  uint64_t warm;
  uint32_t count;
  uint32_t lent;
} wp_areas;

/// A free area, WP_NO_AREA when there is none.
uint8_t wp_area_take(wp_areas *areas);
/// WP_NO_AREA is no area, and no error.
void wp_area_free(wp_areas *areas, uint8_t area);

struct wp_process_pool;

/// Without the lock: gives the pages of a busy area back as far as they exceed what is kept between tasks.
void wp_area_trim(void *area, size_t touched);
/// Under the lock: gives back all pages of a dead worker's free areas.
void wp_areas_bury(struct wp_process_pool *pool, uint32_t worker);
/// With the collector role, under the lock: whether the pool has been idle long enough to be tidied. Once, then not
/// again until an area was used.
bool wp_areas_are_due(struct wp_process_pool *pool);
/// With the role, under the lock, on another thread than the collector's, when no task is left: has that thread see to
/// it. Wakes it once in `WP_TIDY_AFTER_NS` at most.
void wp_areas_rest(struct wp_process_pool *pool);
/// When that will be, UINT64_MAX for never.
uint64_t wp_areas_deadline(const struct wp_process_pool *pool);
/// With the collector role, without the lock: gives the pages of all free areas back.
void wp_areas_tidy(struct wp_process_pool *pool);
/// Under the lock, when the processes are gone: whether the memory has to stay because some of it is lent. All other pages
/// are given back then, so that a small loan does not keep a pool's memory.
bool wp_areas_keep_lent(const struct wp_process_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
