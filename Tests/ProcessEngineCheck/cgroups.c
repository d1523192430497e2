// What memory cgroups do, where the machine lets us make them (make test-cgroups has one that does). What could be run
// is printed.
#include "check.h"

#include "../../CShim/CWorkerPool/src/process/host/wp_host_cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT ((uint64_t)192 << 20)
#define WORKERS 2

/// How many groups of a process there are.
static size_t count_groups(const wp_cgroup_parent *parent, pid_t process) {
  char part[32];
  snprintf(part, sizeof part, "-%d-", (int)process);
  size_t count = 0;
  DIR *folder = opendir(parent->folder.path);
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
static void check_members(test_lab *lab, const wp_cgroup_parent *parent) {
  int32_t workers[WORKERS] = {0};
  CHECK(wp_process_pool_worker_pids(lab->pool, workers, WORKERS) == WORKERS, "%s", "workers");
  for (size_t i = 0; i < WORKERS; i++) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/cgroup", workers[i]);
    CHECK(count_in(path, "/worker-pool.check-") == 1, "worker %d is elsewhere", workers[i]);
  }
  CHECK(count_groups(parent, getpid()) == WORKERS, "%zu groups", count_groups(parent, getpid()));
}

/// Passing the limit ends the task, in a new worker as in the first, and no other kill is taken for it.
static void check_with(wp_start_method method, wp_cgroup_use use, const wp_cgroup_parent *parent) {
  enum { NEIGHBOURS = 50, FIRST = 10 };
  test_lab lab;
  leftovers before = count_leftovers();
  wp_process_pool_config config = limited(&lab, method, use);
  lab_open_with(&lab, &config, FIRST + NEIGHBOURS);
  CHECK(wp_process_pool_memory_limit(lab.pool) == WP_MEMORY_CGROUP, "%d", (int)wp_process_pool_memory_limit(lab.pool));
  check_members(&lab, parent);
  for (size_t i = 0; i < 4; i++) {
    ending end = touch(&lab, i, 2 * LIMIT);
    CHECK(was_killed(&end) && end.outcome.passed == WP_PASSED_MEMORY && end.outcome.limit == LIMIT,
          "%d, wait status %x", (int)end.outcome.passed, end.outcome.wait_status);
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
  CHECK(count_groups(parent, getpid()) == 0, "%zu groups are left", count_groups(parent, getpid()));
  check_leftovers(before, "after pools with cgroups");
  config.limits.memory = 4096;
  wp_error error;
  CHECK(wp_process_pool_create(&config, &lab.pool, &error) == WP_INVALID_ARGUMENT, "%s", wp_status_name(error.status));
  CHECK(count_groups(parent, getpid()) == 0, "%s", "groups of a pool that could not be made");
}

/// A sandboxed worker has joined before it could not any more.
static void check_sandboxed(const wp_cgroup_parent *parent) {
#if defined(WP_SANDBOX)
  test_lab lab;
  wp_process_pool_config config = limited(&lab, WP_START_REEXEC, WP_CGROUP_REQUIRED);
  config.sandbox = WP_SANDBOX_COMPUTE_ONLY;
  lab_open_with(&lab, &config, 1);
  check_members(&lab, parent);
  CHECK(wp_process_pool_memory_limit(lab.pool) == WP_MEMORY_CGROUP, "%s", "outside");
  lab_close(&lab);
  printf("ran a sandboxed pool in cgroups\n");
#else
  (void)parent;
  printf("built without the sandbox: ran none\n");
#endif
}

/// A host that is killed leaves its groups to the next pool.
static void check_killed_host(wp_start_method method, const wp_cgroup_parent *parent) {
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
  CHECK(count_groups(parent, host) == WORKERS, "%zu groups", count_groups(parent, host));
  kill(host, SIGKILL);
  waitpid(host, NULL, 0);
  for (size_t i = 0; i < WORKERS; i++) {
    while (kill(workers[i], 0) == 0) sched_yield();
  }
  close(report[0]);
  close(report[1]);
  CHECK(count_groups(parent, host) == WORKERS, "%s", "somebody else has removed them");
  lab_open_with(&lab, &config, 1);
  CHECK(count_groups(parent, host) == 0, "%zu groups are left", count_groups(parent, host));
  lab_close(&lab);
}

/// A worker that is added has a group as the others.
static void check_grown(const wp_cgroup_parent *parent) {
  test_lab lab;
  wp_process_pool_config config = limited(&lab, WP_START_AUTOMATIC, WP_CGROUP_REQUIRED);
  lab_open_with(&lab, &config, 2);
  CHECK(wp_process_pool_resize(lab.pool, WORKERS + 2, NULL) == WP_OK, "resize");
  int32_t pids[WORKERS + 2];
  while (wp_process_pool_worker_pids(lab.pool, pids, WORKERS + 2) != WORKERS + 2) sched_yield();
  CHECK(count_groups(parent, getpid()) == WORKERS + 2, "%zu groups", count_groups(parent, getpid()));
  CHECK(wp_process_pool_memory_limit(lab.pool) == WP_MEMORY_CGROUP, "%s", "not all are in their groups");
  CHECK(wp_process_pool_resize(lab.pool, 1, NULL) == WP_OK, "resize");
  lab_submit(&lab, 0, DO_ECHO, "x", 1);
  lab_await(&lab, 1);
  lab_close(&lab);
  CHECK(count_groups(parent, getpid()) == 0, "%zu groups are left", count_groups(parent, getpid()));
}

/// A group that somebody removes is made again.
static void check_removed_group(const wp_cgroup_parent *parent) {
  test_lab lab;
  wp_process_pool_config config = limited(&lab, WP_START_AUTOMATIC, WP_CGROUP_AUTOMATIC);
  wp_memory_cgroups *groups = NULL;
  wp_error error;
  CHECK(wp_memory_cgroups_create("/proc", &config, 1, &groups, &error) == WP_OK, "%s", error.call);
  if (groups == NULL) return;
  DIR *folder = opendir(parent->folder.path);
  for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
    if (strncmp(entry->d_name, "worker-pool.", 12) == 0) unlinkat(dirfd(folder), entry->d_name, AT_REMOVEDIR);
  }
  if (folder != NULL) closedir(folder);
  CHECK(count_groups(parent, getpid()) == 0, "%s", "not removed");
  int door = wp_memory_cgroup_door(groups, 0);
  CHECK(door >= 0 && count_groups(parent, getpid()) == 1, "%s", strerror(errno));
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
    wp_cgroup_parent parent;
    const char *rule = wp_memory_cgroup_parent("/proc", true, &parent);
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
  wp_cgroup_parent parent;
  const char *rule = wp_memory_cgroup_parent("/proc", false, &parent);
  check_without(method, WP_CGROUP_NEVER);
  if (rule != NULL) {
    check_without(method, WP_CGROUP_AUTOMATIC);
    printf("ran RLIMIT_DATA alone: %s\n", rule);
    return;
  }
  check_killed_host(method, &parent);
  check_with(method, WP_CGROUP_AUTOMATIC, &parent);
  check_with(method, WP_CGROUP_REQUIRED, &parent);
  check_grown(&parent);
  check_removed_group(&parent);
  check_sandboxed(&parent);
  printf("ran RLIMIT_DATA and cgroups of v%d in %s\n", parent.folder.version == WP_CGROUP_V1 ? 1 : 2, parent.folder.path);
}
