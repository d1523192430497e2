// How many CPUs' worth of time the cgroups of this process allow, and where these are.
#ifndef WP_CGROUP_H
#define WP_CGROUP_H

#include "wp_base.h"

#include <limits.h>

WP_BEGIN_DECLS

/// Resolves the tightest CPU quota of cgroup v1 and v2 over all visible ancestors, in CPUs, rounded up; 0 for none.
/// What cannot be read or understood does not limit. `scratch` must hold at least `WP_CGROUP_SCRATCH` bytes.
size_t wp_cgroup_quota(const char *sys_root, const char *proc_root, char *scratch, size_t capacity);

/// Room for /proc/self/cgroup; all beyond it is for mountinfo.
#define WP_CGROUP_SCRATCH ((size_t)64 * 1024)

typedef enum wp_cgroup_version { WP_CGROUP_V1, WP_CGROUP_V2 } wp_cgroup_version;

/// Where the files of a group are. Up to `mount_length` the path is that of the mount, above which nothing is seen.
typedef struct wp_cgroup_folder {
  wp_cgroup_version version;
  size_t mount_length;
  char path[PATH_MAX];
} wp_cgroup_folder;

/// Finds the group of this process in the hierarchy of a controller. False when it is not mounted, or not so that the
/// group is seen. `scratch` as above.
bool wp_cgroup_find(const char *proc_root, const char *controller, char *scratch, size_t capacity,
                    wp_cgroup_folder *folder);

WP_END_DECLS

#endif
