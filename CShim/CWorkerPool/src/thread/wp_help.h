// Helping: what a thread does that waits for fork-join work which another thread runs.
//
// It runs parts of what it waits for, and nothing else: forks of the stolen job, which stand in its thief's deque from the
// position on at which the thief began it (leapfrogging: D. Wagner and B. Calder, PPoPP 1993). Such a fork can wait for
// nothing below the helper on the same stack but in a cycle, so no program without one deadlocks. Anything else might wait
// for that: a task, whose closure may block on a future; also the call of a scope, since scopes that are not awaited here may
// have calls in the same deque. What a helper cannot reach is left to others, and the helper's place, when it sleeps, to a
// spare. A fork that turns out to be none of the awaited job's is given back to its owner, who runs it.
#ifndef WP_HELP_H
#define WP_HELP_H

#include "wp_thread_state.h"
#include "../park/wp_latch.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Finds a piece of work that `awaited` consists of. False when there is none within reach. `is_last`: the caller then sleeps
/// until all is done, and nobody else may come for what nobody has begun.
typedef bool (*wp_find_help)(wp_worker *self, void *awaited, bool is_last, wp_job *job);
/// Runs parts of what it waits for until `latch` is set; without any, spins for the pool's budget and then sleeps.
void wp_help_until_set(wp_worker *self, wp_latch *latch, wp_find_help find, void *awaited);

/// Many waits are for the end of a last piece. A spare that is called up sooner costs more than it brings.
#define WP_HELP_SPARE_AFTER_NS 200000u

#ifdef __cplusplus
}
#endif

#endif
