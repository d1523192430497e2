// The memory of a pool as the host has it mapped, and its table of workers.
//
// The files are laid out for `WP_PROCESS_POOL_MAX_WORKERS` from the start. They are sparse, so a channel costs nothing until
// it is mapped, which happens when its worker is first wanted. The address space of a host, a limit on it, and what the kernel
// asks of other processes so depend on the workers that there were, not on those that there may be. The given file alone is
// mapped as a whole, before it is sealed: a few kilobytes for each worker. A worker's own file is made with its channel, and
// costs the host a descriptor.
// Rejected: mapping buffers for all at once (1024 workers with the default payload take 72 TiB).
#ifndef WP_HOST_ROOM_H
#define WP_HOST_ROOM_H

#include "wp_host_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Before anybody else knows the pool: a table for all workers that there may be. False without memory.
bool wp_room_allocate(wp_process_pool *pool);
void wp_room_free(wp_process_pool *pool);
/// Before anybody else knows the pool: makes the files, and maps what every pool has. `WP_SYSTEM_CALL_FAILED` by the call's
/// name; what was made stays.
wp_status wp_room_open(wp_process_pool *pool, wp_error *error);
/// Under the lock: closes the files. What is mapped stays.
void wp_room_close(wp_process_pool *pool);
/// Where the initializer's argument stands.
void *wp_room_initializer(const wp_process_pool *pool);
/// Under the lock, or before anybody else knows the pool: maps the channels of the workers below `count`. Errors as above; that
/// of lacking address space says what takes it.
wp_status wp_room_map(wp_process_pool *pool, uint32_t count, wp_error *error);
/// Has the pages of a worker's channel come from a node; an `errno`, 0 when that is done.
int wp_room_prefer(const wp_process_pool *pool, const wp_host_worker *worker, int node);
/// Unmaps the memory of a pool without processes whose given file is at `head`; NULL does nothing.
void wp_room_unmap(wp_process_pool *pool, wp_pool_head *head);
/// What a worker has printed to a stream, NULL when that is not captured.
wp_output_ring *wp_room_output(const wp_process_pool *pool, const wp_host_worker *worker, uint32_t stream);
/// The index of a worker in the pool's table.
static inline uint32_t wp_room_index(const wp_process_pool *pool, const wp_host_worker *worker) {
  return (uint32_t)(worker - pool->workers);
}

#ifdef __cplusplus
}
#endif

#endif
