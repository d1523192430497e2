// Telling others that there is something to do: the collector's thread by a doorbell, a worker by its signal word.
//
// A worker sleeps on a word that the host turns to 0 (wp_process_layout.h). The thread that does so wakes the worker, once the
// lock is released. The collector's thread sleeps in poll on the doorbell, with a deadline, which `wp_bell_look_by` moves
// forward.
#ifndef WP_HOST_BELL_H
#define WP_HOST_BELL_H

#include "wp_host_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Workers to wake once the lock is released. The words may be unmapped by then, which the kernel tolerates.
typedef struct wp_wakes {
  wp_atomic_u32 *words[WP_BATCH];
  uint32_t count;
} wp_wakes;

/// Under the lock: makes the worker look, at tasks that were published, at its cells, or at the order to leave.
void wp_bell_worker(wp_host_worker *worker, bool leave, wp_wakes *wakes);
/// After the lock was released.
void wp_bell_wake_all(wp_wakes *wakes);

/// Makes the collector's thread take the role and look. Under the lock, or with the role.
void wp_bell_collector(wp_process_pool *pool);
/// Under the lock: has the collector's thread make a round by then.
void wp_bell_look_by(wp_process_pool *pool, uint64_t time);
/// Without the lock: when to look next, UINT64_MAX for never. Part of the collector's prepare-recheck-sleep.
uint64_t wp_bell_deadline(const wp_process_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
