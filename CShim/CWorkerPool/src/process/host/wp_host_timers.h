// Timeouts, and the end of tasks that are told to end.
//
// No thread and no periodic wake-up: every round of the collector looks at the task that each worker may be running, if
// it is a watched one (a pool without watched tasks pays for one comparison), and `look_ns` says when a collector that
// sleeps has to make a round for their sake. A thread that sends a watched task, or takes the result of the one before
// it, moves it forward; only the check, once it has passed, moves it back. So a stream of tasks with the same timeout wakes
// the collector once in that time at most.
//
//     begun ───timeout───▶ asked to stop ───grace───▶ worker killed ──▶ WP_TASK_TIMED_OUT
//       └──terminate──────────────────────────────▶ worker killed ──▶ WP_TASK_TERMINATED
//
// A worker can lie about a start, but it is asked only once, and what it says is put between our sending and now.
//
// Killing must not cost a task that the worker begins between our decision and its death. So first everything behind
// the victim is taken back; when that fails, the next task was begun, hence the victim has ended, and is left alone.
#ifndef WP_HOST_TIMERS_H
#define WP_HOST_TIMERS_H

#include "wp_host_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// With the collector role, under the lock: asks and kills where it is due, and works out when to look again.
void wp_timers_check(wp_process_pool *pool);
/// Under the lock: the worker has ended the task that it may have been running. The thread that collects may be another
/// than the one that checks.
void wp_timers_moved_on(wp_process_pool *pool, uint32_t worker);

#ifdef __cplusplus
}
#endif

#endif
