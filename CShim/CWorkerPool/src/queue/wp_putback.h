// Put-back: jobs that were taken from an injector and go back to its front, in the order of their submission.
//
// Purpose. A worker that took a batch and finds that its tasks are long gives the rest back, and a sweep of cancelled jobs
// keeps the others. Both have to stand before what is still in the injector, and among each other by their tickets.
//
// Structure. A list of parts, each with the ticket of its first job, sorted, under a mutex: jobs come here seldom. The
// number of jobs is an atomic, so that a look at an empty list costs one load.
//
// Edges:
//   ANNOUNCE  `count` is stored and loaded sequentially consistent, as the injector's tickets are.
//
// Thread-safety: every function from any thread, but for init and destroy.
#ifndef WP_PUTBACK_H
#define WP_PUTBACK_H

#include <pthread.h>

#include "wp_thread_pool.h"
#include "../base/wp_assert.h"
#include "../base/wp_atomic.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wp_putback_part wp_putback_part;

/// Some jobs. Its owner's until it is put back.
struct wp_putback_part {
  wp_putback_part *next;
  /// Of the first job that is left; the others have higher ones, in their order.
  uint64_t ticket;
  /// The jobs from `begin` to `end` are left.
  size_t begin;
  size_t end;
  size_t capacity;
  wp_job jobs[];
};

typedef struct wp_putback {
  /// Jobs in the list. Written under `lock`, read by anyone.
  WP_ALIGNED(WP_CACHE_LINE) wp_atomic_u64 count;
  pthread_mutex_t lock;
  // Under `lock`.
  wp_putback_part *first;
  /// The part that was put back last: who puts back in order finds the place at once.
  wp_putback_part *latest;
  /// Where the next `wp_putback_filter` goes on; NULL: at the front.
  wp_putback_part *filtered;
} wp_putback;

void wp_putback_init(wp_putback *putback);
/// Jobs that are still in it are lost.
void wp_putback_destroy(wp_putback *putback);

/// Room for so many jobs. NULL without memory.
wp_putback_part *wp_putback_part_create(size_t capacity);
/// Adds a job behind those that it has. Requires room.
void wp_putback_part_add(wp_putback_part *part, uint64_t ticket, wp_job job);
/// Puts the part back, or frees it if it is empty. Complexity as below.
void wp_putback_put_part(wp_putback *putback, wp_putback_part *part);

/// Puts `count` jobs back, the first of which has `ticket`. False without memory: the jobs stay the caller's. O(parts with a
/// higher ticket than the one put back last, or, where that has a higher one, all parts).
bool wp_putback_put(wp_putback *putback, uint64_t ticket, const wp_job *jobs, size_t count);

/// Takes up to `max` jobs from the front, but no more than one part in `share` (rounded up). `ticket` is that of the first;
/// the others follow it. O(max).
size_t wp_putback_take(wp_putback *putback, wp_job *jobs, size_t max, size_t share, uint64_t *ticket);

/// Whether a job is to stay. Called with the lock held: it must not block or use the list.
typedef bool (*wp_putback_stays)(void *context, wp_job job);
/// Takes out up to `max` of those jobs that are not to stay, and looks at no more than `looks` jobs, going on where the last
/// call ended. Returns how many it took.
size_t wp_putback_filter(wp_putback *putback, wp_putback_stays stays, void *context, wp_job *jobs, size_t max, size_t looks);

static inline size_t wp_putback_count(wp_putback *putback) {
  return (size_t)wp_atomic_load(&putback->count, wp_seq_cst);  // edge ANNOUNCE
}

#ifdef __cplusplus
}
#endif

#endif
