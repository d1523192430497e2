// Cancelled jobs: how many of a pool's jobs were cancelled while they waited, and may still stand in a queue.
//
// Whoever cancels a future does not know whether its pool still exists: the last of its threads may have taken the job, done
// nothing with it and ended. So the counts belong to no pool: they stand in a table, by the pool's address. Two pools may
// share one, which costs a sweep (wp_sweep.h) for nothing now and then.
#ifndef WP_CANCELLED_H
#define WP_CANCELLED_H

#include "wp_thread_pool.h"

#ifdef __cplusplus
extern "C" {
#endif

/// A hint, as are the others. Any thread.
uint64_t wp_cancelled_count(const wp_thread_pool *pool);
void wp_cancelled_add(const wp_thread_pool *pool, uint64_t count);
/// Down to 0 at most.
void wp_cancelled_subtract(const wp_thread_pool *pool, uint64_t count);

#ifdef __cplusplus
}
#endif

#endif
