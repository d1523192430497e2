// Killing a worker. It works, or the pool breaks and says why it does not.
#ifndef WP_HOST_KILL_H
#define WP_HOST_KILL_H

#include "wp_host_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// With the role, under the lock: kills a worker that has a pidfd, which gets no more tasks. A host that has lost the right
/// asks the template, which answers only if it has not got it either.
void wp_kill_worker(wp_process_pool *pool, uint32_t worker);
/// The same: nobody can kill the worker, by this error number.
void wp_kill_failed(wp_process_pool *pool, int number);
/// Kills a process and waits for its end: for a few seconds only, when there is no right to kill it. False when it lives.
bool wp_kill_and_wait(int pidfd);

#ifdef __cplusplus
}
#endif

#endif
