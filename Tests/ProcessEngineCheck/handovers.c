// What one thread does for the pool and another has to know: a waiting thread that collects beside the collector's
// own, which sleeps; an idle pool that gives memory back beside a thread that submits.
#include "check.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define MILLISECOND ((uint64_t)1000000)
/// Longer than anything here takes, even on a busy machine.
#define PATIENCE (10000 * MILLISECOND)

/// For tasks that a defect would leave behind for ever.
static bool ends_in_time(test_lab *lab, size_t task) {
  for (uint64_t end = wp_monotonic_now() + PATIENCE; wp_monotonic_now() < end; sched_yield()) {
    if (lab_has_ended(lab, task)) return true;
  }
  return false;
}

/// Waits for a task as a future does, and so collects.
static void drive(test_lab *lab, size_t task) {
  // More than once: the collector's thread may still be awake.
  while (!lab_has_ended(lab, task)) wp_process_pool_sleep(lab->pool, &lab->endings[task].times, UINT32_MAX, UINT64_MAX);
  CHECK(lab_await_task(lab, task).outcome.on_waiting_thread, "task %zu: this thread did not collect", task);
}

static uint64_t submit_busy(test_lab *lab, size_t task, uint64_t nanoseconds) {
  return lab_submit(lab, task, DO_SPIN, &nanoseconds, sizeof nanoseconds);
}

void waiting_timeouts(wp_start_method method) {
  test_lab lab;
  lab_open(&lab, 1, method, 2);
  uint64_t start = wp_monotonic_now();
  submit_busy(&lab, 0, 400 * MILLISECOND);
  wp_task_options options;
  memset(&options, 0, sizeof options);
  options.timeout_ns = 50 * MILLISECOND;
  uint64_t last = lab_submit_with(&lab, 1, DO_PAUSE, NULL, 0, options);
  // The collector looks once, at the earliest end of the timeout, and sees a task that has none.
  while (wp_monotonic_now() < start + 200 * MILLISECOND) sched_yield();
  drive(&lab, 0);
  bool ended = ends_in_time(&lab, 1);
  CHECK(ended && lab.endings[1].outcome.end == WP_TASK_TIMED_OUT, "behind a task that a waiting thread took: end %d",
        ended ? (int)lab.endings[1].outcome.end : -1);
  if (!ended) wp_process_pool_terminate(lab.pool, last);
  lab_close(&lab);
}

void waiting_tidies(wp_start_method method) {
  test_lab lab;
  lab_open(&lab, 1, method, 2);
  submit_busy(&lab, 0, 100 * MILLISECOND);
  uint64_t size = 3u << 20;
  lab_submit(&lab, 1, DO_FILL, &size, sizeof size);
  drive(&lab, 1);
  size_t used = memory_in_use();
  CHECK(used >= size, "%zu bytes are kept", used);
  for (uint64_t end = wp_monotonic_now() + PATIENCE; used >= size && wp_monotonic_now() < end; used = memory_in_use()) {
    sched_yield();
  }
  CHECK(used < size, "%zu bytes are kept by an idle pool", used);
  lab_close(&lab);
}

/// Uses every buffer of a worker that holds one task at a time: eight results are lent, one is in its callback, the next
/// is being written.
static void warm_all_buffers(test_lab *lab) {
  enum { LENT = WP_PROCESS_MAX_LOANS, TASKS = LENT + 2 };
  uint64_t argument[25] = {4u << 20};  // too long for a slot
  lab->lend = true;
  for (size_t i = 0; i < TASKS; i++) lab_submit(lab, i, DO_FILL, argument, sizeof argument);
  lab_await(lab, TASKS);
  lab->lend = false;
  for (size_t i = 0; i < TASKS; i++) {
    if (lab->endings[i].loan != NULL) wp_process_loan_release(lab->endings[i].loan);
  }
}

void tidying(wp_start_method method) {
  test_lab lab;
  wp_process_pool_config config = lab_config(&lab, 1, method);
  config.prefetch = 1;
  config.max_payload = 8u << 20;
  enum { EACH = WP_PROCESS_MAX_LOANS + 3 };
  int rounds = UNDER_TSAN && method == WP_START_FORK ? 1 : 3;
  for (int round = 0; round < rounds; round++) {
    lab_open_with(&lab, &config, EACH);
    warm_all_buffers(&lab);
    // Submit at the moment when the pool has begun to give its pages back.
    size_t full = memory_in_use();
    CHECK(full > 32u << 20, "%zu bytes are kept", full);
    while (memory_in_use() >= full) continue;
    unsigned char bytes[200] = {1};
    lab_submit(&lab, EACH - 1, DO_ECHO, bytes, sizeof bytes);
    bool ended = ends_in_time(&lab, EACH - 1);
    CHECK(ended && lab.endings[EACH - 1].outcome.end == WP_TASK_REPLIED, "beside tidying: %s", ended ? "end" : "stuck");
    lab_close(&lab);
  }
}

static void stop_process(int32_t process) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/status", process);
  CHECK(kill(process, SIGSTOP) == 0, "SIGSTOP");
  while (count_in(path, "State:\tT") == 0) sched_yield();
}

void restart_fails(wp_start_method method) {
  test_lab lab;
  wp_process_pool_config config = lab_config(&lab, 1, method);
  config.outage_limit_ns = 300 * MILLISECOND;
  lab_open_with(&lab, &config, 2);
  int32_t worker = 0;
  wp_process_pool_worker_pids(lab.pool, &worker, 1);
  stop_process(worker);
  // Sent, and not begun: it waits for a new worker, which there cannot be without a descriptor for its template.
  lab_submit(&lab, 0, DO_ECHO, NULL, 0);
  struct rlimit limit, none;
  getrlimit(RLIMIT_NOFILE, &limit);
  none = limit;
  none.rlim_cur = 3;
  setrlimit(RLIMIT_NOFILE, &none);
  kill(wp_process_pool_template_pid(lab.pool), SIGKILL);
  bool ended = ends_in_time(&lab, 0);
  setrlimit(RLIMIT_NOFILE, &limit);
  const wp_task_outcome *outcome = &lab.endings[0].outcome;
  CHECK(ended && outcome->end == WP_TASK_POOL_BROKEN, "a task that nobody can run: %s", ended ? "end" : "stuck");
  const char *cause = method == WP_START_FORK ? "cannot be replaced" : "could not be started";
  CHECK(!ended || strstr(outcome->reason, cause) != NULL, "it broke for '%s'", outcome->reason);
  lab_close(&lab);
}

static void *sleep_for_second(void *argument) {
  test_lab *lab = (test_lab *)argument;
  while (!lab_has_ended(lab, 1)) wp_process_pool_sleep(lab->pool, &lab->endings[1].times, UINT32_MAX, UINT64_MAX);
  return NULL;
}

void bells_filled(wp_start_method method) {
  test_lab lab;
  lab_open(&lab, 2, method, 2);
  alarm(60);  // a host that waits for its worker to let it ring would wait for ever, with the pool's lock
  uint64_t first = lab_submit(&lab, 0, DO_FILL_BELLS, NULL, 0);
  lab_await_running(&lab, first);
  submit_busy(&lab, 1, 500 * MILLISECOND);
  pthread_t driver;
  pthread_create(&driver, NULL, sleep_for_second, &lab);
  while (!lab_has_ended(&lab, 1)) wp_process_pool_wake(lab.pool);
  pthread_join(driver, NULL);
  CHECK(lab.endings[1].outcome.end == WP_TASK_REPLIED, "beside full bells: end %d", (int)lab.endings[1].outcome.end);
  CHECK(wp_process_pool_terminate(lab.pool, first), "%s", "it still runs");
  lab_close(&lab);
}

// MARK: Callbacks that are left to the collector's thread

typedef struct left_call {
  wp_process_pool *pool;
  _Atomic uint64_t second;
  _Atomic uint32_t ended[2];
  _Atomic bool called;
} left_call;

/// Leaves a call, and holds the role until there is a second result to collect.
static void leave_call(left_call *self) {
  wp_process_pool_call(self->pool);
  uint64_t second;
  while ((second = atomic_load(&self->second)) == 0) sched_yield();
  while (!wp_process_pool_is_running(self->pool, second)) sched_yield();
  while (wp_process_pool_is_running(self->pool, second)) sched_yield();
}

static void on_first_or_second(void *context, void *token, const wp_task_outcome *outcome) {
  left_call *self = (left_call *)context;
  size_t task = (size_t)(uintptr_t)token - 1;
  CHECK(outcome->on_waiting_thread == (task == 0), "task %zu: on the wrong thread", task);
  if (task == 0) leave_call(self);
  else CHECK(atomic_load(&self->called), "%s", "the second task's callback came before what the first one's left");
  atomic_store(&self->ended[task], 1);
}

static void on_left_call(void *context) { atomic_store(&((left_call *)context)->called, true); }

void left_calls(wp_start_method method) {
  static left_call self;
  test_lab unused;
  wp_process_pool_config config = lab_config(&unused, 1, method);
  config.hooks.context = &self;
  config.hooks.completed = on_first_or_second;
  config.hooks.called = on_left_call;
  config.hooks.destroy = NULL;
  CHECK(wp_process_pool_create(&config, &self.pool, NULL) == WP_OK, "create");
  for (size_t task = 0; task < 2; task++) {
    uint64_t busy = 100 * MILLISECOND, ticket = 0;
    wp_process_submission submission = lab_submission(task, DO_SPIN, &busy, sizeof busy);
    CHECK(wp_process_pool_submit(self.pool, &submission, &ticket) == WP_OK, "submit");
    if (task == 1) atomic_store(&self.second, ticket);
  }
  while (atomic_load(&self.ended[0]) == 0) wp_process_pool_sleep(self.pool, &self.ended[0], UINT32_MAX, UINT64_MAX);
  wp_process_pool_close(self.pool);
  CHECK(wp_process_pool_join(self.pool) == WP_OK, "join");
  CHECK(atomic_load(&self.ended[1]) == 1 && atomic_load(&self.called), "%s", "something was forgotten");
  wp_process_pool_release(self.pool);
}
