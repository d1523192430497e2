// One process of a worker: asking the template for it, or to kill it, and what is let go of when it is gone.
//
// Whether it is asked for is decided under the lock, and the template is asked without: a send may take as long as it likes
// (a security module, a page of the program's that was swapped out), and nobody who submits waits for it. Few are asked for at
// a time. A template forks one after the other, and a program with much memory takes a while to fork.
#ifndef WP_HOST_SPAWN_H
#define WP_HOST_SPAWN_H

#include "wp_host_state.h"

#ifdef __cplusplus
extern "C" {
#endif

// With the collector role.

/// Under the lock: has the absent workers that are wanted and due asked for, as many as may be at once.
void wp_spawn_what_is_due(wp_process_pool *pool);
/// When the next one is due, UINT64_MAX when none is, or when only a report of the template makes it so.
uint64_t wp_spawn_deadline(const wp_process_pool *pool);
/// Without the lock: sends what the template has to be asked. Never blocks.
void wp_spawn_send_orders(wp_process_pool *pool);
/// Under the lock: a worker's process is gone. `loss` says why nobody knows how it ended, and is NULL when the wait status
/// tells.
void wp_worker_gone(wp_process_pool *pool, uint32_t worker, int wait_status, const char *loss);

#ifdef __cplusplus
}
#endif

#endif
