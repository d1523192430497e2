// CPU quotas of cgroup v1, v2 and hybrid systems, and where the files of the own groups are.
//
// Purpose: a container with a quota of 2 CPUs on a 64-core machine must not start 64 workers: they would burn the
// period's budget in its first milliseconds and then all stand still.
//
// Three files of the kernel take part:
// - /proc/self/cgroup (cgroups(7), "/proc files"): "hierarchy:controllers:path", "0::path" for v2. The path is seen
//   from the root of the reader's cgroup namespace and may climb out of it ("/../sibling").
// - /proc/self/mountinfo (Documentation/filesystems/proc.rst, 3.5): which subtree ("root", field 4) of a hierarchy
//   stands at which mount point (field 5). Blanks in paths are octal escapes (fs/proc_namespace.c, mangle()).
// - the quota itself: cpu.max is "max 100000" or "150000 100000" (Documentation/admin-guide/cgroup-v2.rst); v1 has
//   cpu.cfs_quota_us, -1 for none, and cpu.cfs_period_us (Documentation/scheduler/sched-bwc.rst).
//
// Where the group's files are, for a path P, a mount root R and a mount point M:
//   P == R or P below R   M + (P minus R). Every folder from there up to M is an ancestor and may have a quota; v2
//                         does not force a child's ratio below its parent's, so the minimum is taken over all.
//   otherwise             M alone. Container runtimes mount the container's own group there even where P is shown in
//                         another namespace's terms (nested containers, a v1 host without cgroup namespaces,
//                         R = "/.." when the mount is older than the namespace).
// A folder on the way that is missing or has no such file (the root group never has) sets no limit.
//
// Rejected: /sys/fs/cgroup by convention (right on most hosts, wrong for bind mounts and nested containers); sizing by
// cpu.shares or cpu.weight (relative weights, not limits: the JVM tried and went back, JDK-8281181).
#include "wp_cgroup.h"

#include "wp_text.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/// One line of mountinfo that shows the hierarchy of a controller.
typedef struct wp_cgroup_mount {
  wp_cgroup_version version;
  char root[PATH_MAX];
  char point[PATH_MAX];
} wp_cgroup_mount;

/// The only number of the text; false when there is anything else.
static bool wp_cgroup_number(wp_text text, uint64_t *number) {
  wp_text_skip_blanks(&text);
  if (!wp_text_take_number(&text, UINT64_MAX, number)) return false;
  wp_text_skip_blanks(&text);
  return wp_text_is_empty(text);
}

/// Reads the quota that stands in one folder, in CPUs rounded up; `SIZE_MAX` for none.
static size_t wp_cgroup_folder_quota(const char *folder, wp_cgroup_version version) {
  char first[128], second[128];
  wp_text quota_text, period_text;
  uint64_t quota, period;
  if (version == WP_CGROUP_V2) {
    if (!wp_text_read(&period_text, first, sizeof first, "%s/cpu.max", folder)) return SIZE_MAX;
    quota_text = wp_text_take_until(&period_text, ' ');
  } else {
    if (!wp_text_read(&quota_text, first, sizeof first, "%s/cpu.cfs_quota_us", folder)) return SIZE_MAX;
    if (!wp_text_read(&period_text, second, sizeof second, "%s/cpu.cfs_period_us", folder)) return SIZE_MAX;
  }
  // "max" and "-1" are no numbers, which is how no limit comes out of this.
  if (!wp_cgroup_number(quota_text, &quota) || !wp_cgroup_number(period_text, &period)) return SIZE_MAX;
  if (quota == 0 || period == 0) return SIZE_MAX;
  return (size_t)(quota / period + (quota % period != 0));
}

/// The tightest quota from `base` + `relative` up to `base` itself. `relative` is empty or begins with a slash.
static size_t wp_cgroup_walk(const char *base, wp_text relative, wp_cgroup_version version) {
  char folder[PATH_MAX];
  int length = snprintf(folder, sizeof folder, "%s%.*s", base, (int)wp_text_length(relative), relative.next);
  size_t base_length = strlen(base);
  if (length < 0 || (size_t)length >= sizeof folder) return SIZE_MAX;
  size_t tightest = SIZE_MAX;
  for (;;) {
    size_t quota = wp_cgroup_folder_quota(folder, version);
    if (quota < tightest) tightest = quota;
    char *slash = strrchr(folder + base_length, '/');
    if (slash == NULL) return tightest;
    *slash = '\0';
  }
}

/// Copies a path of mountinfo, undoing its octal escapes, without trailing slashes ("/" becomes ""). False when it
/// does not fit or is not absolute.
static bool wp_cgroup_unescape(wp_text text, char *path, size_t capacity) {
  size_t length = 0;
  if (wp_text_is_empty(text) || *text.next != '/') return false;
  while (!wp_text_is_empty(text)) {
    const char *c = text.next;
    char byte = *c;
    size_t width = 1;
    if (byte == '\\' && wp_text_length(text) >= 4 && c[1] >= '0' && c[1] <= '3' && c[2] >= '0' && c[2] <= '7' &&
        c[3] >= '0' && c[3] <= '7') {
      byte = (char)((c[1] - '0') * 64 + (c[2] - '0') * 8 + (c[3] - '0'));
      width = 4;
    }
    if (byte == '\0' || length + 1 >= capacity) return false;
    path[length++] = byte;
    text.next += width;
  }
  while (length > 0 && path[length - 1] == '/') length--;
  path[length] = '\0';
  return true;
}

/// Reads "36 35 98:0 /root /point rw,noatime master:1 - cgroup cgroup rw,cpu,cpuacct". False for any other kind of
/// mount, and for a line that is cut short.
static bool wp_cgroup_parse_mount(wp_text line, const char *controller, wp_cgroup_mount *mount) {
  for (int field = 0; field < 3; field++) wp_text_take_until(&line, ' ');
  wp_text root = wp_text_take_until(&line, ' ');
  wp_text point = wp_text_take_until(&line, ' ');
  wp_text_take_until(&line, ' ');
  for (;;) {  // optional fields, as many as there are
    if (wp_text_is_empty(line)) return false;
    if (wp_text_equals(wp_text_take_until(&line, ' '), "-")) break;
  }
  wp_text type = wp_text_take_until(&line, ' ');
  wp_text_take_until(&line, ' ');
  if (wp_text_equals(type, "cgroup2")) {
    mount->version = WP_CGROUP_V2;
  } else if (wp_text_equals(type, "cgroup") && wp_text_has_part(line, ',', controller)) {
    mount->version = WP_CGROUP_V1;
  } else {
    return false;
  }
  return wp_cgroup_unescape(root, mount->root, sizeof mount->root) &&
         wp_cgroup_unescape(point, mount->point, sizeof mount->point);
}

/// Whether `path` lies at or below the mount's root; `relative` is then the way from there.
static bool wp_cgroup_mount_shows(const wp_cgroup_mount *mount, wp_text path, wp_text *relative) {
  size_t length = strlen(mount->root);
  if (wp_text_length(path) < length || memcmp(path.next, mount->root, length) != 0) return false;
  path.next += length;
  if (wp_text_equals(path, "/")) path.next = path.end;
  if (!wp_text_is_empty(path) && *path.next != '/') return false;
  *relative = path;
  return !wp_text_has_part(path, '/', "..");
}

/// Finds the paths of the process in /proc/self/cgroup, by version; an empty text where it has none.
static void wp_cgroup_parse_membership(wp_text file, const char *controller, wp_text paths[2]) {
  paths[WP_CGROUP_V1] = paths[WP_CGROUP_V2] = wp_text_of("");
  while (!wp_text_is_empty(file)) {
    wp_text path = wp_text_take_until(&file, '\n');
    wp_text hierarchy = wp_text_take_until(&path, ':');
    wp_text controllers = wp_text_take_until(&path, ':');  // what is left may hold colons of its own
    if (wp_text_is_empty(path) || *path.next != '/') continue;
    if (wp_text_equals(hierarchy, "0") && wp_text_is_empty(controllers)) {
      paths[WP_CGROUP_V2] = path;
    } else if (wp_text_has_part(controllers, ',', controller)) {
      paths[WP_CGROUP_V1] = path;
    }
  }
}

/// The tightest quota of one version over the mounts that show the process's own group, or, when none does, over the
/// mounts there are.
static size_t wp_cgroup_mounted_quota(wp_text mountinfo, const char *prefix, wp_cgroup_version version, wp_text path) {
  size_t tightest = SIZE_MAX, tightest_outside = SIZE_MAX;
  bool shown = false;
  while (!wp_text_is_empty(mountinfo)) {
    wp_cgroup_mount mount;
    char base[PATH_MAX];
    wp_text relative;
    if (!wp_cgroup_parse_mount(wp_text_take_until(&mountinfo, '\n'), "cpu", &mount)) continue;
    if (mount.version != version) continue;
    int length = snprintf(base, sizeof base, "%s%s", prefix, mount.point);
    if (length < 0 || (size_t)length >= sizeof base) continue;
    bool shows = wp_cgroup_mount_shows(&mount, path, &relative);
    size_t quota = wp_cgroup_walk(base, shows ? relative : wp_text_of(""), version);
    size_t *minimum = shows ? &tightest : &tightest_outside;
    if (quota < *minimum) *minimum = quota;
    shown = shown || shows;
  }
  return shown ? tightest : tightest_outside;
}

/// Where systemd and its imitators mount the hierarchies, for want of a readable mountinfo.
static size_t wp_cgroup_conventional_quota(const char *sys_root, wp_cgroup_version version, wp_text path) {
  static const char *const v1_folders[] = {"cpu", "cpu,cpuacct"};
  char base[PATH_MAX];
  size_t tightest = SIZE_MAX;
  if (wp_text_equals(path, "/") || wp_text_has_part(path, '/', "..")) path = wp_text_of("");
  for (size_t i = 0; i < (version == WP_CGROUP_V1 ? 2u : 1u); i++) {
    int length = version == WP_CGROUP_V1 ? snprintf(base, sizeof base, "%s/fs/cgroup/%s", sys_root, v1_folders[i])
                                         : snprintf(base, sizeof base, "%s/fs/cgroup", sys_root);
    if (length < 0 || (size_t)length >= sizeof base) continue;
    size_t quota = wp_cgroup_walk(base, path, version);
    if (quota < tightest) tightest = quota;
  }
  return tightest;
}

/// What to put before a mount point: nothing for the machine's own /proc, else the folder that `proc_root` stands in.
static bool wp_cgroup_mount_prefix(const char *proc_root, char *prefix, size_t capacity) {
  if (strcmp(proc_root, "/proc") == 0 || strcmp(proc_root, "/proc/") == 0) {
    prefix[0] = '\0';
    return true;
  }
  size_t length = strlen(proc_root);
  while (length > 0 && proc_root[length - 1] == '/') length--;
  while (length > 0 && proc_root[length - 1] != '/') length--;
  while (length > 0 && proc_root[length - 1] == '/') length--;
  int written = length > 0 ? snprintf(prefix, capacity, "%.*s", (int)length, proc_root)
                           : snprintf(prefix, capacity, "%s", proc_root[0] == '/' ? "" : ".");
  return written >= 0 && (size_t)written < capacity;
}

size_t wp_cgroup_quota(const char *sys_root, const char *proc_root, char *scratch, size_t capacity) {
  char prefix[PATH_MAX];
  wp_text membership, mountinfo = wp_text_of(""), paths[2];
  if (!wp_text_read(&membership, scratch, WP_CGROUP_SCRATCH, "%s/self/cgroup", proc_root)) return 0;
  wp_cgroup_parse_membership(membership, "cpu", paths);
  bool mounts_known = wp_cgroup_mount_prefix(proc_root, prefix, sizeof prefix) &&
                      wp_text_read(&mountinfo, scratch + WP_CGROUP_SCRATCH, capacity - WP_CGROUP_SCRATCH,
                                   "%s/self/mountinfo", proc_root);
  size_t tightest = SIZE_MAX;
  for (int i = WP_CGROUP_V1; i <= WP_CGROUP_V2; i++) {
    wp_cgroup_version version = (wp_cgroup_version)i;
    if (wp_text_is_empty(paths[i])) continue;
    size_t quota = mounts_known ? wp_cgroup_mounted_quota(mountinfo, prefix, version, paths[i])
                                : wp_cgroup_conventional_quota(sys_root, version, paths[i]);
    if (quota < tightest) tightest = quota;
  }
  return tightest == SIZE_MAX ? 0 : tightest;
}

bool wp_cgroup_find(const char *proc_root, const char *controller, char *scratch, size_t capacity,
                    wp_cgroup_folder *folder) {
  char prefix[PATH_MAX];
  wp_text membership, mountinfo, paths[2];
  if (!wp_cgroup_mount_prefix(proc_root, prefix, sizeof prefix) ||
      !wp_text_read(&membership, scratch, WP_CGROUP_SCRATCH, "%s/self/cgroup", proc_root) ||
      !wp_text_read(&mountinfo, scratch + WP_CGROUP_SCRATCH, capacity - WP_CGROUP_SCRATCH, "%s/self/mountinfo",
                    proc_root)) {
    return false;
  }
  wp_cgroup_parse_membership(membership, controller, paths);
  // A controller that is in a hierarchy of v1 is in no other.
  folder->version = wp_text_is_empty(paths[WP_CGROUP_V1]) ? WP_CGROUP_V2 : WP_CGROUP_V1;
  wp_text path = paths[folder->version];
  while (!wp_text_is_empty(path) && !wp_text_is_empty(mountinfo)) {
    wp_cgroup_mount mount;
    wp_text relative;
    if (!wp_cgroup_parse_mount(wp_text_take_until(&mountinfo, '\n'), controller, &mount)) continue;
    if (mount.version != folder->version || !wp_cgroup_mount_shows(&mount, path, &relative)) continue;
    int base = snprintf(folder->path, sizeof folder->path, "%s%s", prefix, mount.point);
    if (base < 0 || (size_t)base + wp_text_length(relative) >= sizeof folder->path) continue;
    memcpy(folder->path + base, relative.next, wp_text_length(relative));
    folder->path[(size_t)base + wp_text_length(relative)] = '\0';
    folder->mount_length = (size_t)base;
    return true;
  }
  return false;
}
