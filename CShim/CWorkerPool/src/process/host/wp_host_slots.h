// The slots of workers: sending a task, taking it back, asking about it. And the lists of workers by how many of their
// slots are occupied.
//
// A worker that begins a task just as it is to be taken back wins: the slot's word goes from READY to STARTED or to
// REVOKED, never to both. All of this runs under the pool's lock.
#ifndef WP_HOST_SLOTS_H
#define WP_HOST_SLOTS_H

#include "wp_host_bell.h"
#include "wp_host_payload.h"
#include "wp_host_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Puts the worker where its load and state say it belongs.
void wp_slots_list(wp_process_pool *pool, uint32_t worker);
void wp_slots_unlist(wp_process_pool *pool, uint32_t worker);
/// Puts a task into the worker's next slot and publishes it. The argument is in `payload->buffer` already, or is copied
/// into it now.
void wp_slots_send(wp_process_pool *pool, uint32_t worker, uint32_t task, const wp_payload *payload,
                   wp_wakes *wakes);
/// Takes a sent task back if its worker has not begun it. Its slot stays occupied until the worker steps over it.
bool wp_slots_revoke(wp_process_pool *pool, uint32_t task);
/// Frees the buffers of a slot that was taken back, or whose worker is dead.
void wp_slots_free_buffers(wp_host_worker *worker, wp_sent *sent);

/// The word of the slot at a position, as its worker left it.
uint32_t wp_slots_word(const wp_process_pool *pool, const wp_host_worker *worker, uint32_t position);
/// Whether the task is being run, as far as its worker tells. A worker passes its slots in order: what it says of one that stands
/// behind another which it has not passed is a lie.
bool wp_task_runs(const wp_process_pool *pool, const wp_task *task);
/// Asks a task that runs to stop.
void wp_task_ask(wp_process_pool *pool, const wp_task *task, wp_stop_reason reason);

#ifdef __cplusplus
}
#endif

#endif
