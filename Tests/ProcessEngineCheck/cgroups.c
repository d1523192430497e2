// Scenarios about memory cgroups: where they may be made, as told from trees of plain files, and what they do, where the
// machine lets us make them (make test-cgroups has one that does). What could be run is printed.
#include "check.h"

#include "../../CShim/CWorkerPool/src/process/wp_process_cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

// MARK: Places

/// Files of a tree: path and content, up to a NULL.
typedef struct file {
  const char *path;
  const char *content;
} file;

/// A machine, and what is expected of it: the folder, or words of the rule against it.
typedef struct machine {
  const char *what;
  file files[10];
  const char *folder;
  const char *rule;
  bool enable;
} machine;

#define V1 "35 32 0:32 / /cg/memory rw - cgroup cgroup rw,memory\n"
#define V2 "41 31 0:38 / /cg/unified rw - cgroup2 cgroup2 rw\n"
#define SELF(membership, mounts) {"proc/self/cgroup", membership}, {"proc/self/mountinfo", mounts}

static const machine machines[] = {
    {"v1", {SELF("4:memory:/a/b\n0::/\n", V1 V2), {"cg/memory/a/b/cgroup.procs", "1\n"},
            {"cg/memory/a/b/memory.use_hierarchy", "1\n"}}, "cg/memory/a/b", NULL, false},
    {"v1 without the file of kernels that always inherit",
     {SELF("7:cpu,memory:/a\n", V1), {"cg/memory/a/cgroup.procs", ""}}, "cg/memory/a", NULL, false},
    {"v1 of a container", {SELF("4:memory:/docker/x/y\n", "35 32 0:32 /docker/x /cg/memory rw - cgroup c rw,memory\n"),
                           {"cg/memory/y/cgroup.procs", ""}}, "cg/memory/y", NULL, false},
    {"v1 that does not inherit", {SELF("4:memory:/a\n", V1), {"cg/memory/a/cgroup.procs", ""},
                                  {"cg/memory/a/memory.use_hierarchy", "0\n"}}, NULL, "use_hierarchy", false},
    {"v1 that may not be written to", {SELF("4:memory:/a\n", V1), {"cg/memory/a/tasks", ""}}, NULL, "written to", false},
    {"v1 elsewhere", {SELF("4:memory:/a\n", "35 32 0:32 /b /cg/memory rw - cgroup cgroup rw,memory\n"),
                      {"cg/memory/a/cgroup.procs", ""}}, NULL, "mounted", false},
    {"v1 without memory", {SELF("4:cpu:/a\n", "35 32 0:32 / /cg/cpu rw - cgroup cgroup rw,cpu\n")}, NULL, "mounted",
     false},
    {"v2", {SELF("0::/s/own\n", V2), {"cg/unified/s/cgroup.procs", ""}, {"cg/unified/s/own/cgroup.procs", "7\n"},
            {"cg/unified/s/cgroup.controllers", "cpu memory pids\n"},
            {"cg/unified/s/cgroup.subtree_control", "memory pids\n"}}, "cg/unified/s", NULL, false},
    {"v2 that has to be given the controller",
     {SELF("0::/s/own\n", V2), {"cg/unified/s/cgroup.procs", ""}, {"cg/unified/s/own/cgroup.procs", "7\n"},
      {"cg/unified/s/cgroup.controllers", "cpu memory\n"}, {"cg/unified/s/cgroup.subtree_control", "cpu\n"}},
     "cg/unified/s", NULL, true},
    {"v2 with processes in the parent",
     {SELF("0::/s/own\n", V2), {"cg/unified/s/cgroup.procs", "12\n"}, {"cg/unified/s/own/cgroup.procs", "7\n"},
      {"cg/unified/s/cgroup.controllers", "cpu memory\n"}, {"cg/unified/s/cgroup.subtree_control", "\n"}},
     NULL, "holds processes", false},
    {"v2 without the controller",
     {SELF("0::/s/own\n", V2), {"cg/unified/s/cgroup.procs", ""}, {"cg/unified/s/own/cgroup.procs", "7\n"},
      {"cg/unified/s/cgroup.controllers", "cpu memory_of_none\n"}}, NULL, "no memory controller", false},
    {"v2 on top", {SELF("0::/\n", V2), {"cg/unified/cgroup.procs", "7\n"},
                   {"cg/unified/cgroup.controllers", "memory\n"}}, NULL, "topmost", false},
    {"v2 on top of a container", {SELF("0::/c\n", "41 31 0:38 /c /cg/unified rw - cgroup2 cgroup2 rw\n"),
                                  {"cg/unified/cgroup.procs", "7\n"}}, NULL, "topmost", false},
    {"v2, the root", {SELF("0::/\n", V2), {"cg/unified/cgroup.procs", "7\n"},
                      {"cg/unified/cgroup.subtree_control", "memory\n"}}, "cg/unified", NULL, false},
    {"v2 that may not be written to",
     {SELF("0::/s/own\n", V2), {"cg/unified/s/own/cgroup.procs", "7\n"},
      {"cg/unified/s/cgroup.controllers", "memory\n"}}, NULL, "written to", false},
    {"nothing", {{"proc/self/mountinfo", ""}}, NULL, "mounted", false},
};

/// Makes the folders that lead to a file, and the file, unless the path ends in a slash.
static void put_file(const char *root, const char *path, const char *content) {
  char full[512];
  snprintf(full, sizeof full, "%s/%s", root, path);
  for (char *slash = strchr(full + strlen(root) + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    if (mkdir(full, 0755) != 0 && errno != EEXIST) exit(1);
    *slash = '/';
  }
  if (full[strlen(full) - 1] == '/') return;
  FILE *out = fopen(full, "w");
  if (out == NULL || fputs(content, out) < 0 || fclose(out) != 0) exit(1);
}

static void make_tree(char root[64]) {
  strcpy(root, "/tmp/process-engine-check.XXXXXX");
  if (mkdtemp(root) == NULL) exit(1);
}

static void remove_tree(const char *path) {
  char inner[512];
  DIR *folder = opendir(path);
  for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    int length = snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
    if (length > 0 && (size_t)length < sizeof inner && unlink(inner) != 0) remove_tree(inner);
  }
  if (folder != NULL) closedir(folder);
  rmdir(path);
}

/// What is not asked for needs a mark for root, and none for others.
static void check_automatic(const machine *expected, const char *proc_root, const char *folder) {
  wp_cgroup_place place;
  const char *rule = wp_memory_cgroup_place(proc_root, false, &place);
  if (geteuid() != 0) {
    CHECK(rule == NULL, "%s: %s", expected->what, rule);
    return;
  }
  CHECK(rule != NULL && strstr(rule, "delegated") != NULL, "%s: %s", expected->what, rule == NULL ? "granted" : rule);
  const char *marks[] = {"trusted.delegate", "user.delegate"};
  int set = 0;
  for (int i = 0; i < 2; i++) {
    if (setxattr(folder, marks[i], "0", 1, 0) != 0) continue;  // not on every file system, nor in every container
    set++;
    CHECK(wp_memory_cgroup_place(proc_root, false, &place) != NULL, "%s, %s: 0", expected->what, marks[i]);
    setxattr(folder, marks[i], "1", 1, 0);
    rule = wp_memory_cgroup_place(proc_root, false, &place);
    CHECK(rule == NULL, "%s, %s: %s", expected->what, marks[i], rule);
    removexattr(folder, marks[i]);
  }
  if (set < 2) printf("%s: %d of 2 marks can be set here\n", expected->what, set);
}

static void check_machine(const machine *expected) {
  char root[64], proc_root[80], folder[160];
  make_tree(root);
  snprintf(proc_root, sizeof proc_root, "%s/proc", root);
  for (size_t i = 0; expected->files[i].path != NULL; i++) put_file(root, expected->files[i].path, expected->files[i].content);
  wp_cgroup_place place;
  const char *rule = wp_memory_cgroup_place(proc_root, true, &place);
  if (expected->rule != NULL) {
    CHECK(rule != NULL && strstr(rule, expected->rule) != NULL, "%s: %s", expected->what, rule == NULL ? "-" : rule);
    CHECK(wp_memory_cgroup_place(proc_root, false, &place) != NULL, "%s", expected->what);
  } else {
    snprintf(folder, sizeof folder, "%s/%s", root, expected->folder);
    CHECK(rule == NULL && strcmp(place.folder.path, folder) == 0, "%s: %s (%s)", expected->what, place.folder.path,
          rule == NULL ? "-" : rule);
    CHECK(place.enable == expected->enable, "%s", expected->what);
    check_automatic(expected, proc_root, folder);
  }
  remove_tree(root);
}

static pid_t dead_process(void) {
  pid_t process = fork();
  if (process == 0) _exit(0);
  waitpid(process, NULL, 0);
  return process;
}

/// Groups of dead hosts go, and nothing else.
static void check_sweep(void) {
  static const struct {
    const char *format;
    bool dead;
    bool goes;
  } groups[] = {{"worker-pool.w-%d-0-3/", true, true},      {"worker-pool.a-b.c_-1-%d-12-1023/", true, true},
                {"worker-pool.w-%d-0-3/", false, false},    {"worker-pool.w-%d-0/", true, false},
                {"worker-pool.w-%d-0-3x/", true, false},    {"worker-pool.w-%d-0-/", true, false},
                {"worker-pool-w-%d-0-3/", true, false},     {"w-%d-0-4/", true, false},
                {"worker-pool.w-%d-7-3/used", true, false}, {"worker-pool.w-%d-8-3", true, false}};
  enum { GROUPS = sizeof groups / sizeof groups[0] };
  char root[64], path[160], full[240];
  make_tree(root);
  pid_t dead = dead_process();
  for (int pass = 0; pass < 2; pass++) {
    for (size_t i = 0; i < GROUPS; i++) {
      snprintf(path, sizeof path, groups[i].format, (int)(groups[i].dead ? dead : getpid()));
      snprintf(full, sizeof full, "%s/%s", root, path);
      if (pass == 0) put_file(root, path, "");
      else CHECK((access(full, F_OK) != 0) == groups[i].goes, "%s", path);
    }
    wp_memory_cgroup_sweep(root);
  }
  remove_tree(root);
}

/// Folders that are no cgroups cannot be given a limit; what was made is gone.
static void check_failed_create(void) {
  char root[64], proc_root[80], folder[160];
  make_tree(root);
  snprintf(proc_root, sizeof proc_root, "%s/proc", root);
  for (size_t i = 0; machines[0].files[i].path != NULL; i++) {
    put_file(root, machines[0].files[i].path, machines[0].files[i].content);
  }
  wp_process_pool_config config;
  memset(&config, 0, sizeof config);
  config.limits.memory = 1 << 20;
  config.limits.memory_cgroup = WP_CGROUP_REQUIRED;
  wp_memory_cgroups *groups = NULL;
  wp_error error;
  wp_status status = wp_memory_cgroups_create(proc_root, &config, 3, &groups, &error);
  CHECK(status == WP_SYSTEM_CALL_FAILED && groups == NULL && error.system_errno == ENOENT &&
            strcmp(error.call, "write(memory.limit_in_bytes)") == 0,
        "%s: %s", wp_status_name(status), error.call);
  snprintf(folder, sizeof folder, "%s/%s", root, machines[0].folder);
  DIR *entries = opendir(folder);
  for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
    CHECK(strncmp(entry->d_name, "worker-pool", 11) != 0, "%s is left", entry->d_name);
  }
  if (entries != NULL) closedir(entries);
  remove_tree(root);
}

void cgroup_places(wp_start_method method) {
  (void)method;
  for (size_t i = 0; i < sizeof machines / sizeof machines[0]; i++) check_machine(&machines[i]);
  check_sweep();
  check_failed_create();
}

// MARK: Limits

#define LIMIT ((uint64_t)192 << 20)
#define WORKERS 2

/// How many groups of a process there are.
static size_t count_groups(const wp_cgroup_place *place, pid_t process) {
  char part[32];
  snprintf(part, sizeof part, "-%d-", (int)process);
  size_t count = 0;
  DIR *folder = opendir(place->folder.path);
  for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
    count += strncmp(entry->d_name, "worker-pool.", 12) == 0 && strstr(entry->d_name, part) != NULL;
  }
  if (folder != NULL) closedir(folder);
  return count;
}

static wp_process_pool_config limited(test_lab *lab, wp_start_method method, wp_cgroup_use use) {
  wp_process_pool_config config = lab_config(lab, WORKERS, method);
  config.limits.memory = LIMIT;
  config.limits.memory_cgroup = use;
  return config;
}

static ending touch(test_lab *lab, size_t task, uint64_t size) {
  lab_submit(lab, task, DO_TOUCH_SHARED, &size, sizeof size);
  return lab_await_task(lab, task);
}

static bool was_killed(const ending *end) {
  return end->outcome.end == WP_TASK_WORKER_DIED && WIFSIGNALED(end->outcome.wait_status) &&
         WTERMSIG(end->outcome.wait_status) == SIGKILL;
}

/// What RLIMIT_DATA does in any case.
static void check_data_limit(test_lab *lab, size_t task) {
  uint64_t piece = (uint64_t)1 << 40;
  lab_submit(lab, task, DO_HOARD, &piece, sizeof piece);
  ending end = lab_await_task(lab, task);
  CHECK(end.outcome.passed == WP_PASSED_MEMORY && end.outcome.limit == LIMIT && !was_killed(&end), "wait status %x",
        end.outcome.wait_status);
}

/// Without a cgroup: shared memory is nobody's.
static void check_without(wp_start_method method, wp_cgroup_use use) {
  test_lab lab;
  wp_process_pool_config config = limited(&lab, method, use);
  lab_open_with(&lab, &config, 2);
  CHECK(wp_process_pool_memory_limit(lab.pool) == WP_MEMORY_DATA, "%d", (int)wp_process_pool_memory_limit(lab.pool));
  CHECK(touch(&lab, 0, LIMIT + LIMIT / 4).outcome.end == WP_TASK_REPLIED, "%s", "shared memory counted");
  check_data_limit(&lab, 1);
  lab_close(&lab);
  config.limits.memory = 0;
  lab_open_with(&lab, &config, 1);
  CHECK(wp_process_pool_memory_limit(lab.pool) == WP_MEMORY_UNLIMITED, "%s", "there is no limit");
  lab_close(&lab);
}

/// Whether all live workers are in groups of ours.
static void check_members(test_lab *lab, const wp_cgroup_place *place) {
  int32_t workers[WORKERS] = {0};
  CHECK(wp_process_pool_worker_pids(lab->pool, workers, WORKERS) == WORKERS, "%s", "workers");
  for (size_t i = 0; i < WORKERS; i++) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/cgroup", workers[i]);
    CHECK(count_in(path, "/worker-pool.check-") == 1, "worker %d is elsewhere", workers[i]);
  }
  CHECK(count_groups(place, getpid()) == WORKERS, "%zu groups", count_groups(place, getpid()));
}

/// Passing the limit ends the task, in a new worker as in the first, and no other kill is taken for it.
static void check_with(wp_start_method method, wp_cgroup_use use, const wp_cgroup_place *place) {
  enum { NEIGHBOURS = 50, FIRST = 10 };
  test_lab lab;
  leftovers before = count_leftovers();
  wp_process_pool_config config = limited(&lab, method, use);
  lab_open_with(&lab, &config, FIRST + NEIGHBOURS);
  CHECK(wp_process_pool_memory_limit(lab.pool) == WP_MEMORY_CGROUP, "%d", (int)wp_process_pool_memory_limit(lab.pool));
  check_members(&lab, place);
  for (size_t i = 0; i < 4; i++) {
    ending end = touch(&lab, i, 2 * LIMIT);
    CHECK(was_killed(&end) && end.outcome.passed == WP_PASSED_MEMORY && end.outcome.limit == LIMIT, "%d, wait status %x",
          (int)end.outcome.passed, end.outcome.wait_status);
    CHECK(end.outcome.peak_memory > LIMIT / 2 && end.outcome.peak_memory < LIMIT + LIMIT / 4, "peak %llu",
          (unsigned long long)end.outcome.peak_memory);
  }
  CHECK(touch(&lab, 4, LIMIT / 2).outcome.end == WP_TASK_REPLIED, "%s", "half of the limit is allowed");
  uint64_t ticket = lab_submit(&lab, 5, DO_PAUSE, NULL, 0);
  lab_await_running(&lab, ticket);
  int32_t workers[WORKERS] = {0};
  wp_process_pool_worker_pids(lab.pool, workers, WORKERS);
  for (size_t i = 0; i < WORKERS; i++) kill(workers[i], SIGKILL);
  ending end = lab_await_task(&lab, 5);
  CHECK(was_killed(&end) && end.outcome.passed == WP_PASSED_NONE, "%s", "killed from outside");
  check_data_limit(&lab, 6);
  for (size_t i = 0; i < NEIGHBOURS; i++) lab_submit(&lab, FIRST + i, DO_ECHO, &i, sizeof i);
  lab_await(&lab, 7 + NEIGHBOURS);
  for (size_t i = 0; i < NEIGHBOURS; i++) {
    CHECK(lab.endings[FIRST + i].hash == hash_bytes(&i, sizeof i), "neighbour %zu", i);
  }
  lab_close(&lab);
  CHECK(count_groups(place, getpid()) == 0, "%zu groups are left", count_groups(place, getpid()));
  check_leftovers(before, "after pools with cgroups");
  config.limits.memory = 4096;
  wp_error error;
  CHECK(wp_process_pool_create(&config, &lab.pool, &error) == WP_INVALID_ARGUMENT, "%s", wp_status_name(error.status));
  CHECK(count_groups(place, getpid()) == 0, "%s", "groups of a pool that could not be made");
}

/// A host that is killed leaves its groups to the next pool.
static void check_killed_host(wp_start_method method, const wp_cgroup_place *place) {
  int report[2];
  if (pipe(report) != 0) exit(1);
  pid_t host = fork();
  test_lab lab;
  wp_process_pool_config config = limited(&lab, method, WP_CGROUP_AUTOMATIC);
  if (host == 0) {
    lab_open_with(&lab, &config, 1);
    int32_t workers[WORKERS];
    wp_process_pool_worker_pids(lab.pool, workers, WORKERS);
    if (write(report[1], workers, sizeof workers) != (ssize_t)sizeof workers) _exit(1);
    for (;;) pause();
  }
  int32_t workers[WORKERS] = {0};
  CHECK(read(report[0], workers, sizeof workers) == (ssize_t)sizeof workers, "%s", "no report");
  CHECK(count_groups(place, host) == WORKERS, "%zu groups", count_groups(place, host));
  kill(host, SIGKILL);
  waitpid(host, NULL, 0);
  for (size_t i = 0; i < WORKERS; i++) {
    while (kill(workers[i], 0) == 0) sched_yield();
  }
  close(report[0]);
  close(report[1]);
  CHECK(count_groups(place, host) == WORKERS, "%s", "somebody else has removed them");
  lab_open_with(&lab, &config, 1);
  CHECK(count_groups(place, host) == 0, "%zu groups are left", count_groups(place, host));
  lab_close(&lab);
}

/// A group that somebody removes is made again.
static void check_removed_group(const wp_cgroup_place *place) {
  test_lab lab;
  wp_process_pool_config config = limited(&lab, WP_START_AUTOMATIC, WP_CGROUP_AUTOMATIC);
  wp_memory_cgroups *groups = NULL;
  wp_error error;
  CHECK(wp_memory_cgroups_create("/proc", &config, 1, &groups, &error) == WP_OK, "%s", error.call);
  if (groups == NULL) return;
  DIR *folder = opendir(place->folder.path);
  for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
    if (strncmp(entry->d_name, "worker-pool.", 12) == 0) unlinkat(dirfd(folder), entry->d_name, AT_REMOVEDIR);
  }
  if (folder != NULL) closedir(folder);
  CHECK(count_groups(place, getpid()) == 0, "%s", "not removed");
  int door = wp_memory_cgroup_door(groups, 0);
  CHECK(door >= 0 && count_groups(place, getpid()) == 1, "%s", strerror(errno));
  uint64_t peak;
  CHECK(!wp_memory_cgroup_killed(groups, 0, &peak), "%s", "nobody was killed");
  close(door);
  wp_memory_cgroups_destroy(groups);
}

/// As nobody, who may write to no cgroup of another's.
static void check_refused_required(void) {
  pid_t child = fork();
  if (child == 0) {
    if (geteuid() == 0 && setuid(65534) != 0) exit(1);
    wp_cgroup_place place;
    const char *rule = wp_memory_cgroup_place("/proc", true, &place);
    if (rule == NULL) {
      printf("required: granted to user %d, not refused\n", (int)geteuid());
      fflush(stdout);
      _exit(0);
    }
    test_lab lab;
    wp_process_pool_config config = limited(&lab, WP_START_FORK, WP_CGROUP_REQUIRED);
    wp_error error;
    wp_status status = wp_process_pool_create(&config, &lab.pool, &error);
    CHECK(status == WP_UNSUPPORTED && error.rule == rule && strcmp(error.call, "limits.memory_cgroup") == 0, "%s: %s",
          wp_status_name(status), error.rule == NULL ? "-" : error.rule);
    _exit(failures == 0 ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  CHECK(status == 0, "wait status %x", status);
}

void memory_cgroups(wp_start_method method) {
  test_lab lab;
  wp_process_pool_config config = limited(&lab, method, WP_CGROUP_REQUIRED);
  config.limits.memory = 0;
  wp_error error;
  CHECK(wp_process_pool_create(&config, &lab.pool, &error) == WP_INVALID_ARGUMENT &&
            strcmp(error.call, "limits.memory_cgroup") == 0,
        "%s", wp_status_name(error.status));
  if (!UNDER_TSAN) check_refused_required();
  if (UNDER_ASAN || UNDER_TSAN) {
    printf("ran the refusals: a sanitizer's memory leaves no room for a limit\n");
    return;
  }
  wp_cgroup_place place;
  const char *rule = wp_memory_cgroup_place("/proc", false, &place);
  check_without(method, WP_CGROUP_NEVER);
  if (rule != NULL) {
    check_without(method, WP_CGROUP_AUTOMATIC);
    printf("ran RLIMIT_DATA alone: %s\n", rule);
    return;
  }
  check_killed_host(method, &place);
  check_with(method, WP_CGROUP_AUTOMATIC, &place);
  check_with(method, WP_CGROUP_REQUIRED, &place);
  check_removed_group(&place);
  printf("ran RLIMIT_DATA and cgroups of v%d in %s\n", place.folder.version == WP_CGROUP_V1 ? 1 : 2, place.folder.path);
}
