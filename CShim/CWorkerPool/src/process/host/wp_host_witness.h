// Workers' ends as the host sees them, by their pidfds: a template that somebody has stopped tells nothing. It is continued,
// and passed by when that does not help.
#ifndef WP_HOST_WITNESS_H
#define WP_HOST_WITNESS_H

#include "wp_host_state.h"

#ifdef __cplusplus
extern "C" {
#endif

// With the collector role.

/// Makes the descriptor that becomes readable when the template ends, or a worker. False with `errno` set ("epoll_create1").
bool wp_witness_open(wp_process_pool *pool);
/// The template has a pidfd from now on. False with `errno` set ("epoll_ctl").
bool wp_witness_begin_template(wp_process_pool *pool);
void wp_witness_close(wp_process_pool *pool);
/// The worker has a pidfd from now on. Under the lock, as the next.
void wp_witness_begin(wp_process_pool *pool, uint32_t worker);
/// The worker's pidfd is about to be closed.
void wp_witness_end(wp_process_pool *pool, uint32_t worker);
/// Under the lock: the template owes a report about the worker.
void wp_witness_expect(wp_process_pool *pool, uint32_t worker);
/// The descriptor is readable. Whether the template has ended.
bool wp_witness_look(wp_process_pool *pool);
/// Lets a template go on that somebody has stopped.
void wp_witness_continue_template(const wp_process_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
