// Deque: a worker's own queue. The owner pushes and takes at the bottom, thieves steal from the top.
//
// Purpose. Work that a worker makes for itself costs no contention until somebody is idle enough to steal it.
//
// Sources. D. Chase and Y. Lev, "Dynamic circular work-stealing deque" (SPAA 2005), with the C11 orderings of
// N. M. Lê, A. Pop, A. Cohen and F. Zappa Nardelli, "Correct and efficient work-stealing for weak memory models"
// (PPoPP 2013). Their sequentially consistent fence between `bottom` and `top` stands here as sequentially
// consistent accesses to both (ThreadSanitizer understands those, and they cost the same).
//
// It grows by doubling up to WP_DEQUE_MAX_CELLS and then refuses: what does not fit goes to the injector, whose
// memory returns when the burst is over, so that no deque ever holds more than 256 KiB.
//
//                  | push | take | steal | is_empty | destroy
//   push, take     |  o   |  o   |   ‖   |    ‖     |   ✗        o  same thread only (the owner)
//   steal          |  ‖   |  ‖   |   ‖   |    ‖     |   ✗        ‖  may run beside each other
//   is_empty       |  ‖   |  ‖   |   ‖   |    ‖     |   ✗        ✗  must not
//
// Edges:
//   PUBLISH   push writes a cell, then releases `bottom`; a thief acquires `bottom`, then reads the cell.
//   GROW      the owner copies all live cells, then releases `ring`; a thief acquires `ring`.
//   LAST      take stores `bottom` and then loads `top`; steal loads `top` and then `bottom`; all sequentially
//             consistent, so that of two who see one last job at least one goes through the CAS on `top`.
//   ANNOUNCE  push's store of `bottom` is sequentially consistent and so is `is_empty` (see the injector).
//
// A thief may read a cell while the owner overwrites it: its CAS on `top` then fails, and what it read is dropped.
// That is why the two words of a cell are relaxed atomics.
#ifndef WP_DEQUE_H
#define WP_DEQUE_H

#include "wp_thread_pool.h"
#include "../base/wp_assert.h"
#include "../base/wp_atomic.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifndef WP_DEQUE_MIN_CELLS
#define WP_DEQUE_MIN_CELLS 256
#endif
#ifndef WP_DEQUE_MAX_CELLS
#define WP_DEQUE_MAX_CELLS 8192
#endif

typedef struct wp_deque_cell {
  wp_atomic_uptr code;
  wp_atomic_uptr argument;
} wp_deque_cell;

typedef struct wp_ring wp_ring;

/// The header's two words and then `capacity` cells, a power of two.
struct wp_ring {
  int64_t capacity;
  wp_ring *outgrown;
};

static inline wp_deque_cell *wp_ring_cell(wp_ring *ring, int64_t position) {
  return (wp_deque_cell *)(ring + 1) + (position & (ring->capacity - 1));
}

static inline void wp_deque_cell_write(wp_deque_cell *cell, wp_job job) {
  wp_atomic_store(&cell->code, job.code, wp_relaxed);
  wp_atomic_store(&cell->argument, (uintptr_t)job.argument, wp_relaxed);
}

static inline wp_job wp_deque_cell_read(wp_deque_cell *cell) {
  wp_job job;
  job.code = wp_atomic_load(&cell->code, wp_relaxed);
  job.argument = (void *)wp_atomic_load(&cell->argument, wp_relaxed);
  return job;
}

typedef struct wp_deque {
  /// Thieves, by CAS; the owner too, for the last job.
  WP_ALIGNED(WP_CACHE_LINE) wp_atomic_i64 top;
  /// The owner.
  WP_ALIGNED(WP_CACHE_LINE) wp_atomic_i64 bottom;
  /// The owner. Outgrown rings stay linked behind it until the deque is destroyed, for thieves that still read
  /// them; together they are smaller than the ring in use.
  wp_atomic_uptr ring;
} wp_deque;

/// What a thief came back with.
typedef enum wp_steal { WP_STEAL_EMPTY, WP_STEAL_TAKEN, WP_STEAL_LOST } wp_steal;

/// Prepares an empty deque, without a ring.
void wp_deque_init(wp_deque *deque);
/// Allocates the first ring, which so lies near its owner: the pages are first touched here. Without it the first push
/// does, or finds no room. False without memory. Owner only.
bool wp_deque_reserve(wp_deque *deque);
void wp_deque_destroy(wp_deque *deque);

/// Pushes up to `count` jobs and returns how many fitted. Owner only. Amortised O(count).
size_t wp_deque_push(wp_deque *deque, const wp_job *jobs, size_t count);

/// The same, turned round: `take` gives the first of those that fitted first.
size_t wp_deque_push_reversed(wp_deque *deque, const wp_job *jobs, size_t count);

/// Pushes one job. False when there is no room. Owner only. Amortised O(1). Inlined, as is take: a fork costs little else.
static inline bool wp_deque_push_one(wp_deque *deque, wp_job job) {
  int64_t bottom = wp_atomic_load(&deque->bottom, wp_relaxed);
  // Acquire: a cell is written again only after the thief that emptied it has moved `top`.
  int64_t top = wp_atomic_load(&deque->top, wp_acquire);
  wp_ring *ring = (wp_ring *)wp_atomic_load(&deque->ring, wp_relaxed);
  if (bottom - top >= ring->capacity) return wp_deque_push(deque, &job, 1) == 1;
  wp_deque_cell_write(wp_ring_cell(ring, bottom), job);
  wp_atomic_store(&deque->bottom, bottom + 1, wp_seq_cst);  // edges PUBLISH and ANNOUNCE
  return true;
}

/// Takes the job pushed last. False when there is none. Owner only. O(1).
static inline bool wp_deque_take(wp_deque *deque, wp_job *job) {
  int64_t bottom = wp_atomic_load(&deque->bottom, wp_relaxed);
  // `top` only grows: an empty deque needs no dear store to be known as empty.
  if (wp_atomic_load(&deque->top, wp_relaxed) >= bottom) return false;
  bottom -= 1;
  wp_atomic_store(&deque->bottom, bottom, wp_seq_cst);      // edge LAST
  int64_t top = wp_atomic_load(&deque->top, wp_seq_cst);    // edge LAST
  bool taken = top <= bottom;
  if (taken) {
    *job = wp_deque_cell_read(wp_ring_cell((wp_ring *)wp_atomic_load(&deque->ring, wp_relaxed), bottom));
    if (top < bottom) return true;
    taken = wp_atomic_cas_strong(&deque->top, &top, top + 1, wp_seq_cst, wp_relaxed);
  }
  wp_atomic_store(&deque->bottom, bottom + 1, wp_release);  // the deque is empty: edge PUBLISH holds trivially
  return taken;
}

/// Takes the job pushed first. `WP_STEAL_LOST` means that another thread was faster: try again. Any thread, O(1).
wp_steal wp_deque_steal(wp_deque *deque, wp_job *job);

/// Which jobs somebody wants: those whose code is `value` under `mask`, with `argument` if that is not NULL.
typedef struct wp_job_filter {
  uintptr_t mask;
  uintptr_t value;
  const void *argument;
} wp_job_filter;

/// Like take and steal, but only for a job that passes: any other stays, and the deque counts as empty. So it does for
/// thieves while its first job stands before position `lowest` (positions count pushes, whatever was taken since).
bool wp_deque_take_if(wp_deque *deque, const wp_job_filter *filter, wp_job *job);
wp_steal wp_deque_steal_if(wp_deque *deque, const wp_job_filter *filter, int64_t lowest, wp_job *job);

/// How many jobs there are at most: thieves may take some meanwhile. On other threads a hint.
size_t wp_deque_count(wp_deque *deque);

/// How many jobs a push surely has room for. Owner only.
size_t wp_deque_room(wp_deque *deque);

/// Position of the next push. Owner only.
static inline int64_t wp_deque_position(wp_deque *deque) { return wp_atomic_load(&deque->bottom, wp_relaxed); }

bool wp_deque_is_empty(wp_deque *deque);

#ifdef __cplusplus
}
#endif

#endif
