// A worker as such: what it consists of, and how it runs a job. Not where its jobs come from (wp_look.h), how it sleeps
// (wp_sleep.h), or how it begins and ends (wp_live.h).
#ifndef WP_WORKER_H
#define WP_WORKER_H

#include "wp_thread_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Prepares a worker to a new thread. False without memory.
bool wp_worker_init(wp_worker *worker, wp_thread_pool *pool, uint32_t node, uint32_t waiter);
void wp_worker_destroy(wp_worker *worker);
/// Numbers it, and names it "prefix-index".
void wp_worker_number(wp_worker *worker, uint32_t index);

/// Gives a job that will not run back to whoever submitted it.
void wp_pool_discard(wp_thread_pool *pool, wp_job job);

/// Runs a job on its thread.
static inline void wp_worker_run(wp_worker *worker, wp_job job) {
  wp_thread_pool *pool = worker->pool;
  if (wp_job_is_engine(job)) {
    ((wp_job_function)(job.code & ~WP_JOB_TAGS))(job.argument);
  } else if ((wp_atomic_load(&pool->life, wp_relaxed) & WP_POOL_DISCARDING) != 0) {
    wp_pool_discard(pool, job);
  } else if ((job.code & WP_JOB_FOREIGN) != 0) {
    pool->hooks.run_foreign(pool->hooks.context, job);
  } else {
    ((wp_job_function)job.code)(job.argument);
  }
}

/// For a thread that a job has ended (`pthread_exit`), on that thread, whose frames are gone: tells whoever waits for what
/// it ran. Ends the process with a message if others still use those frames, or wait for a piece of fork-join work that it
/// ran: nobody could tell them.
void wp_worker_abandon(wp_worker *worker);

#ifdef __cplusplus
}
#endif

#endif
