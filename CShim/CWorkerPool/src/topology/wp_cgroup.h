// How many CPUs' worth of time the cgroups of this process allow.
#ifndef WP_CGROUP_H
#define WP_CGROUP_H

#include "wp_base.h"

WP_BEGIN_DECLS

/// Resolves the tightest CPU quota of cgroup v1 and v2 over all visible ancestors, in CPUs, rounded up; 0 for none.
/// What cannot be read or understood does not limit. `scratch` must hold at least `WP_CGROUP_SCRATCH` bytes.
size_t wp_cgroup_quota(const char *sys_root, const char *proc_root, char *scratch, size_t capacity);

/// Room for /proc/self/cgroup; all beyond it is for mountinfo.
#define WP_CGROUP_SCRATCH ((size_t)64 * 1024)

WP_END_DECLS

#endif
