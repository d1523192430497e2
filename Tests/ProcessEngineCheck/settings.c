// Scenarios about what workers print, may use and run first.
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/// Whether `length` bytes are those that DO_PRINT writes up to byte `end`.
static bool are_printed(const char *bytes, size_t length, uint64_t end) {
  for (size_t i = 0; i < length; i++) {
    if (bytes[i] != (char)('a' + (end - length + i) % 26)) return false;
  }
  return true;
}

/// A death's output as its callback saw it, since the outcome's pointers end with the callback.
static struct {
  pthread_mutex_t lock;
  size_t length;
  bool right;
  uint64_t expected_end;
  void (*next)(void *, void *, const wp_task_outcome *);
} seen = {PTHREAD_MUTEX_INITIALIZER, 0, false, 0, NULL};

static void see_output(void *context, void *token, const wp_task_outcome *outcome) {
  pthread_mutex_lock(&seen.lock);
  seen.length = outcome->output_length;
  seen.right = are_printed(outcome->output, outcome->output_length, seen.expected_end);
  pthread_mutex_unlock(&seen.lock);
  seen.next(context, token, outcome);
}

static wp_process_pool_config watching(test_lab *lab, uint32_t workers, wp_start_method method) {
  wp_process_pool_config config = lab_config(lab, workers, method);
  seen.next = config.hooks.completed;
  config.hooks.completed = see_output;
  return config;
}

static void capture_only(wp_process_pool_config *config, size_t limit) {
  config->output[WP_STREAM_ERROR].mode = WP_OUTPUT_CAPTURE;
  config->output[WP_STREAM_ERROR].limit = limit;
}

void prints(wp_start_method method) {
  static const size_t limits[] = {1, 100, 5000, 70000};
  static const uint64_t amounts[] = {0, 1, 100, 4096, 5001, 9999, 70001, 1000000};
  enum { LIMITS = sizeof limits / sizeof limits[0], AMOUNTS = sizeof amounts / sizeof amounts[0] };
  for (size_t i = 0; i < LIMITS; i++) {
    test_lab lab;
    wp_process_pool_config config = watching(&lab, 1, method);
    capture_only(&config, limits[i]);
    lab_open_with(&lab, &config, AMOUNTS);
    for (size_t j = 0; j < AMOUNTS; j++) {
      seen.expected_end = amounts[j];
      lab_submit(&lab, j, DO_PRINT_AND_DIE, &amounts[j], sizeof amounts[j]);
      ending end = lab_await_task(&lab, j);
      CHECK(end.outcome.end == WP_TASK_WORKER_DIED && end.outcome.function == DO_PRINT_AND_DIE, "end %d",
            (int)end.outcome.end);
      CHECK(end.outcome.peak_memory > 4096 && end.outcome.run_ns > 0 && end.outcome.passed == WP_PASSED_NONE,
            "peak %llu", (unsigned long long)end.outcome.peak_memory);
      size_t expected = amounts[j] < limits[i] ? (size_t)amounts[j] : limits[i];
      CHECK(seen.length == expected && seen.right, "%zu of %llu bytes, limit %zu, right %d", seen.length,
            (unsigned long long)amounts[j], limits[i], seen.right);
    }
    // Of a worker that lives, once the template has read it.
    uint64_t amount = 300000;
    lab_close(&lab);
    if (UNDER_TSAN) return;
    lab_open_with(&lab, &config, 1);
    lab_submit(&lab, 0, DO_PRINT, &amount, sizeof amount);
    lab_await(&lab, 1);
    int32_t process = 0;
    wp_process_pool_worker_pids(lab.pool, &process, 1);
    char *bytes = (char *)malloc(limits[i]);
    size_t length;
    do length = wp_process_pool_output(lab.pool, process, WP_STREAM_ERROR, bytes, limits[i]);
    while (!are_printed(bytes, length, amount) || length < limits[i]);
    CHECK(wp_process_pool_output(lab.pool, process, WP_STREAM_OUTPUT, bytes, limits[i]) == 0, "%s", "not captured");
    CHECK(wp_process_pool_output(lab.pool, getpid(), WP_STREAM_ERROR, bytes, limits[i]) == 0, "%s", "no worker");
    free(bytes);
    lab_close(&lab);
  }
}

void echoes(wp_start_method method) {
  // Our standard error is a pipe that nobody reads: workers wait in their writes, and nothing else does.
  int own = dup(STDERR_FILENO);
  int ends[2];
  if (pipe(ends) != 0) exit(1);
  int room = fcntl(ends[0], F_GETPIPE_SZ);
  dup2(ends[1], STDERR_FILENO);
  test_lab lab;
  wp_process_pool_config config = watching(&lab, 2, method);
  capture_only(&config, 1000);
  config.output[WP_STREAM_ERROR].echo = true;
  lab_open_with(&lab, &config, 42);
  uint64_t amount = 10000000;
  uint64_t ticket = lab_submit(&lab, 0, DO_PRINT, &amount, sizeof amount);
  lab_await_running(&lab, ticket);
  for (size_t i = 1; i <= 40; i++) lab_submit(&lab, i, DO_ECHO, "x", 1);
  for (size_t i = 1; i <= 40; i++) lab_await_task(&lab, i);
  struct pollfd full = {ends[1], POLLOUT, 0};
  while (poll(&full, 1, 0) != 0) continue;
  CHECK(wp_process_pool_is_running(lab.pool, ticket), "%s", "it waits");
  int32_t pids[2] = {0, 0};
  wp_process_pool_worker_pids(lab.pool, pids, 2);
  kill(pids[0], SIGKILL);
  kill(pids[1], SIGKILL);
  CHECK(lab_await_task(&lab, 0).outcome.end == WP_TASK_WORKER_DIED, "%s", "it was killed");
  CHECK(seen.length == 1000, "%zu bytes", seen.length);
  // Somebody reads again: output goes on.
  char *bytes = (char *)malloc((size_t)room);
  ssize_t length = read(ends[0], bytes, (size_t)room);
  CHECK(length > 0 && are_printed(bytes, (size_t)length, (uint64_t)length), "%zd bytes", length);
  amount = 100;
  lab_submit(&lab, 41, DO_PRINT, &amount, sizeof amount);
  lab_await_task(&lab, 41);
  lab_close(&lab);
  dup2(own, STDERR_FILENO);
  close(own);
  close(ends[1]);
  size_t last = 0;
  for (ssize_t got; (got = read(ends[0], bytes, (size_t)room)) > 0;) last = (size_t)got;
  CHECK(last >= 100 && are_printed(bytes + last - 100, 100, 100), "%zu bytes", last);
  free(bytes);
  close(ends[0]);
}

static void check_refused(wp_start_method method, const wp_process_limits *limits, wp_status status,
                          const char *call) {
  test_lab lab;
  leftovers before = count_leftovers();
  wp_process_pool_config config = lab_config(&lab, 2, method);
  config.limits = *limits;
  wp_error error;
  memset(&error, 0, sizeof error);
  CHECK(wp_process_pool_create(&config, &lab.pool, &error) == status, "%s", wp_status_name(error.status));
  CHECK(error.call != NULL && strcmp(error.call, call) == 0, "%s, not %s", error.call, call);
  check_leftovers(before, call);
}

void limits(wp_start_method method) {
  const wp_process_limits refused[] = {
      {.open_files = (uint64_t)1 << 62}, {.open_files = 3}, {.memory = 4096}, {.niceness = 41}};
  check_refused(method, &refused[0], WP_SYSTEM_CALL_FAILED, "setrlimit(RLIMIT_NOFILE)");
  if (UNDER_TSAN) return;
  check_refused(method, &refused[1], WP_INVALID_ARGUMENT, "limits.open_files");
  check_refused(method, &refused[2], WP_INVALID_ARGUMENT, "limits.memory");
  check_refused(method, &refused[3], WP_INVALID_ARGUMENT, "limits.niceness");
  test_lab lab;
  wp_process_pool_config config = lab_config(&lab, 2, method);
  config.limits.cpu_ns = 50000000;
  config.limits.memory = UNDER_ASAN ? 0 : (uint64_t)1 << 30;
  lab_open_with(&lab, &config, 3);
  uint64_t forever = UINT64_MAX / 4;
  lab_submit(&lab, 0, DO_SPIN, &forever, sizeof forever);
  ending end = lab_await_task(&lab, 0);
  CHECK(WIFSIGNALED(end.outcome.wait_status) && WTERMSIG(end.outcome.wait_status) == SIGXCPU, "wait status %x",
        end.outcome.wait_status);
  CHECK(end.outcome.passed == WP_PASSED_CPU_TIME && end.outcome.limit == 50000000, "limit %zu", end.outcome.limit);
  uint64_t pieces[] = {(uint64_t)1 << 20, (uint64_t)1 << 40};
  for (size_t i = 0; i < 2 && !UNDER_ASAN; i++) {
    lab_submit(&lab, 1 + i, DO_HOARD, &pieces[i], sizeof pieces[i]);
    end = lab_await_task(&lab, 1 + i);
    CHECK(WIFSIGNALED(end.outcome.wait_status) && WTERMSIG(end.outcome.wait_status) == SIGILL, "wait status %x",
          end.outcome.wait_status);
    CHECK(end.outcome.passed == WP_PASSED_MEMORY && end.outcome.limit == (size_t)1 << 30, "limit %zu",
          end.outcome.limit);
  }
  lab_close(&lab);
}

void recycles(wp_start_method method) {
  enum { TASKS = 300, EACH = 3 };
  test_lab lab;
  wp_process_pool_config config = lab_config(&lab, 2, method);
  config.limits.max_tasks = EACH;
  lab_open_with(&lab, &config, TASKS);
  for (size_t i = 0; i < TASKS; i++) lab_submit(&lab, i, DO_PID, NULL, 0);
  lab_await(&lab, TASKS);
  for (size_t i = 0; i < TASKS; i++) {
    CHECK(lab.endings[i].times == 1 && lab.endings[i].outcome.end == WP_TASK_REPLIED, "task %zu", i);
    size_t same = 0;
    for (size_t j = 0; j < TASKS; j++) same += lab.endings[i].outcome.worker_pid == lab.endings[j].outcome.worker_pid;
    CHECK(same <= EACH, "%zu tasks of worker %d", same, lab.endings[i].outcome.worker_pid);
  }
  lab_close(&lab);
}

/// What a create that failed was told.
static struct {
  int times;
  wp_process_breakage breakage;
  char reply[16];
} told;

static void start_failed(void *context, const wp_process_breakage *breakage) {
  (void)context;
  told.times++;
  told.breakage = *breakage;
  memset(told.reply, 0, sizeof told.reply);
  if (breakage->reply != NULL && breakage->reply_length < sizeof told.reply) {
    memcpy(told.reply, breakage->reply, breakage->reply_length);
  }
}

void initializes(wp_start_method method) {
  test_lab lab;
  wp_process_pool_config config = lab_config(&lab, 2, method);
  config.hooks.start_failed = start_failed;
  wp_process_initializer initializer;
  memset(&initializer, 0, sizeof initializer);
  initializer.function = DO_REFUSE;
  initializer.bytes = "no";
  initializer.length = 2;
  config.initializer = &initializer;
  wp_error error;
  CHECK(wp_process_pool_create(&config, &lab.pool, &error) == WP_BROKEN, "%s", wp_status_name(error.status));
  CHECK(told.times == 1 && told.breakage.reply_code == 5 && strcmp(told.reply, "no") == 0, "code %u, %s",
        told.breakage.reply_code, told.reply);
  CHECK(told.breakage.in_initializer && told.breakage.worker_pid > 0, "worker %d", told.breakage.worker_pid);
  if (UNDER_TSAN) return;
  initializer.function = DO_EXIT_3;
  CHECK(wp_process_pool_create(&config, &lab.pool, &error) == WP_BROKEN, "%s", wp_status_name(error.status));
  CHECK(told.times == 2 && told.breakage.reply_code == 0 && WIFEXITED(told.breakage.wait_status) &&
            WEXITSTATUS(told.breakage.wait_status) == 3,
        "wait status %x", told.breakage.wait_status);
  initializer.function = DO_NAME;  // its name is the first of the pool
  initializer.bytes = NULL;
  initializer.length = 0;
  initializer.name = "first";
  initializer.name_length = 5;
  lab_open_with(&lab, &config, 1);
  uint32_t index = 9;
  CHECK(wp_process_pool_intern(lab.pool, "first", 5, &index) == WP_OK && index == 0, "index %u", index);
  lab_submit(&lab, 0, DO_ECHO, "x", 1);
  lab_await(&lab, 1);
  CHECK(lab.endings[0].outcome.end == WP_TASK_REPLIED, "end %d", (int)lab.endings[0].outcome.end);
  CHECK(told.times == 2 && wp_process_pool_breakage(lab.pool) == NULL, "%s", "it is sound");
  lab_close(&lab);
}
