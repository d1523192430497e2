// Looking: where a worker finds its next job. Nothing here waits.
#ifndef WP_LOOK_H
#define WP_LOOK_H

#include "wp_thread_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// A worker moves at most so many jobs from an injector to its own deque at once.
#define WP_REFILL_MAX 64u

/// Finds the next job, by the order and the turns of wp_fairness.h.
bool wp_look_next(wp_worker *worker, wp_job *job);
/// The same in the order alone, without a turn.
bool wp_look_in_order(wp_worker *worker, wp_job *job);
/// Looks everywhere but in the own deque, nearest node first.
bool wp_look_around(wp_worker *worker, wp_job *job);
/// Whether `wp_look_around` would find something now, with the orders that edge ANNOUNCE asks for.
bool wp_look_sees_work(wp_worker *worker);

/// Leaves a job to others, whatever state the pool is in. False without memory.
bool wp_look_set_aside(wp_worker *worker, wp_job job);

/// After the first job of a batch: puts the rest back where it came from, if that job was long.
void wp_look_after_first(wp_worker *worker);

#ifdef __cplusplus
}
#endif

#endif
