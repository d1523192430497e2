// Killing workers where that is not a matter of course: without the right, and past a template that somebody has stopped.
#include "check.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { NOBODY = 65533 };

static uint64_t seconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec;
}

static void pause_briefly(test_lab *lab, size_t task) {
  wp_task_options options = {0};
  options.timeout_ns = 200000000;
  lab_submit_with(lab, task, DO_PAUSE, NULL, 0, options);
}

static void await_timeout(test_lab *lab, size_t task) {
  const ending end = lab_await_task(lab, task);
  CHECK(end.outcome.end == WP_TASK_TIMED_OUT, "task %zu: end %d", task, (int)end.outcome.end);
}

static void check_times_out(test_lab *lab, size_t task) {
  pause_briefly(lab, task);
  await_timeout(lab, task);
}

// MARK: Rights

static bool may_change_user(void) { return geteuid() == 0; }

static void check_user(test_lab *lab, size_t task, uint32_t user) {
  int64_t call[7] = {SYS_geteuid, 0, 0, 0, 0, 0, 0};
  lab_submit(lab, task, DO_SYSTEM_CALL, call, sizeof call);
  const ending end = lab_await_task(lab, task);
  int64_t found = 0;
  memcpy(&found, end.head, sizeof found);
  CHECK(end.outcome.end == WP_TASK_REPLIED && found == user, "end %d, user %lld", (int)end.outcome.end, (long long)found);
}

/// A server that makes its pool, then gives up being root.
static void drop_root(wp_start_method method) {
  alarm(60);
  test_lab lab;
  lab_open(&lab, 2, method, 8);
  check_user(&lab, 0, 0);
  CHECK(setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0, "setuid: %s", strerror(errno));
  // Both workers are root's, then both are ours.
  for (size_t i = 1; i < 3; i++) pause_briefly(&lab, i);
  for (size_t i = 1; i < 3; i++) await_timeout(&lab, i);
  check_times_out(&lab, 3);
  check_user(&lab, 4, NOBODY);
  check_user(&lab, 5, NOBODY);
  uint64_t ticket = lab_submit(&lab, 6, DO_PAUSE, NULL, 0);
  lab_await_running(&lab, ticket);
  CHECK(wp_process_pool_terminate(lab.pool, ticket), "terminate");
  CHECK(lab_await_task(&lab, 6).outcome.end == WP_TASK_TERMINATED, "end %d", (int)lab.endings[6].outcome.end);
  lab_submit(&lab, 7, DO_ECHO, "x", 1);
  lab_await_task(&lab, 7);
  lab_close(&lab);
}

static bool deny_kills(void) {
  const int calls[] = {SYS_pidfd_send_signal, SYS_kill};
  return deny(calls, 2, EPERM);
}

/// Neither the host nor its template may kill: the pool says so, and ends all the same.
static void cannot_kill(wp_start_method method) {
  alarm(60);
  test_lab lab;
  lab_open(&lab, 1, method, 2);
  pause_briefly(&lab, 0);
  lab_submit(&lab, 1, DO_ECHO, "x", 1);
  for (size_t i = 0; i < 2; i++) {
    const ending end = lab_await_task(&lab, i);
    const char *reason = end.outcome.reason == NULL ? "-" : end.outcome.reason;
    CHECK(i == 1 || end.outcome.end == WP_TASK_POOL_BROKEN, "task %zu: end %d", i, (int)end.outcome.end);
    CHECK(i == 1 || strstr(reason, "cannot be killed") != NULL, "task %zu: %s", i, reason);
  }
  wp_process_submission submission = lab_submission(0, DO_ECHO, NULL, 0);
  CHECK(wp_process_pool_submit(lab.pool, &submission, NULL) == WP_BROKEN, "a pool that is not broken");
  lab_close(&lab);
}

void kills_without_rights(wp_start_method method) {
  if (UNDER_TSAN) method = WP_START_REEXEC;
  if (may_change_user()) run_confined("root no more", may_change_user, drop_root, method);
  CHECK(run_confined("kills denied", deny_kills, cannot_kill, method), "seccomp is there");
}

// MARK: A stopped template

static void stop_template(test_lab *lab) { kill(wp_process_pool_template_pid(lab->pool), SIGSTOP); }

/// Stops the template again and again, whoever continues it.
static pid_t keep_stopped(test_lab *lab) {
  int32_t process = wp_process_pool_template_pid(lab->pool);
  pid_t stopper = fork();
  if (stopper != 0) return stopper;
  while (kill(process, SIGSTOP) == 0) continue;
  _exit(0);
}

static void let_go(pid_t stopper) {
  kill(stopper, SIGKILL);
  waitpid(stopper, NULL, 0);
}

void stopped_template(wp_start_method method) {
  alarm(120);
  leftovers before = count_leftovers();
  test_lab lab;
  lab_open(&lab, 1, method, 6);
  stop_template(&lab);
  check_times_out(&lab, 0);
  lab_submit(&lab, 1, DO_ECHO, "x", 1);
  lab_await_task(&lab, 1);
  stop_template(&lab);
  uint64_t ticket = lab_submit(&lab, 2, DO_PAUSE, NULL, 0);
  lab_await_running(&lab, ticket);
  CHECK(wp_process_pool_terminate(lab.pool, ticket), "terminate");
  CHECK(lab_await_task(&lab, 2).outcome.end == WP_TASK_TERMINATED, "end %d", (int)lab.endings[2].outcome.end);
  stop_template(&lab);
  lab_submit(&lab, 3, DO_TRAP, NULL, 0);
  const ending died = lab_await_task(&lab, 3);
  CHECK(died.outcome.end == WP_TASK_WORKER_DIED && WTERMSIG(died.outcome.wait_status) == SIGILL, "end %d, wait status %x",
        (int)died.outcome.end, died.outcome.wait_status);
  stop_template(&lab);
  wp_error error;
  uint64_t start = seconds();
  CHECK(wp_process_pool_resize(lab.pool, 3, &error) == WP_OK, "resize");
  int32_t workers[3];
  while (wp_process_pool_worker_pids(lab.pool, workers, 3) < 3 && seconds() < start + 20) usleep(1000);
  CHECK(wp_process_pool_worker_pids(lab.pool, workers, 3) == 3, "no new workers past a stopped template");
  stop_template(&lab);
  start = seconds();
  lab_close(&lab);
  CHECK(seconds() < start + 4, "it took %d seconds to end", (int)(seconds() - start));
  check_leftovers(before, "after a template was stopped");
}

void stubborn_template(wp_start_method method) {
  alarm(120);
  test_lab lab;
  lab_open(&lab, 2, method, 3);
  pid_t stopper = keep_stopped(&lab);
  check_times_out(&lab, 0);
  check_times_out(&lab, 1);
  uint64_t start = seconds();
  lab_close(&lab);
  CHECK(seconds() < start + 15, "it took %d seconds to end", (int)(seconds() - start));
  let_go(stopper);
}
