// The roster: which workers a pool has, and how their number changes. Their lives are drawn in wp_thread_state.h.
//
// A worker belongs to its node for ever: thieves go through the list of its node's workers without a lock, so entries
// are added to it and never taken away. A worker that is ABSENT has a deque all the same, with nothing in it or with jobs that
// the others have not stolen yet. A worker that is wanted again is one that is ABSENT on the node where it is to run, if there
// is any; so there are never more on a node than ever were there at a time.
//
// Edge SLOT: a worker is initialised, then its node's `worker_count` is released; thieves acquire it before they look at
// the list. Sequentially consistent, since who looks for work before it sleeps must not miss a new worker's deque either.
//
// Rejected: an array of workers that is replaced as a whole when it grows (thieves would need a way to know when the old
// one may go); ending surplus workers at once, by a job for each (a busy pool would do it late, and on whichever worker).
#ifndef WP_ROSTER_H
#define WP_ROSTER_H

#include "wp_thread_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Prepares a roster of nobody, for up to `capacity` workers.
wp_status wp_roster_init(wp_thread_pool *pool, const wp_thread_pool_config *config, uint32_t capacity);
void wp_roster_destroy(wp_thread_pool *pool);
/// How many workers `*count` means: for 0 as many as the process is granted, at most `limit`.
wp_status wp_roster_count(const wp_topology *topology, bool tolerates_environment, uint32_t limit, uint32_t *count,
                          wp_error *error);
/// Brings the number of workers of an open pool to `count`, as far as threads can be started. `placements` says where each
/// goes. Errors: `WP_SHUT_DOWN`, `WP_SYSTEM_CALL_FAILED`.
wp_status wp_roster_fill(wp_thread_pool *pool, uint32_t count, const wp_placement *placements, wp_error *error);

#ifdef __cplusplus
}
#endif

#endif
