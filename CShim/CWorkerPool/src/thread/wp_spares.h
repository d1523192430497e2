// Spares: workers that stand in for blocked ones.
//
// Purpose. A job that blocks takes a worker out of the pool. If that goes on until none is left, the job that would end all
// the waiting is never begun. So whoever is about to block is counted (wp_blocking.h), and a spare takes the place. Invariants,
// under the lock of `wp_threads`:
//   S1  As many threads as wanted are not blocked, unless the limit was reached or a thread could not be started; in a
//       draining pool, where threads end, unless there is no work in sight.
//   S2  A thread leaves only while one more than wanted is not blocked.
// Both hold for the pool, which no deadlock hangs on, and as far as there are spares for each of its nodes: one of
// another node would look for work there first, and take that node's away from where its data is. If the pool has a surplus
// then so has a node, whose threads may leave. Workers that a resize made too many follow S2 as well: one that is needed in
// place of a blocked one stays until it is not.
//
// A spare that leaves sits on the bench of its node first, where it is called up for a microsecond's work, and ends after
// some seconds. Bench and threadless slots are stacks: calling up costs O(1).
//
// Edge SLOT: a slot is initialised, then `used` is released; thieves acquire `used` before they look at slots. Both are
// sequentially consistent, since who looks for work before it sleeps must not miss a new slot's deque either.
//
// Sources. D. Lea, "A Java fork/join framework" (2000) and ForkJoinPool's compensation; the managed-blocker idea is
// his. Rejected: running another job on top of the blocked one (it may wait for something below it on the same stack,
// and an acyclic program hangs).
#ifndef WP_SPARES_H
#define WP_SPARES_H

#include "wp_thread_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Prepares a pool's spares, none of which runs. False without memory.
bool wp_spares_init(wp_thread_pool *pool, uint32_t limit);
void wp_spares_destroy(wp_thread_pool *pool);

/// Requires: lock of `wp_threads`. After a thread of a node was blocked, or one more is wanted there: has one more work if S1
/// asks for that, on the node if that can be, else anywhere. `WP_WOULD_DEADLOCK` when all spares are at work;
/// `WP_SYSTEM_CALL_FAILED` when a thread cannot be started. O(nodes).
wp_status wp_spares_compensate(wp_thread_pool *pool, uint32_t node, wp_error *error);

/// For a spare between two jobs: if it is one too many it sits on the bench. True when it should end its thread.
bool wp_spares_step_down(wp_worker *spare);

/// Lets the benched spares of a draining pool end.
void wp_spares_close(wp_thread_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
