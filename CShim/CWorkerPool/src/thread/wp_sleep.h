// Sleeping: what a worker does between finding nothing and having a job again.
#ifndef WP_SLEEP_H
#define WP_SLEEP_H

#include "wp_thread_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// How waiting for a job ended.
typedef enum wp_sleep_end {
  WP_SLEEP_JOB,
  /// The pool is draining and nothing is left: the thread is to end. It stands in no stack.
  WP_SLEEP_DRAINED,
  /// The worker may have to leave, and asks before it takes what those who stay were meant to find.
  WP_SLEEP_LOOK_AGAIN
} wp_sleep_end;

/// Waits for a job.
wp_sleep_end wp_sleep_for_job(wp_worker *worker, wp_job *job);

#ifdef __cplusplus
}
#endif

#endif
