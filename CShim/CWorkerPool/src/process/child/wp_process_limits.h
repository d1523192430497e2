// A worker's limits, from inside the worker.
//
// How passing them is told from other ways to die:
//   processor time  a timer raises SIGXCPU, which nothing else does unless asked to.
//   memory          an allocation fails, and what becomes of that is the task's: Swift traps, C++ aborts, C walks into
//                   NULL. So a handler of these faults notes how much private memory there was, and whether ENOMEM was
//                   the thread's last failure; then the process dies as it would have. The host takes a death for one
//                   of memory when that is so or when the worker stood within 1/16 of its limit (at least 1 MiB). A
//                   task that answers a failed allocation by exiting, or swallows it, is not recognised; one that
//                   survives a failed allocation and traps for another reason right after it is, wrongly. With a
//                   cgroup (host/wp_host_cgroup.h) the kernel kills as well, and counts that where the host can read it.
#ifndef WP_PROCESS_LIMITS_H
#define WP_PROCESS_LIMITS_H

#include "../../platform/wp_limits.h"
#include "wp_process_child.h"
#include "../shared/wp_process_message.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wp_worker_limits {
  wp_process_limits settings;
  /// Where to ask how much memory there is.
  int memory_use;
  int cpu_timer;
  bool has_timer;
  bool timer_runs;
  bool notes_faults;
  /// What the current task has lowered, 0 for nothing.
  uint64_t data_before;
  uint32_t tasks;
} wp_worker_limits;

/// Sets what holds for the worker's life; `parent` is its template. The call that failed, with `errno` set, or WP_CALL_NONE. [fork]
wp_call wp_limits_apply(wp_worker_limits *self, const wp_process_limits *settings, const wp_template *parent,
                        wp_channel_status *status);
/// In a child of the worker's, which is none itself.
void wp_limits_forget(void);
/// Before and after each task, with limits of its own or 0. Without limits, no system call.
void wp_limits_begin(wp_worker_limits *self, uint64_t cpu_ns, uint64_t memory);
void wp_limits_end(wp_worker_limits *self);
/// Counts a task. True when the worker has done what it may and should be replaced.
bool wp_limits_used_up(wp_worker_limits *self);

#ifdef __cplusplus
}
#endif

#endif
