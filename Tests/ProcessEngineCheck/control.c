// Scenarios about tasks that are asked to stop, ended, or run again.
#include "check.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MILLISECOND ((uint64_t)1000000)
#define MINUTE (60000 * MILLISECOND)

static wp_task_options timeout_of(uint64_t timeout_ns, uint64_t grace_ns) {
  wp_task_options options;
  memset(&options, 0, sizeof options);
  options.timeout_ns = timeout_ns;
  options.grace_ns = grace_ns;
  return options;
}

static wp_task_options retries_of(uint32_t count) {
  wp_task_options options;
  memset(&options, 0, sizeof options);
  options.retries = count;
  return options;
}

static int32_t only_worker(test_lab *lab) {
  int32_t process = 0;
  CHECK(wp_process_pool_worker_pids(lab->pool, &process, 1) == 1, "%s", "one worker");
  return process;
}

static void check_killed(ending end, wp_task_end expected, const char *what) {
  CHECK(end.outcome.end == expected, "%s: end %d", what, (int)end.outcome.end);
  int status = end.outcome.wait_status;
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s: wait status %x", what, status);
  CHECK(end.outcome.worker_pid > 0, "%s: no worker", what);
}

/// The task that ran next on the same worker, with DO_TELL_STOP.
static void check_undisturbed(ending end, const char *what) {
  uint64_t told[2];
  memcpy(told, end.head, sizeof told);
  CHECK(end.outcome.end == WP_TASK_REPLIED && end.outcome.stop == WP_STOP_NONE, "%s: end %d", what,
        (int)end.outcome.end);
  CHECK(told[0] == 0, "%s: the request reached the next task", what);
}

void timeouts(wp_start_method method) {
  test_lab lab;
  test_gate gate;
  gate_make(&gate);
  lab_open(&lab, 1, method, 6);
  // Asked, and given all the time it wants.
  lab_submit_with(&lab, 0, DO_AWAIT_STOP, NULL, 0, timeout_of(20 * MILLISECOND, MINUTE));
  lab_submit_with(&lab, 1, DO_TELL_STOP, NULL, 0, timeout_of(MINUTE, MINUTE));
  ending end = lab_await_task(&lab, 0);
  CHECK(end.outcome.end == WP_TASK_REPLIED && end.outcome.stop == WP_STOP_TIMED_OUT, "end %d", (int)end.outcome.end);
  CHECK(end.outcome.run_ns >= 20 * MILLISECOND, "stopped after %llu ns", (unsigned long long)end.outcome.run_ns);
  CHECK(end.outcome.timeout_ns == 20 * MILLISECOND, "its timeout");
  end = lab_await_task(&lab, 1);
  check_undisturbed(end, "behind a task that was asked");
  uint64_t told[2];
  memcpy(told, end.head, sizeof told);
  CHECK(told[1] > MINUTE / 2 && told[1] <= MINUTE, "%llu ns left", (unsigned long long)told[1]);
  // Asked in vain. What stands behind it runs in the next worker.
  int32_t process = only_worker(&lab);
  lab_submit_with(&lab, 2, DO_PAUSE, NULL, 0, timeout_of(20 * MILLISECOND, 10 * MILLISECOND));
  lab_submit(&lab, 3, DO_TELL_STOP, NULL, 0);
  end = lab_await_task(&lab, 2);
  check_killed(end, WP_TASK_TIMED_OUT, "stubborn");
  CHECK(end.outcome.worker_pid == process, "worker %d", end.outcome.worker_pid);
  CHECK(end.outcome.run_ns >= 30 * MILLISECOND, "killed after %llu ns", (unsigned long long)end.outcome.run_ns);
  check_undisturbed(lab_await_task(&lab, 3), "behind a task that was killed");
  // The time that a task waits for its start does not count: neither in its slot nor in the queue.
  lab_submit(&lab, 4, DO_AWAIT_FIFO, gate.path, strlen(gate.path));
  lab_submit_with(&lab, 5, DO_TELL_STOP, NULL, 0, timeout_of(250 * MILLISECOND, 0));
  CHECK(wp_process_pool_join_until(lab.pool, 0) == WP_INVALID_ARGUMENT, "an open pool");
  for (uint64_t over = wp_monotonic_now() + 400 * MILLISECOND; wp_monotonic_now() < over;) sched_yield();
  gate_open(&gate);
  check_undisturbed(lab_await_task(&lab, 5), "after a long wait");
  gate_remove(&gate);
  lab_close(&lab);
}

void timeout_races(wp_start_method method) {
  // Tasks that end just when their worker would be killed for them: no neighbour goes with it.
  enum { COUNT = 300 };
  test_lab lab;
  wp_process_pool_config config = lab_config(&lab, 1, method);
  config.prefetch = 4;
  lab_open_with(&lab, &config, COUNT);
  size_t killed = 0;
  for (size_t i = 0; i < COUNT; i++) {
    uint64_t length = MILLISECOND + (i % 100) * 3000;
    if (i % 30 == 0) length = 20 * MILLISECOND;
    lab_submit_with(&lab, i, DO_SPIN, &length, sizeof length, timeout_of(i % 3 == 2 ? 0 : MILLISECOND, 0));
  }
  lab_await(&lab, COUNT);
  for (size_t i = 0; i < COUNT; i++) {
    const ending *end = &lab.endings[i];
    bool timed_out = end->outcome.end == WP_TASK_TIMED_OUT;
    killed += timed_out;
    CHECK(end->times == 1 && (end->outcome.end == WP_TASK_REPLIED || (timed_out && i % 3 != 2)),
          "task %zu ended %d times, with %d", i, end->times, (int)end->outcome.end);
  }
  CHECK(killed > 0, "%s", "20 ms are over a timeout of 1 ms");
  printf("%zu of %d timed out\n", killed, COUNT);
  lab_close(&lab);
}

void stop_requests(wp_start_method method) {
  test_lab lab;
  lab_open(&lab, 1, method, 2);
  uint64_t first = lab_submit(&lab, 0, DO_AWAIT_STOP, NULL, 0);
  lab_submit(&lab, 1, DO_TELL_STOP, NULL, 0);
  lab_await_running(&lab, first);
  CHECK(!wp_process_pool_cancel(lab.pool, first), "a running task is not taken back");
  ending end = lab_await_task(&lab, 0);
  CHECK(end.outcome.end == WP_TASK_REPLIED && end.outcome.stop == WP_STOP_CANCELLED, "stop %d", (int)end.outcome.stop);
  check_undisturbed(lab_await_task(&lab, 1), "behind a task that was cancelled");
  CHECK(wp_process_current_task() == 0 && !wp_process_stop_requested(0), "the host runs no task");
  lab_close(&lab);
}

void terminations(wp_start_method method) {
  enum { BEHIND = 20 };
  test_lab lab;
  lab_open(&lab, 1, method, BEHIND + 2);
  uint64_t first = lab_submit(&lab, BEHIND, DO_PAUSE, NULL, 0);
  uint64_t tickets[BEHIND];
  for (uint64_t i = 0; i < BEHIND; i++) tickets[i] = lab_submit(&lab, i, DO_INCREMENT, &i, sizeof i);
  lab_await_running(&lab, first);
  CHECK(!wp_process_pool_terminate(lab.pool, tickets[0]), "in its slot, but not begun");
  CHECK(!wp_process_pool_terminate(lab.pool, tickets[BEHIND - 1]), "pending");
  CHECK(!wp_process_pool_terminate(lab.pool, UINT64_MAX), "no such ticket");
  CHECK(wp_process_pool_terminate(lab.pool, first), "it runs");
  check_killed(lab_await_task(&lab, BEHIND), WP_TASK_TERMINATED, "terminated");
  CHECK(!wp_process_pool_terminate(lab.pool, first), "it has ended");
  lab_await(&lab, BEHIND + 1);
  for (uint64_t i = 0; i < BEHIND; i++) {
    uint64_t next = i + 1;
    CHECK(lab.endings[i].outcome.end == WP_TASK_REPLIED && memcmp(lab.endings[i].head, &next, sizeof next) == 0,
          "task %zu: end %d", (size_t)i, (int)lab.endings[i].outcome.end);
  }
  // Retries are for deaths, not for what we end ourselves.
  uint64_t last = lab_submit_with(&lab, BEHIND + 1, DO_PAUSE, NULL, 0, retries_of(5));
  lab_await_running(&lab, last);
  CHECK(wp_process_pool_terminate(lab.pool, last), "it runs");
  check_killed(lab_await_task(&lab, BEHIND + 1), WP_TASK_TERMINATED, "terminated with retries left");
  lab_close(&lab);
}

/// A task that ends its worker `deaths` times and may be run again `count` times.
static ending run_deadly(test_lab *lab, size_t task, int deaths, uint32_t count) {
  char folder[64] = "/tmp/process-engine-check.XXXXXX";
  if (mkdtemp(folder) == NULL) exit(1);
  char path[96];
  snprintf(path, sizeof path, "%s/%d", folder, deaths);
  lab_submit_with(lab, task, DO_KILL_WORKERS, path, strlen(path), retries_of(count));
  ending end = lab_await_task(lab, task);
  int attempts = 0;
  for (int i = 1; i <= deaths; i++) {
    snprintf(path, sizeof path, "%s/%d", folder, i);
    attempts += unlink(path) == 0;
  }
  CHECK(attempts == (deaths <= (int)count ? deaths : (int)count + 1), "%d attempts died", attempts);
  rmdir(folder);
  return end;
}

void retries(wp_start_method method) {
  test_lab lab;
  lab_open(&lab, 2, method, 10);
  for (int deaths = 0; deaths <= 2; deaths++) {
    for (uint32_t count = 0; count <= 2; count++) {
      ending end = run_deadly(&lab, (size_t)deaths * 3 + count, deaths, count);
      bool survives = deaths <= (int)count;
      CHECK(end.times == 1 && end.outcome.end == (survives ? WP_TASK_REPLIED : WP_TASK_WORKER_DIED),
            "%d deaths, %u retries: end %d", deaths, count, (int)end.outcome.end);
      CHECK(end.outcome.workers_lost == (survives ? (uint32_t)deaths : count + 1), "%u workers", end.outcome.workers_lost);
    }
  }
  wp_task_options options = timeout_of(10 * MILLISECOND, 0);
  options.retries = 5;
  lab_submit_with(&lab, 9, DO_PAUSE, NULL, 0, options);
  ending end = lab_await_task(&lab, 9);
  check_killed(end, WP_TASK_TIMED_OUT, "with retries left");
  CHECK(end.outcome.workers_lost == 1, "%u workers", end.outcome.workers_lost);
  lab_close(&lab);
}

void stopped_workers(wp_start_method method) {
  leftovers before = count_leftovers();
  test_lab lab;
  lab_open(&lab, 1, method, 3);
  uint64_t first = lab_submit_with(&lab, 0, DO_AWAIT_STOP, NULL, 0, timeout_of(50 * MILLISECOND, 10 * MILLISECOND));
  lab_await_running(&lab, first);
  int32_t process = only_worker(&lab);
  CHECK(kill(process, SIGSTOP) == 0, "SIGSTOP");
  check_killed(lab_await_task(&lab, 0), WP_TASK_TIMED_OUT, "stopped while it ran");
  // Stopped while idle: its next task was not begun, so nothing is lost by running it elsewhere.
  lab_submit(&lab, 1, DO_ECHO, "x", 1);
  lab_await(&lab, 2);
  CHECK(lab.endings[1].outcome.end == WP_TASK_REPLIED, "it goes on");
  process = only_worker(&lab);
  CHECK(kill(process, SIGSTOP) == 0, "SIGSTOP");
  lab_submit_with(&lab, 2, DO_PID, NULL, 0, timeout_of(50 * MILLISECOND, 10 * MILLISECOND));
  ending end = lab_await_task(&lab, 2);
  CHECK(end.outcome.end == WP_TASK_REPLIED && end.outcome.worker_pid != process, "end %d in worker %d",
        (int)end.outcome.end, end.outcome.worker_pid);
  // Stopped when the pool ends: it does not leave by itself.
  CHECK(kill(only_worker(&lab), SIGSTOP) == 0, "SIGSTOP");
  lab_close(&lab);
  check_leftovers(before, "after workers that were stopped");
}

void bounded_end(wp_start_method method) {
  leftovers before = count_leftovers();
  test_lab lab;
  lab_open(&lab, 2, method, 12);
  uint64_t first = lab_submit(&lab, 10, DO_AWAIT_STOP, NULL, 0);
  uint64_t second = lab_submit_with(&lab, 11, DO_PAUSE, NULL, 0, retries_of(1));
  for (size_t i = 0; i < 10; i++) lab_submit(&lab, i, DO_ECHO, "x", 1);
  lab_await_running(&lab, first);
  lab_await_running(&lab, second);
  wp_process_pool_close(lab.pool);
  CHECK(wp_process_pool_join_until(lab.pool, wp_monotonic_now()) == WP_TIMED_OUT, "%s", "two tasks run");
  wp_process_task_counts counts = wp_process_pool_task_counts(lab.pool);
  CHECK(counts.unfinished == 12 && counts.terminated == 0, "%zu unfinished", counts.unfinished);
  CHECK(wp_process_pool_discard_pending(lab.pool) == 10, "the others have not begun");
  size_t asked = wp_process_pool_stop_running(lab.pool);
  CHECK(asked == 2 && wp_process_pool_stop_running(lab.pool) == 0, "%zu were asked, once", asked);
  CHECK(lab_await_task(&lab, 10).outcome.stop == WP_STOP_SHUT_DOWN, "one listens");
  CHECK(wp_process_pool_join_until(lab.pool, wp_monotonic_now() + MILLISECOND) == WP_TIMED_OUT, "one does not");
  CHECK(wp_process_pool_terminate_running(lab.pool) == 1, "%s", "so it is ended");
  CHECK(wp_process_pool_join_until(lab.pool, UINT64_MAX) == WP_OK, "join");
  check_killed(lab.endings[11], WP_TASK_TERMINATED, "ended");
  counts = wp_process_pool_task_counts(lab.pool);
  CHECK(counts.unfinished == 0 && counts.terminated == 1 && counts.discarded == 10, "%zu unfinished, %zu terminated",
        counts.unfinished, counts.terminated);
  lab_close(&lab);
  check_leftovers(before, "after a bounded end");
}
