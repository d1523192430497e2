#include "wp_host_cgroup.h"

#include "../../base/wp_atomic.h"
#include "../../base/wp_error.h"
#include "../../topology/wp_text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

/// Groups are called worker-pool.<name>-<process>-<pool>-<worker>, the pools of a process being numbered.
#define WP_GROUP_PREFIX "worker-pool."
#define WP_GROUP_NAME_BYTES 128
#define WP_PARENT_SCRATCH ((size_t)1 << 20)
#define WP_REMOVE_TRIES 100
#define WP_SETTING "limits.memory_cgroup"

struct wp_memory_cgroups {
  wp_cgroup_version version;
  uint64_t limit;
  uint32_t count;
  uint32_t pool;
  char name[WP_GROUP_NAME_BYTES];
  char parent[PATH_MAX];
  /// By worker: the kills that were counted so far.
  uint64_t kills[];
};

// MARK: Files

/// Reads a small file of a group.
static bool read_file(wp_text *text, char *buffer, size_t capacity, const char *group, const char *file) {
  return wp_text_read(text, buffer, capacity, "%s/%s", group, file);
}

static int open_file(const char *path) {
  int descriptor;
  do descriptor = open(path, O_WRONLY | O_CLOEXEC);
  while (descriptor < 0 && errno == EINTR);
  return descriptor;
}

/// 0, or an error number.
static int write_file(const char *group, const char *file, const char *value) {
  char path[PATH_MAX];
  int length = snprintf(path, sizeof path, "%s/%s", group, file);
  if (length < 0 || (size_t)length >= sizeof path) return ENAMETOOLONG;
  int descriptor = open_file(path);
  if (descriptor < 0) return errno;
  ssize_t written;
  do written = write(descriptor, value, strlen(value));
  while (written < 0 && errno == EINTR);  // a limit of v1 is not even tried while a signal is pending
  int error = written < 0 ? errno : 0;
  close(descriptor);
  return error;
}

static bool may_write(const char *group, const char *file) {
  char path[PATH_MAX];
  int length = snprintf(path, sizeof path, "%s/%s", group, file);
  return length >= 0 && (size_t)length < sizeof path && eaccess(path, W_OK) == 0;
}

// MARK: The parent

static bool is_marked(const char *group, const char *attribute) {
  char value[4];
  return getxattr(group, attribute, value, sizeof value) == 1 && value[0] == '1';
}

/// Whether groups may be made in this one. NULL, or why not.
static const char *refuse_parent(const char *parent, bool asked_for) {
  if (eaccess(parent, W_OK | X_OK) != 0 || !may_write(parent, "cgroup.procs")) {
    return "the cgroup in which those of the workers would be made may not be written to";
  }
  if (asked_for || geteuid() != 0) return NULL;
  if (is_marked(parent, "user.delegate") || is_marked(parent, "trusted.delegate")) return NULL;
  return "the cgroup in which those of the workers would be made is not marked as delegated, and that root may write "
         "to it says nothing";
}

/// Whether a file of blank-separated names, as `cgroup.controllers` is, has "memory" in it.
static bool names_memory(const char *group, const char *file) {
  char buffer[1024];
  wp_text text, line;
  if (!read_file(&text, buffer, sizeof buffer, group, file)) return false;
  line = wp_text_take_until(&text, '\n');
  return wp_text_has_part(line, ' ', "memory");
}

static const char *parent_v1(wp_cgroup_parent *parent, bool asked_for) {
  char buffer[64];
  wp_text text;
  const char *own = parent->folder.path;
  // Kernels that have no choice any more always inherit, and may have no such file.
  if (read_file(&text, buffer, sizeof buffer, own, "memory.use_hierarchy") && wp_text_take(&text, '0')) {
    return "memory.use_hierarchy is 0: the workers would leave the limits of the program's own cgroup";
  }
  return refuse_parent(own, asked_for);
}

static const char *parent_v2(wp_cgroup_parent *parent, bool asked_for) {
  char *path = parent->folder.path;
  if (names_memory(path, "cgroup.subtree_control")) return refuse_parent(path, asked_for);
  char *slash = strrchr(path + parent->folder.mount_length, '/');
  if (slash == NULL) {
    return "the program's own cgroup is the topmost that it sees, and one that holds processes cannot give the memory "
           "controller to cgroups below it";
  }
  *slash = '\0';
  const char *refusal = refuse_parent(path, asked_for);
  if (refusal != NULL) return refusal;
  if (!names_memory(path, "cgroup.controllers")) return "the parent of the program's cgroup has no memory controller";
  parent->enable = !names_memory(path, "cgroup.subtree_control");
  if (!parent->enable) return NULL;
  char buffer[64];
  wp_text processes;
  // What is too long for the buffer is not empty.
  if (read_file(&processes, buffer, sizeof buffer, path, "cgroup.procs") && wp_text_is_empty(processes)) return NULL;
  return "the parent of the program's cgroup holds processes, and so cannot give the memory controller to cgroups "
         "below it";
}

const char *wp_memory_cgroup_parent(const char *proc_root, bool asked_for, wp_cgroup_parent *parent) {
  memset(parent, 0, sizeof *parent);
  char *scratch = (char *)malloc(WP_PARENT_SCRATCH);
  if (scratch == NULL) return "there is no memory to read /proc/self/mountinfo into";
  bool found = wp_cgroup_find(proc_root, "memory", scratch, WP_PARENT_SCRATCH, &parent->folder);
  free(scratch);
  if (!found) return "no cgroup of the program with a memory controller is mounted";
  return parent->folder.version == WP_CGROUP_V1 ? parent_v1(parent, asked_for) : parent_v2(parent, asked_for);
}

// MARK: Names

/// What a group's name may hold of the pool's.
static void put_name(char *name, size_t capacity, const char *pool) {
  size_t length = 0;
  for (; pool[length] != '\0' && length + 1 < capacity; length++) {
    char c = pool[length];
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
    name[length] = plain ? c : '_';
  }
  name[length] = '\0';
}

/// The path of a worker's group, or of one of its files.
static bool put_path(char path[PATH_MAX], const wp_memory_cgroups *self, uint32_t index, const char *file) {
  int length = snprintf(path, PATH_MAX, "%s/" WP_GROUP_PREFIX "%s-%d-%u-%u%s", self->parent, self->name, (int)getpid(),
                        self->pool, index, file);
  return length >= 0 && length < PATH_MAX;
}

/// Takes "-number" off the end of the name.
static bool take_last_number(wp_text *name, uint64_t limit, uint64_t *number) {
  const char *dash = (const char *)memrchr(name->next, '-', wp_text_length(*name));
  if (dash == NULL) return false;
  wp_text digits = {dash + 1, name->end};
  name->end = dash;
  return wp_text_take_number(&digits, limit, number) && wp_text_is_empty(digits);
}

/// The process that a group is named after, 0 for a name that is not ours.
static pid_t process_of(const char *entry) {
  uint64_t worker, pool, process;
  if (strncmp(entry, WP_GROUP_PREFIX, strlen(WP_GROUP_PREFIX)) != 0) return 0;
  wp_text name = wp_text_of(entry);
  if (!take_last_number(&name, UINT32_MAX, &worker) || !take_last_number(&name, UINT32_MAX, &pool) ||
      !take_last_number(&name, INT32_MAX, &process)) {
    return 0;
  }
  return (pid_t)process;
}

void wp_memory_cgroup_sweep(const char *parent) {
  DIR *folder = opendir(parent);
  if (folder == NULL) return;
  for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
    pid_t process = process_of(entry->d_name);
    if (process == 0 || kill(process, 0) == 0 || errno != ESRCH) continue;
    // Fails for one that is in use, as by a pool that sees other process ids than we do.
    unlinkat(dirfd(folder), entry->d_name, AT_REMOVEDIR);
  }
  closedir(folder);
}

// MARK: Making and removing

typedef struct wp_cgroup_setting {
  const char *file;
  const char *value;
  const char *call;  // NULL for what not every kernel has
} wp_cgroup_setting;

static wp_status apply(const wp_memory_cgroups *self, const char *group, wp_error *error) {
  char limit[24];
  snprintf(limit, sizeof limit, "%llu", (unsigned long long)self->limit);
  const wp_cgroup_setting v1[] = {{"memory.limit_in_bytes", limit, "write(memory.limit_in_bytes)"},
                                  {"memory.memsw.limit_in_bytes", limit, NULL},
                                  {"memory.oom_control", "0", NULL}};  // kill, where the parent's tasks are to wait
  const wp_cgroup_setting v2[] = {
      {"memory.max", limit, "write(memory.max)"}, {"memory.swap.max", "0", NULL}, {"memory.oom.group", "1", NULL}};
  for (size_t i = 0; i < 3; i++) {
    const wp_cgroup_setting *setting = self->version == WP_CGROUP_V1 ? &v1[i] : &v2[i];
    int number = write_file(group, setting->file, setting->value);
    if (number != 0 && setting->call != NULL) {
      return wp_fail(error, WP_SYSTEM_CALL_FAILED, number, setting->call, NULL);
    }
  }
  return WP_OK;
}

/// Makes the group of a worker. One of that name was a namesake's: of an earlier process with our number.
static wp_status make(const wp_memory_cgroups *self, uint32_t index, wp_error *error) {
  char group[PATH_MAX];
  if (!put_path(group, self, index, "")) return wp_fail(error, WP_SYSTEM_CALL_FAILED, ENAMETOOLONG, "mkdir", NULL);
  bool made = mkdir(group, 0755) == 0;
  if (!made && errno == EEXIST) made = rmdir(group) == 0 && mkdir(group, 0755) == 0;
  if (!made) return wp_fail(error, WP_SYSTEM_CALL_FAILED, errno, "mkdir(memory cgroup)", NULL);
  wp_status status = apply(self, group, error);
  if (status != WP_OK) rmdir(group);
  return status;
}

static wp_memory_cgroups *describe(const wp_cgroup_parent *parent, const wp_process_pool_config *config) {
  static wp_atomic_u32 pools;
  wp_memory_cgroups *self = (wp_memory_cgroups *)calloc(1, sizeof *self + WP_PROCESS_POOL_MAX_WORKERS * sizeof self->kills[0]);
  if (self == NULL) return NULL;
  self->version = parent->folder.version;
  self->limit = config->limits.memory;
  self->pool = wp_atomic_fetch_add(&pools, 1u, wp_relaxed);
  put_name(self->name, sizeof self->name, config->name == NULL ? "worker" : config->name);
  memcpy(self->parent, parent->folder.path, sizeof self->parent);
  return self;
}

wp_status wp_memory_cgroups_create(const char *proc_root, const wp_process_pool_config *config, uint32_t worker_count,
                                   wp_memory_cgroups **result, wp_error *error) {
  *result = NULL;
  wp_cgroup_parent parent;
  bool asked_for = config->limits.memory_cgroup == WP_CGROUP_REQUIRED;
  const char *refusal = wp_memory_cgroup_parent(proc_root, asked_for, &parent);
  if (refusal != NULL) return wp_fail(error, WP_UNSUPPORTED, 0, WP_SETTING, refusal);
  int number = parent.enable ? write_file(parent.folder.path, "cgroup.subtree_control", "+memory") : 0;
  if (number != 0) return wp_fail(error, WP_SYSTEM_CALL_FAILED, number, "write(cgroup.subtree_control)", NULL);
  wp_memory_cgroup_sweep(parent.folder.path);
  wp_memory_cgroups *self = describe(&parent, config);
  if (self == NULL) return wp_fail(error, WP_SYSTEM_CALL_FAILED, ENOMEM, "calloc", NULL);
  wp_status status = WP_OK;
  while (self->count < worker_count && status == WP_OK) {
    status = make(self, self->count, error);
    if (status == WP_OK) self->count++;
  }
  if (status == WP_OK) *result = self;
  else wp_memory_cgroups_destroy(self);
  return status;
}

void wp_memory_cgroups_destroy(wp_memory_cgroups *self) {
  char group[PATH_MAX];
  if (self == NULL) return;
  for (uint32_t i = 0; i < self->count; i++) {
    if (!put_path(group, self, i, "")) continue;
    // What was killed in it takes a moment to end.
    for (int tries = 0; rmdir(group) != 0 && errno == EBUSY && tries < WP_REMOVE_TRIES; tries++) {
      const struct timespec moment = {0, 1000000};
      nanosleep(&moment, NULL);
    }
  }
  free(self);
}

// MARK: Workers

int wp_memory_cgroup_door(wp_memory_cgroups *self, uint32_t index) {
  char path[PATH_MAX];
  wp_error error;
  if (!put_path(path, self, index, "/cgroup.procs")) return -1;
  int door = open_file(path);
  if (door >= 0 || errno != ENOENT) return door;
  if (make(self, index, &error) != WP_OK) {
    errno = error.system_errno;
    return -1;
  }
  self->kills[index] = 0;
  if (index >= self->count) self->count = index + 1;
  return open_file(path);
}

void wp_memory_cgroup_kill(const wp_memory_cgroups *self, uint32_t index) {
  char group[PATH_MAX];
  if (self->version == WP_CGROUP_V2 && put_path(group, self, index, "")) write_file(group, "cgroup.kill", "1");
}

/// The number in a line "oom_kill 3" of the worker's `file`.
static bool read_kills(const wp_memory_cgroups *self, const char *group, uint64_t *kills) {
  char buffer[1024];
  wp_text text;
  const char *file = self->version == WP_CGROUP_V1 ? "memory.oom_control" : "memory.events";
  if (!read_file(&text, buffer, sizeof buffer, group, file)) return false;
  while (!wp_text_is_empty(text)) {
    wp_text line = wp_text_take_until(&text, '\n');
    if (!wp_text_equals(wp_text_take_until(&line, ' '), "oom_kill")) continue;
    return wp_text_take_number(&line, UINT64_MAX, kills);
  }
  return false;
}

bool wp_memory_cgroup_killed(wp_memory_cgroups *self, uint32_t index, uint64_t *peak) {
  char group[PATH_MAX], buffer[64];
  wp_text text;
  uint64_t kills;
  *peak = 0;
  if (!put_path(group, self, index, "") || !read_kills(self, group, &kills)) return false;
  bool killed = kills > self->kills[index];
  self->kills[index] = kills;
  const char *file = self->version == WP_CGROUP_V1 ? "memory.max_usage_in_bytes" : "memory.peak";
  if (killed && read_file(&text, buffer, sizeof buffer, group, file)) wp_text_take_number(&text, UINT64_MAX, peak);
  return killed;
}
