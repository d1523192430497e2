// Completing tasks: one round settles the last batch, gathers a new one under the lock, and calls back without it.
//
// A small result is copied out of its slot while gathering; a large one is used where it stands, in a buffer that stays
// busy until the callback has returned, or until a loan is given back. The slot can be sent again at once.
//
// With the collector role.
#ifndef WP_HOST_COLLECT_H
#define WP_HOST_COLLECT_H

#include "wp_host_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// One round: completes what ended, sends what waits. False when there was nothing to do.
bool wp_collect_round(wp_process_pool *pool);
/// The part of a round that a leader may do: what waits or concerns processes is left out. False when it is time to leave the
/// rest to the collector's thread.
bool wp_collect_results(wp_process_pool *pool);
/// Settles the last batch.
void wp_collect_settle(wp_process_pool *pool);
/// On the collector's thread: runs what leaders have left to it.
void wp_collect_call_left(wp_process_pool *pool);
/// Whether a round would find a result, without the lock. Part of the collector's prepare-recheck-sleep.
bool wp_collect_has_news(const wp_process_pool *pool);
/// The pool whose callbacks the calling thread may be in, or NULL.
extern __thread const wp_process_pool *wp_calling_back;

#ifdef __cplusplus
}
#endif

#endif
