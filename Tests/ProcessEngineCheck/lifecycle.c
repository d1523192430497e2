// Scenarios about what stays behind, and what happens when host or template go.
#include "check.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

void leaves_nothing(wp_start_method method) {
  leftovers before = count_leftovers();
  size_t held = 0;
  int pools = UNDER_TSAN && method == WP_START_FORK ? 1 : UNDER_TSAN || UNDER_ASAN ? 10 : 1000;
  for (int i = 0; i < pools; i++) {
    test_lab lab;
    lab_open(&lab, 2, method, 10);
    for (size_t task = 0; task < 10; task++) lab_submit(&lab, task, task == 4 ? DO_TRAP : DO_ECHO, "x", 1);
    if (i % 2 == 0) lab_await(&lab, 10);
    lab_close(&lab);
    check_leftovers(before, "after close and join");
    if (i == 99) held = mallinfo2().uordblks;  // by now the C library has all it keeps to itself
  }
  if (pools < 1000) return;
  CHECK(mallinfo2().uordblks < held + (64 << 10), "%zu bytes are allocated, %zu were", mallinfo2().uordblks, held);
}

void many_pools(wp_start_method method) {
  // Side by side: after the first the host has threads, so the others are re-executed.
  enum { COUNT = 4 };
  leftovers before = count_leftovers();
  test_lab labs[COUNT];
  for (size_t i = 0; i < COUNT; i++) {
    lab_open(&labs[i], 1, i == 0 ? method : WP_START_AUTOMATIC, 100);
    wp_start_method got = wp_process_pool_start_method(labs[i].pool);
    CHECK(got == (i == 0 ? method : WP_START_REEXEC), "method %d", (int)got);
  }
  for (size_t task = 0; task < 100; task++) {
    for (size_t i = 0; i < COUNT; i++) lab_submit(&labs[i], task, DO_ECHO, &task, sizeof task);
  }
  for (size_t i = 0; i < COUNT; i++) {
    lab_await(&labs[i], 100);
    lab_close(&labs[i]);
  }
  check_leftovers(before, "after four pools");
}

void template_killed(wp_start_method method) {
  leftovers before = count_leftovers();
  test_lab lab;
  lab_open(&lab, 1, method, 20);
  uint64_t first = lab_submit(&lab, 0, DO_PAUSE, NULL, 0);
  for (uint64_t i = 1; i < 20; i++) lab_submit(&lab, i, DO_INCREMENT, &i, sizeof i);
  lab_await_running(&lab, first);
  int32_t template_process = wp_process_pool_template_pid(lab.pool);
  kill(template_process, SIGKILL);
  lab_await(&lab, 20);
  wp_task_end begun = method == WP_START_FORK ? WP_TASK_POOL_BROKEN : WP_TASK_WORKER_DIED;
  wp_task_end queued = method == WP_START_FORK ? WP_TASK_POOL_BROKEN : WP_TASK_REPLIED;
  for (size_t i = 0; i < 20; i++) {
    CHECK(lab.endings[i].times == 1 && lab.endings[i].outcome.end == (i == 0 ? begun : queued), "task %zu: end %d", i,
          (int)lab.endings[i].outcome.end);
  }
  CHECK(lab.endings[0].outcome.reason != NULL, "no reason");
  wp_process_submission submission = lab_submission(0, DO_ECHO, NULL, 0);
  wp_status status = wp_process_pool_submit(lab.pool, &submission, NULL);
  if (method == WP_START_FORK) {
    CHECK(status == WP_BROKEN, "%s", wp_status_name(status));
  } else {
    CHECK(status == WP_OK, "%s", wp_status_name(status));
    CHECK(wp_process_pool_template_pid(lab.pool) != template_process, "the same template");
    lab_await(&lab, 21);
  }
  lab_close(&lab);
  check_leftovers(before, "after the template was killed");
}

/// Creates a pool under a limit, which may fail or not, and checks that nothing stays.
static wp_status try_under_limit(wp_start_method method, int resource, rlim_t value, wp_error *error) {
  struct rlimit old;
  getrlimit((__rlimit_resource_t)resource, &old);
  struct rlimit limit = old;
  limit.rlim_cur = value;
  leftovers before = count_leftovers();
  test_lab lab;
  wp_process_pool *pool = NULL;
  wp_process_pool_config config = lab_config(&lab, 3, method);
  config.hooks.destroy = NULL;
  setrlimit((__rlimit_resource_t)resource, &limit);
  wp_status status = wp_process_pool_create(&config, &pool, error);
  setrlimit((__rlimit_resource_t)resource, &old);
  if (status == WP_OK) {
    wp_process_pool_close(pool);
    wp_process_pool_join(pool);
    wp_process_pool_release(pool);
  }
  check_leftovers(before, "after a pool that could not start");
  return status;
}

static void fails_without_descriptors(wp_start_method method) {
  wp_error error;
  size_t open_before = count_leftovers().descriptors;
  size_t failed = 0;
  for (rlim_t limit = 3; limit < open_before + 40; limit++) {
    if (try_under_limit(method, RLIMIT_NOFILE, limit, &error) == WP_OK) break;
    failed++;
    // /proc/self/task can then not be read, so that forking is refused.
    if (error.status == WP_UNSUPPORTED) continue;
    if (error.status == WP_BROKEN && method == WP_START_REEXEC) continue;  // the loader found no descriptor for libc
    CHECK(error.status == WP_SYSTEM_CALL_FAILED && error.system_errno == EMFILE && error.call != NULL,
          "limit %d: %s, %s", (int)limit, wp_status_name(error.status), error.call);
  }
  CHECK(failed >= 4 && failed < open_before + 30, "%zu attempts failed", failed);
}

void create_fails(wp_start_method method) {
  if (UNDER_TSAN || UNDER_ASAN) return;
  fails_without_descriptors(method);
  wp_error error;
  CHECK(try_under_limit(method, RLIMIT_AS, (rlim_t)1 << 30, &error) == WP_SYSTEM_CALL_FAILED, "address space");
  CHECK(error.call != NULL && strcmp(error.call, "mmap(payload buffers)") == 0, "%s", error.call);
  CHECK(try_under_limit(method, RLIMIT_FSIZE, 1 << 20, &error) == WP_SYSTEM_CALL_FAILED, "file size");
  CHECK(error.call != NULL && strcmp(error.call, "ftruncate") == 0, "%s", error.call);
  // Processes: the limit does not bind root.
  CHECK(geteuid() != 0 || setuid(65533) == 0, "setuid: %s", strerror(errno));
  // Which process meets the limit differs: the host, its collector, the template. A user who is nobody may not read
  // what a re-executed program loads, so there it is the host alone.
  for (rlim_t limit = 0; limit < (method == WP_START_FORK ? 5 : 1); limit++) {
    wp_status status = try_under_limit(method, RLIMIT_NPROC, limit, &error);
    CHECK(status == WP_SYSTEM_CALL_FAILED && error.system_errno == EAGAIN, "%d processes: %s, %s", (int)limit,
          wp_status_name(status), error.call);
    printf("%d processes: %s\n", (int)limit, error.call);
  }
}

void forked_host(wp_start_method method) {
  test_lab lab;
  lab_open(&lab, 1, method, 2);
  lab_submit(&lab, 0, DO_ECHO, "x", 1);
  lab_await(&lab, 1);
  pid_t child = fork();
  if (child == 0) {
    wp_process_submission submission = lab_submission(0, DO_ECHO, NULL, 0);
    bool held = wp_process_pool_submit(lab.pool, &submission, NULL) == WP_FORKED;
    held = held && wp_process_pool_join(lab.pool) == WP_FORKED;
    wp_process_pool_release(lab.pool);
    _exit(held ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child: %x", status);
  lab_submit(&lab, 1, DO_ECHO, "x", 1);
  lab_await(&lab, 2);
  lab_close(&lab);
}

void released_in_callback(wp_start_method method) {
  test_lab lab;
  lab_open(&lab, 2, method, 1);
  lab.release_in_callback = true;
  lab_submit(&lab, 0, DO_ECHO, "x", 1);
  pthread_mutex_lock(&lab.lock);
  while (lab.destroyed == 0) pthread_cond_wait(&lab.changed, &lab.lock);
  pthread_mutex_unlock(&lab.lock);
  CHECK(lab_ended(&lab) == 1, "%zu ended", lab_ended(&lab));
  leftovers now = count_leftovers();
  CHECK(now.children == 0 && now.mappings == 0, "%zu children, %zu mappings", now.children, now.mappings);
  free(lab.endings);
}

void sigchld_ignored(wp_start_method method) {
  // A host that throws its children's statuses away, and passes that on to what it starts.
  signal(SIGCHLD, SIG_IGN);
  leftovers before = count_leftovers();
  test_lab lab;
  lab_open(&lab, 2, method, 3);
  lab_submit(&lab, 0, DO_EXIT_3, NULL, 0);
  lab_submit(&lab, 1, DO_TRAP, NULL, 0);
  lab_submit(&lab, 2, DO_ECHO, "x", 1);
  lab_await(&lab, 3);
  int status = lab.endings[0].outcome.wait_status;
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3, "wait status %x", status);
  status = lab.endings[1].outcome.wait_status;
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGILL, "wait status %x", status);
  CHECK(lab.endings[2].outcome.end == WP_TASK_REPLIED, "end %d", (int)lab.endings[2].outcome.end);
  lab_close(&lab);
  check_leftovers(before, "after a pool in a host that ignores SIGCHLD");
}
