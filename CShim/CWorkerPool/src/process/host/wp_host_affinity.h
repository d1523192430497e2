// Where workers go: the CPU that each is pinned to, and the node that holds the memory it shares with the host.
//
// Placement is a preference. What was refused when the pool was made is an error there (a CPU or node that is not
// granted, by name); what the system takes away or forbids later costs the placement and not the pool: a worker whose
// CPU is gone floats, on all CPUs that its parent may use, and memory that cannot be placed lies where it is touched
// first. Either is said once, by the collector's thread, since a worker has nobody to tell and the lock is no place for
// a user's handler.
//
// A CPU is gone when the kernel refuses it (it is unplugged, or outside of the cpuset), which the worker finds out; or
// when it has left the collector's own mask, which root's workers would not notice.
//
// The policy set here is that of the memory file's range, not of the host's mapping: pages that a worker touches first
// lie on its node as well, and so do those that come after pages were given back.
#ifndef WP_HOST_AFFINITY_H
#define WP_HOST_AFFINITY_H

#include "wp_host_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Places `*count` workers, after putting what the process is granted now for a count of 0. `*places` is the caller's to
/// free, NULL when workers float. Reads the topology, if it has to, as the calling thread sees it; `anew`, as the process
/// does, and a choice that was granted before and is not any more is no error then: there are no places.
wp_status wp_places_find(const wp_affinity_choice *affinity, bool anew, uint32_t *count, wp_place **places,
                         wp_error *error);

/// Keeps the choice, and which CPUs the calling thread may use now, for `wp_places_prepare`. False without memory.
bool wp_places_keep(wp_process_pool *pool, const wp_affinity_choice *affinity);
void wp_places_destroy(wp_process_pool *pool);
/// Where the next process of a worker goes that is not placed yet; `places` may be NULL.
void wp_places_assign(wp_process_pool *pool, uint32_t worker, const wp_place *places);

/// On the collector's thread, under the lock, before anything of the worker's channel is touched for its next process:
/// prefers its node for the channel's memory, and returns the CPU to pin it to, -1 for one that floats or whose CPU is
/// gone. One mask is read when it is to be pinned, and on a machine with one node no other system call is made.
int wp_places_prepare(wp_process_pool *pool, uint32_t worker);
/// Under the lock: what a worker that is ready says of its pinning.
void wp_places_note(wp_process_pool *pool, uint32_t worker);
/// Without the lock: says what was noted.
void wp_places_give_notice(const wp_pending_notices *notices);

#ifdef __cplusplus
}
#endif

#endif
