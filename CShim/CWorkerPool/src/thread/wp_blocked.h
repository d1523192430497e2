// Blocking inside the engine: what include/wp_blocking.h promises, and the waits of fork-join, which nobody can refuse.
//
// A wait is counted once for each thread that is in one, by what the innermost of its waits is for. Counting, calling up a
// spare and finding out about a deadlock are one step under one lock: so the deadlock error is exact. It comes when the last
// thread that was not blocked blocks for work of its own pool, and no spare can be called up. That thread is refused; if it
// waits for fork-join work, which has no place for an error, the oldest wait that has one is refused instead.
//
// Who ends a wait does so without the lock, and its thread counts itself out later. And a thread counts itself as blocked
// before it looks for the last time whether it has to wait. So before a wait is refused each of the others is asked whether it
// goes on. A thread that then falls asleep, or blocks again, asks anew.
//
// Edge ASLEEP: a thread stores AWAITED in its word and then loads `nearly_deadlocked`; who looks for a deadlock stores that and
// then loads the words. All four are sequentially consistent, so one of the two sees the other.
//
// Before it is counted a thread tells what it still has to tell (wp_delivery.h): its wait may be for what that brings about.
#ifndef WP_BLOCKED_H
#define WP_BLOCKED_H

#include "wp_blocking.h"
#include "wp_thread_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Counts the calling worker as blocked for fork-join work of its pool; it sleeps unless `goes_on(awaited)`. Never fails.
/// `wp_blocked_end` has to follow.
void wp_blocked_begin_structured(wp_worker *self, wp_blocking_state *blocking, bool (*goes_on)(void *awaited),
                                 void *awaited);
/// Counts it as blocked for something outside its pool; on other threads, with NULL, does nothing.
void wp_blocked_begin_for_others(wp_worker *self, wp_blocking_state *blocking);
void wp_blocked_end(wp_blocking_state *blocking);

/// For a thread that a job has ended in the middle of its waits: ends their counting.
void wp_blocked_forget(wp_worker *worker);

#ifdef __cplusplus
}
#endif

#endif
