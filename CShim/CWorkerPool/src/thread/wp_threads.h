// The threads of a pool: how many there are and how many are wanted, how they start, end and are joined, and the pool's
// life, which hangs on them. All of it stands under one mutex. None of it is on the way of a job: a worker reads a word of its
// own between two jobs.
//
// Ending. A thread that ends stands in no stack of sleepers (wp_sleep.h), and its deque is empty or stays with its worker,
// where the others find what is in it. Then it says so here, once: from there on its worker may start another thread.
//
// Joining. In a draining pool each thread joins the one that came to its end before it, and shutdown joins the last: so every
// thread is joined by exactly one, when it is about to be gone anyway, and when shutdown returns all are gone, with their
// stacks and what their thread-local destructors did. Where the handle was released without a join, the last thread detaches
// itself. So does a thread that ends in an open pool, for which nobody waits.
//
// Rejected: detached threads and a count (shutdown would return before their destructors have run); leaving a thread of an
// open pool for the next to join (one stack would be kept, and a pool that is never shut down would leak a thread).
#ifndef WP_THREADS_H
#define WP_THREADS_H

#include "wp_thread_state.h"

#ifdef __cplusplus
extern "C" {
#endif

void wp_threads_init(wp_thread_pool *pool);
void wp_threads_destroy(wp_thread_pool *pool);

/// Requires: lock. Moves a worker from one life to another, and counts.
void wp_threads_set_life(wp_worker *worker, wp_worker_life life);

/// Requires: lock. Starts the thread of a worker that is ABSENT, for a life; it stays ABSENT if that fails.
wp_status wp_threads_start(wp_worker *worker, wp_worker_life life, wp_error *error);

/// Whether there is one thread too many, in the pool and on the worker's node: then a thread of that node may leave.
bool wp_threads_have_surplus(const wp_worker *worker);

/// Requires: lock. Whether fewer threads than wanted are not blocked, in the pool or on the node (S1 in wp_spares.h).
bool wp_threads_need_one_more(wp_thread_pool *pool, uint32_t node);

/// For a worker that may leave, between two jobs. True when its thread is to end: it is ENDING then.
bool wp_threads_leave(wp_worker *worker);

/// For a worker that may leave and wants to sleep without a deadline. False when it is one too many, and is to leave.
/// `wp_threads_end_lingering` follows the sleep.
bool wp_threads_linger(wp_worker *worker);
void wp_threads_end_lingering(wp_worker *worker);
/// After a thread became one too many: wakes one that may leave, if it sleeps.
void wp_threads_wake_surplus(wp_worker *self);

/// Requires: lock. Whether a thread that is counted as blocked does not sleep yet, or not any more, or a spare is about to be
/// free. O(blocked threads).
bool wp_threads_does_one_go_on(const wp_thread_pool *pool);
/// Requires: lock. Whether every thread that is present is blocked for work of the pool itself: then no wait of them ends.
/// O(1), and O(blocked threads) where all are.
bool wp_threads_are_deadlocked(wp_thread_pool *pool);
/// Requires: lock. If so, refuses the oldest wait that can be refused.
void wp_threads_resolve_deadlock(wp_thread_pool *pool);

/// The last that a thread does for its worker. Joins the one that ended before it, and lets go of the pool.
void wp_threads_end(wp_worker *worker);
/// The same for a thread that its job has ended, whose worker another thread takes over. False, with nothing done, if none
/// can be started.
bool wp_threads_hand_over(wp_worker *worker);

/// OPEN to DRAINING. False when that was done before.
bool wp_threads_close(wp_thread_pool *pool);
/// Whether the calling thread was one of the pool's and is to be joined by those: then it must not wait for their end. It is
/// in the destructors of its thread-local values.
bool wp_threads_is_joined_by(const wp_thread_pool *pool);
/// Waits until the pool is ENDED and its threads are gone.
void wp_threads_join(wp_thread_pool *pool);
/// Says that nobody will join: the handle is released.
void wp_threads_abandon(wp_thread_pool *pool);

/// Lets go of the pool; the last one to do so frees it.
void wp_threads_unreference(wp_thread_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
