// Memory cgroups for the workers of a pool: one for each, made, read and removed by the host.
//
//     RLIMIT_DATA   counts what a worker has reserved privately; past it, its own allocation fails
//     the cgroup    counts what it was the first to touch, whatever it is: private, shared, files, kernel memory; past
//                   it the kernel kills the worker, and counts that where the host can read it
//
// Where a cgroup may be made (wp_memory_cgroup_parent) is a matter of whose it is, and not only of permissions: a
// hierarchy has one writer, which may hand parts of it to others (Documentation/admin-guide/cgroup-v2.rst, "Delegation";
// systemd, "Control Group APIs and Delegation"). So what is not asked for by name is done only
//   - as a user other than root, where that user may write: the folder was handed over; or
//   - as root, which may write everywhere, where "user.delegate" or "trusted.delegate" of the folder says that it was
//     handed over.
//
// v1: below the own group, if limits are inherited there. v2: a group with processes cannot hand controllers to groups
// below it, so beside the own group, in its parent; below the own only where that is so already (the root).
//
// Rejected: a cgroup for the whole pool (one task would take its neighbours along); asking systemd over D-Bus (a
// dependency, and none in containers); moving the host out of the way (what is in its group is not ours to move).
#ifndef WP_HOST_CGROUP_H
#define WP_HOST_CGROUP_H

#include "../../topology/wp_cgroup.h"
#include "wp_process_pool.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Where the groups of a pool's workers go.
typedef struct wp_cgroup_parent {
  /// Their parent.
  wp_cgroup_folder folder;
  /// v2: its `cgroup.subtree_control` has to be given the memory controller first.
  bool enable;
} wp_cgroup_parent;

/// Finds the parent; changes nothing. NULL, or the rule that forbids it, which is static. `asked_for`: the caller says
/// that the cgroup is the program's to use.
const char *wp_memory_cgroup_parent(const char *proc_root, bool asked_for, wp_cgroup_parent *parent);

/// Removes groups of pools whose host was killed: named as ours, after a process that is not, and empty.
void wp_memory_cgroup_sweep(const char *parent);

/// The groups of one pool.
typedef struct wp_memory_cgroups wp_memory_cgroups;

/// Makes a group for each worker, each with the limit. On failure `*result` is NULL, nothing is left, and `error` says
/// why.
wp_status wp_memory_cgroups_create(const char *proc_root, const wp_process_pool_config *config, uint32_t worker_count,
                                   wp_memory_cgroups **result, wp_error *error);
/// Removes those that are empty; a process that a worker has left behind, and that cannot be killed, keeps its own until
/// the next sweep. NULL does nothing.
void wp_memory_cgroups_destroy(wp_memory_cgroups *self);

/// Opens what the worker joins its group by, which is made if it is not there: for a worker that was added, or because
/// somebody has removed it. -1 with `errno` set.
int wp_memory_cgroup_door(wp_memory_cgroups *self, uint32_t index);

/// Kills what the worker, whose end is known, has left in its group. Only v2 can (Linux 5.14); elsewhere it does nothing.
void wp_memory_cgroup_kill(const wp_memory_cgroups *self, uint32_t index);

/// Whether the kernel has killed for memory in the worker's group since the last call, and if so the most bytes that
/// the group ever held, 0 when nobody could tell.
bool wp_memory_cgroup_killed(wp_memory_cgroups *self, uint32_t index, uint64_t *peak);

#ifdef __cplusplus
}
#endif

#endif
