// What the host can say of a worker's end. Everything here runs under the pool's lock.
#ifndef WP_HOST_DEATH_H
#define WP_HOST_DEATH_H

#include "wp_host_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// What a task's callback is told of its worker's death, beyond what stands in `wp_task_loss`. One allocation, which
/// belongs to the task.
struct wp_death {
  uint64_t peak_memory;
  wp_passed_limit passed;
  uint64_t limit;
  bool unset_pointer;
  size_t output_length;
  char output[];
};

/// Describes the end of a worker that had begun `task`. NULL without memory: the task then fails all the same.
wp_death *wp_death_describe(wp_process_pool *pool, const wp_host_worker *worker, const wp_task *task);
/// Adds it to an outcome, which is valid as long as `death`.
void wp_death_tell(const wp_death *death, wp_task_outcome *outcome);

/// A worker is gone: hears from its cgroup, if it had one, whether it was killed for memory.
void wp_death_note_memory(wp_process_pool *pool, wp_host_worker *worker);

/// Remembers what is known of a start that failed, for `wp_process_pool_breakage`, with the end of the worker, if it is one.
void wp_breakage_note(wp_process_pool *pool, const wp_host_worker *worker, const wp_process_breakage *known);
void wp_breakage_destroy(wp_process_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
