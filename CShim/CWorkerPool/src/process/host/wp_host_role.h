// The collector role: the thread that holds it completes tasks.
//
//             leader, collector CAS             collector CAS, wakes the leader
//     FREE ────────────────────────▶ HELD ───────────────────────────────────────▶ CLAIMED
//       ▲──────────────────────────────┴──────────── holder exchange ─────────────────┘
//
// Edge "role": the exchange to FREE releases all that the holder wrote to the next holder's CAS.
//
// Nobody sleeps through a result, because a thread that gives the role up has first stored WP_COLLECTOR_SLEEPS, then looked
// for news, and rings for the collector's thread if there are any. A leader gives it up at once when it is CLAIMED; before it
// sleeps it stores WP_LEADER_SLEEPS and looks again (Dekker with the CAS to CLAIMED and with a worker's store of DONE).
// The doorbell may still ring for a result that a leader has meanwhile seen: the collector's thread goes back to sleep
// if `host_sleeping` says that a leader has looked, or will look, since the worker did (all of these are seq_cst).
// Checked in Tests/Models/collector_role.pml.
#ifndef WP_HOST_ROLE_H
#define WP_HOST_ROLE_H

#include "wp_host_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Takes the role if it is free.
bool wp_role_take(wp_process_pool *pool);
void wp_role_give_up(wp_process_pool *pool);
/// For the collector's thread, which gets the role from the thread that has it.
void wp_role_take_back(wp_process_pool *pool);
/// With the role, before a last look for news. The sleep ends with a store of WP_NOBODY_SLEEPS, or in another's.
void wp_role_announce_sleep(wp_process_pool *pool, wp_host_sleeper sleeper);
/// Wakes a leader that sleeps. The pool's memory must be there.
void wp_role_wake_leader(wp_process_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
