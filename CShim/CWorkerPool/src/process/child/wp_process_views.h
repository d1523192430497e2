// Shared memories in a worker: what came over its socket, mapped, by cell. See host/wp_host_share.h.
//
// The list belongs to the worker's loop; the lock is for other threads of the task, which may ask for a view.
#ifndef WP_PROCESS_VIEWS_H
#define WP_PROCESS_VIEWS_H

#include "../shared/wp_process_layout.h"

#ifdef __cplusplus
extern "C" {
#endif

// On the thread of the worker's loop.

/// Before the first task: forgets what an outer worker had, when this one is the fork of another pool's. [fork]
void wp_views_forget(void);
/// Receives what comes with the request at `position`, and what earlier ones brought and is still under way. False when
/// something that came cannot be had now.
bool wp_views_receive(int socket, const wp_geometry *geometry, const wp_request_slot *request, uint32_t position);
/// Unmaps what its cells no longer name, which may be what has just come.
void wp_views_follow(const wp_channel *channel, const wp_geometry *geometry);

#ifdef __cplusplus
}
#endif

#endif
