// Processes of a pool: starting the template, asking it for workers, hearing of deaths, ending all of it.
//
// All of this runs with the collector role, so none of it can race with itself; what others may look at changes under
// the lock. A worker's death reaches us as EXITED from the template, its parent; we see it as well, by its pidfd
// (wp_host_witness.h). The template's own death reaches us
// through its pidfd, and takes its workers with it (PR_SET_PDEATHSIG); we then wait on each worker's pidfd before
// their channels are used again.
#ifndef WP_HOST_WORKERS_H
#define WP_HOST_WORKERS_H

#include "wp_host_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Starts a template. The error's strings are static.
wp_status wp_workers_start_template(wp_process_pool *pool, wp_error *error);
/// Reads the template's reports.
void wp_workers_listen(wp_process_pool *pool);
/// The template is gone: waits until its workers are too, then sees what can go on.
void wp_workers_lose_template(wp_process_pool *pool);
/// Under the lock: does without the reports that a template, which somebody has stopped, owes for too long.
void wp_workers_see_silence(wp_process_pool *pool);
/// Ends template and workers and waits for them. False when some live on, because nobody may kill them.
bool wp_workers_end(wp_process_pool *pool);
bool wp_workers_are_absent(const wp_process_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
