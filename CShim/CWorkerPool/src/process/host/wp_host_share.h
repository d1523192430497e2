// Giving shared memories to workers.
//
// A worker has *cells*, each of which may hold one memory. Which memory that is, by id, stands in the host part of its
// channel, where the worker can read it but not write; the memory itself, a descriptor, travels over the worker's own
// socket, sent just before the first request that carries it is published, in one message for all that the request
// brings. The worker takes one message for each such request, whether it runs the task or steps over it, so what is
// under way is bounded by its slots.
//
//     EMPTY ──▶ GIVEN (id) ──▶ EMPTY (the host ended the memory, or the worker) ──▶ GIVEN (another id)
//                  └───────────────────── evicted, oldest first ────────────────────▲
//
// A cell is not emptied for another memory while a task in one of the worker's slots uses it (`cell_uses`). A worker
// unmaps what its cells no longer name before it takes a task and before it sleeps; one that sleeps is woken for it.
// Edge "cells": the host's store to `cells_revision` releases the cells to the worker's load.
//
// A worker that cannot have a memory that it was sent (it is short of memory, address space or descriptors) says that it missed
// one, and not which: its word buys no more than that the memories of all its cells are sent once more, into the same
// cells, with the next tasks that carry them. A message that it could not get is read with the next.
//
// Rejected: a descriptor of the pool's memory file in the worker (it could map its neighbours); names (anybody could
// open them); read-only descriptors for memories that others may write (a worker of the same user opens
// /proc/self/fd/N anew); messages that say what to unmap (a worker in a long task would let them pile up).
#ifndef WP_HOST_SHARE_H
#define WP_HOST_SHARE_H

#include "wp_host_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Enters a pool that is ready into the list of all pools, and takes it out if it is there.
void wp_share_join(wp_process_pool *pool);
void wp_share_leave(wp_process_pool *pool);
/// Under the lock: a new worker has nothing.
void wp_share_reset(wp_process_pool *pool, uint32_t worker);
/// Under the lock: sends what the task carries and the worker does not have, and says so in the request.
void wp_share_deliver(wp_process_pool *pool, uint32_t worker, uint32_t position, const wp_task *task);

#ifdef __cplusplus
}
#endif

#endif
