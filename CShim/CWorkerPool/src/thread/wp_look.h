// Looking: where a worker finds its next job. Nothing here waits.
#ifndef WP_LOOK_H
#define WP_LOOK_H

#include "wp_thread_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// A worker moves at most so many jobs from an injector to its own deque at once.
#define WP_REFILL_MAX 64u

/// Looks everywhere but in the own deque, nearest node first.
bool wp_look_around(wp_worker *worker, wp_job *job);
/// Every so many jobs (wp_fairness.h): sees whether jobs have become long, and takes a turn if it is time for one. True with a
/// job.
bool wp_look_at_stop(wp_worker *worker, wp_job *job);

/// Finds the next job by the order alone, without a turn.
static inline bool wp_look_in_order(wp_worker *worker, wp_job *job) {
  return wp_deque_take(&worker->deque, job) || wp_look_around(worker, job);
}

/// Finds the next job, by the order and the turns of wp_fairness.h. Inlined, as is what it consists of: tiny jobs cost little
/// else.
static inline bool wp_look_next(wp_worker *worker, wp_job *job) {
  if (wp_fairness_is_due(&worker->fairness) && wp_look_at_stop(worker, job)) return true;
  return wp_look_in_order(worker, job);
}

/// Whether `wp_look_around` would find something now, with the orders that edge ANNOUNCE asks for.
bool wp_look_sees_work(wp_worker *worker);

/// Leaves a job to others, whatever state the pool is in. False without memory.
bool wp_look_set_aside(wp_worker *worker, wp_job job);

#ifdef __cplusplus
}
#endif

#endif
