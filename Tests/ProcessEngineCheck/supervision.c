// Scenarios about workers and templates that do not start, or do not last: what is tried again, and when a pool gives up.
#include "supervision.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MILLISECOND ((uint64_t)1000000)
enum { MOST = 64 };

/// What an initializer does, and where its workers leave traces.
typedef enum start_way { DIES_WHEN_READY, AWAITS_DEATH_OF_FIRST, FAILS_WITH_FILE } start_way;
typedef struct start_order {
  start_way way;
  char folder[64];
} start_order;

// MARK: In workers

static void path_in(const start_order *order, const char *name, char path[96]) {
  snprintf(path, 96, "%.63s/%s", order->folder, name);
}

/// 'S' for a thread that sleeps.
static char state_of_main_thread(void) {
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)getpid());
  int file = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = file < 0 ? 0 : read(file, text, sizeof text - 1);
  if (file >= 0) close(file);
  text[length < 0 ? 0 : length] = '\0';
  const char *end = strrchr(text, ')');
  return end == NULL ? '?' : end[2];
}

/// Ends this worker once it waits for its first task.
static void *end_when_ready(void *unused) {
  for (int asleep = 0; asleep < 100; sched_yield()) asleep = state_of_main_thread() == 'S' ? asleep + 1 : 0;
  kill(getpid(), SIGKILL);
  return unused;
}

static void die_when_ready(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, end_when_ready, NULL) != 0) _exit(99);
}

/// The first of its pool to come here dies when it is ready; the others are not ready before that one is gone.
static void await_death_of_first(const start_order *order) {
  char path[96], temporary[96], text[16] = "";
  path_in(order, "first", path);
  snprintf(temporary, sizeof temporary, "%.63s/%d", order->folder, (int)getpid());
  int file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0 || dprintf(file, "%d", (int)getpid()) <= 0) _exit(99);
  close(file);
  bool first = link(temporary, path) == 0;
  unlink(temporary);
  if (first) {
    die_when_ready();
    return;
  }
  file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0 || read(file, text, sizeof text - 1) <= 0) _exit(99);
  close(file);
  while (kill((pid_t)atoi(text), 0) == 0) sched_yield();
}

void start_badly(const wp_process_request *request, wp_process_reply *reply) {
  const start_order *order = (const start_order *)request->bytes;
  char path[96];
  path_in(order, "starts", path);
  int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (file < 0 || write(file, "+", 1) != 1) _exit(99);
  close(file);
  path_in(order, "fail", path);
  switch (order->way) {
  case DIES_WHEN_READY: die_when_ready(); break;
  case AWAITS_DEATH_OF_FIRST: await_death_of_first(order); break;
  case FAILS_WITH_FILE:
    if (access(path, F_OK) == 0) wp_process_reply_set_code(reply, 5);
    break;
  }
}

// MARK: In the host

static wp_process_initializer begin_order(start_order *order, start_way way) {
  *order = (start_order){.way = way, .folder = "/tmp/process-engine-check.XXXXXX"};
  CHECK(mkdtemp(order->folder) != NULL, "mkdtemp: %s", strerror(errno));
  return (wp_process_initializer){.function = DO_START_BADLY, .bytes = order, .length = sizeof *order};
}

static void end_order(const start_order *order) {
  const char *names[] = {"starts", "first", "fail"};
  for (size_t i = 0; i < 3; i++) {
    char path[96];
    path_in(order, names[i], path);
    unlink(path);
  }
  CHECK(rmdir(order->folder) == 0, "rmdir: %s", strerror(errno));
}

static size_t count_starts(const start_order *order) {
  char path[96];
  path_in(order, "starts", path);
  struct stat found;
  return stat(path, &found) == 0 ? (size_t)found.st_size : 0;
}

static _Atomic int breaks, notices;
static wp_process_breakage told;

static void on_break(void *context, const wp_process_breakage *breakage) {
  (void)context;
  told = *breakage;
  atomic_fetch_add(&breaks, 1);
}

static void on_notice(void *context, const wp_notice *notice) {
  (void)context;
  if (notice->kind == WP_NOTICE_WORKER_NOT_STARTED) atomic_fetch_add(&notices, 1);
}

/// A configuration whose break and notices are counted.
static wp_process_pool_config observed(test_lab *lab, uint32_t workers, wp_start_method method) {
  alarm(100);
  wp_set_notice_handler(on_notice, NULL);
  wp_process_pool_config config = lab_config(lab, workers, method);
  config.hooks.broken = on_break;
  return config;
}

/// Until it is said that a start failed, or the pool has broken.
static void await_notice(test_lab *lab) {
  while (atomic_load(&notices) == 0 && wp_process_pool_breakage(lab->pool) == NULL) sched_yield();
}

static void await_break(void) {
  while (atomic_load(&breaks) == 0) sched_yield();
}

static void stay_busy(uint64_t nanoseconds) {
  for (uint64_t end = wp_monotonic_now() + nanoseconds; wp_monotonic_now() < end;) sched_yield();
}

static void await_workers(test_lab *lab, size_t count) {
  int32_t pids[MOST];
  while (wp_process_pool_worker_pids(lab->pool, pids, MOST) != count) sched_yield();
}

static void check_sound(test_lab *lab, const char *what) {
  const wp_process_breakage *breakage = wp_process_pool_breakage(lab->pool);
  const char *reason = breakage == NULL ? "-" : breakage->reason;
  CHECK(breakage == NULL && atomic_load(&breaks) == 0, "%s: the pool broke: %s", what, reason);
}

static void check_echo(test_lab *lab, size_t task) {
  lab_submit(lab, task, DO_ECHO, "x", 1);
  const ending end = lab_await_task(lab, task);
  CHECK(end.outcome.end == WP_TASK_REPLIED, "task %zu: end %d", task, (int)end.outcome.end);
}

/// Leaves the template no descriptor for the pipes and sockets of new workers. Returns what it had.
static struct rlimit starve_template(test_lab *lab) {
  pid_t process = wp_process_pool_template_pid(lab->pool);
  struct rlimit before, none;
  CHECK(prlimit(process, RLIMIT_NOFILE, NULL, &before) == 0, "prlimit: %s", strerror(errno));
  none = before;
  none.rlim_cur = 3;
  CHECK(prlimit(process, RLIMIT_NOFILE, &none, NULL) == 0, "prlimit: %s", strerror(errno));
  return before;
}

static void feed_template(test_lab *lab, struct rlimit limit) {
  CHECK(prlimit(wp_process_pool_template_pid(lab->pool), RLIMIT_NOFILE, &limit, NULL) == 0, "prlimit: %s", strerror(errno));
}

static void kill_first_worker(test_lab *lab) {
  int32_t process = 0;
  wp_process_pool_worker_pids(lab->pool, &process, 1);
  CHECK(process > 0 && kill(process, SIGKILL) == 0, "kill of worker %d", process);
}

// MARK: Being made

void ready_then_gone(wp_start_method method) {
  if (UNDER_TSAN) return;  // which lets no child of a fork start threads
  test_lab lab;
  wp_process_pool_config config = observed(&lab, 2, method);
  start_order order;
  const wp_process_initializer initializer = begin_order(&order, AWAITS_DEATH_OF_FIRST);
  config.initializer = &initializer;
  lab_open_with(&lab, &config, 1);
  // The death may be heard of only after both were seen to be ready.
  while (count_starts(&order) < 3) sched_yield();
  check_echo(&lab, 0);
  lab_close(&lab);
  end_order(&order);
}

// MARK: Passing failures

void start_shortage(wp_start_method method) {
  test_lab lab;
  wp_process_pool_config config = observed(&lab, 2, method);
  lab_open_with(&lab, &config, 6);
  // One worker goes on while the other cannot be replaced.
  uint64_t busy = 400 * MILLISECOND;
  uint64_t healthy = lab_submit(&lab, 0, DO_SPIN, &busy, sizeof busy);
  lab_await_running(&lab, healthy);
  struct rlimit limit = starve_template(&lab);
  lab_submit(&lab, 1, DO_TRAP, NULL, 0);
  CHECK(lab_await_task(&lab, 0).outcome.end == WP_TASK_REPLIED, "a task of the healthy worker: %d",
        (int)lab.endings[0].outcome.end);
  CHECK(lab_await_task(&lab, 1).outcome.end == WP_TASK_WORKER_DIED, "end %d", (int)lab.endings[1].outcome.end);
  await_notice(&lab);
  check_sound(&lab, "with one worker");
  check_echo(&lab, 2);
  // Nor can that one: what waits is done once there is room.
  lab_submit(&lab, 3, DO_TRAP, NULL, 0);
  lab_await_task(&lab, 3);
  lab_submit(&lab, 4, DO_ECHO, "x", 1);
  stay_busy(400 * MILLISECOND);
  check_sound(&lab, "with no worker");
  feed_template(&lab, limit);
  CHECK(lab_await_task(&lab, 4).outcome.end == WP_TASK_REPLIED, "what waited: %d", (int)lab.endings[4].outcome.end);
  await_workers(&lab, 2);
  check_echo(&lab, 5);
  lab_close(&lab);
}

void initializer_recovers(wp_start_method method) {
  test_lab lab;
  wp_process_pool_config config = observed(&lab, 2, method);
  start_order order;
  const wp_process_initializer initializer = begin_order(&order, FAILS_WITH_FILE);
  config.initializer = &initializer;
  lab_open_with(&lab, &config, 1);
  char path[96];
  path_in(&order, "fail", path);
  int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  CHECK(file >= 0, "%s: %s", path, strerror(errno));
  close(file);
  kill_first_worker(&lab);
  await_notice(&lab);
  check_sound(&lab, "beside an initializer that failed");
  unlink(path);
  await_workers(&lab, 2);
  check_echo(&lab, 0);
  lab_close(&lab);
  end_order(&order);
}

void restart_recovers(wp_start_method method) {
  if (method == WP_START_FORK) return;  // whose template is not restarted
  test_lab lab;
  wp_process_pool_config config = observed(&lab, 1, method);
  lab_open_with(&lab, &config, 1);
  struct rlimit limit, none;
  getrlimit(RLIMIT_NOFILE, &limit);
  none = limit;
  none.rlim_cur = 2;  // less than poll is asked about
  setrlimit(RLIMIT_NOFILE, &none);
  kill(wp_process_pool_template_pid(lab.pool), SIGKILL);
  lab_submit(&lab, 0, DO_ECHO, "x", 1);
  await_notice(&lab);
  stay_busy(200 * MILLISECOND);
  check_sound(&lab, "while no template could be started");
  setrlimit(RLIMIT_NOFILE, &limit);
  CHECK(lab_await_task(&lab, 0).outcome.end == WP_TASK_REPLIED, "what waited: %d", (int)lab.endings[0].outcome.end);
  lab_close(&lab);
}

// MARK: What lasts

void flaps(wp_start_method method) {
  if (UNDER_TSAN) return;  // as above
  test_lab lab;
  wp_process_pool_config config = observed(&lab, 1, method);
  start_order order;
  const wp_process_initializer initializer = begin_order(&order, DIES_WHEN_READY);
  config.initializer = &initializer;
  config.outage_limit_ns = 1000 * MILLISECOND;
  lab_open_with(&lab, &config, 1);
  await_break();
  // Pauses of 10, 20, 40 ms and so on come to a second after seven of them.
  CHECK(count_starts(&order) <= 12, "%zu starts in a second without a worker", count_starts(&order));
  CHECK(told.reason != NULL && strstr(told.reason, "as soon as they are ready") != NULL, "%s", told.reason);
  CHECK(WIFSIGNALED(told.wait_status) && WTERMSIG(told.wait_status) == SIGKILL && !told.is_final, "wait status %x",
        told.wait_status);
  CHECK(atomic_load(&breaks) == 1 && atomic_load(&notices) == 1, "%d breaks, %d notices",
        atomic_load(&breaks), atomic_load(&notices));
  wp_process_submission submission = lab_submission(0, DO_ECHO, NULL, 0);
  CHECK(wp_process_pool_submit(lab.pool, &submission, NULL) == WP_BROKEN, "submit to a broken pool");
  lab_close(&lab);
  end_order(&order);
}

static bool grant(void) { return true; }

/// What no time cures does not wait for the limit.
static void lose_right_to_start(wp_start_method method) {
  test_lab lab;
  wp_process_pool_config config = observed(&lab, 1, method);
  lab_open_with(&lab, &config, 1);
  const int starts[] = {
#ifdef SYS_vfork
      SYS_vfork,
#endif
      SYS_clone, SYS_clone3};
  deny(starts, sizeof starts / sizeof *starts, EPERM);
  uint64_t start = wp_monotonic_now();
  kill(wp_process_pool_template_pid(lab.pool), SIGKILL);
  await_break();
  CHECK(wp_monotonic_now() - start < 10000 * MILLISECOND, "%s", "it waited");
  CHECK(told.is_final && told.system_errno == EPERM && told.call != NULL && strcmp(told.call, "vfork") == 0, "%s: %s",
        told.call == NULL ? "-" : told.call, strerror(told.system_errno));
  lab_close(&lab);
}

void restart_refused(wp_start_method method) {
  if (method == WP_START_FORK) return;  // whose template is not restarted
  CHECK(run_confined("no new processes", grant, lose_right_to_start, method), "seccomp is there");
}

// MARK: The template

static _Atomic bool sends_are_slow;

/// As a security module, or a page that was swapped out, may make it.
ssize_t sendmsg(int socket, const struct msghdr *message, int flags) {
  struct timespec second = {1, 0};
  if (atomic_load(&sends_are_slow)) nanosleep(&second, NULL);
  return syscall(SYS_sendmsg, socket, message, flags);
}

void slow_sends(wp_start_method method) {
  enum { TASKS = 200 };
  test_lab lab;
  wp_process_pool_config config = observed(&lab, 1, method);
  lab_open_with(&lab, &config, TASKS);
  atomic_store(&sends_are_slow, true);
  wp_error error;
  CHECK(wp_process_pool_resize(lab.pool, 4, &error) == WP_OK, "resize");
  uint64_t longest = 0;
  for (size_t i = 0; i < TASKS; i++) {
    uint64_t start = wp_monotonic_now();
    lab_submit(&lab, i, DO_ECHO, "x", 1);
    uint64_t took = wp_monotonic_now() - start;
    if (took > longest) longest = took;
    stay_busy(5 * MILLISECOND);
  }
  CHECK(longest < 500 * MILLISECOND, "a submit took %llu ms", (unsigned long long)(longest / MILLISECOND));
  printf("the longest submit took %llu us\n", (unsigned long long)(longest / 1000));
  atomic_store(&sends_are_slow, false);
  lab_await(&lab, TASKS);
  await_workers(&lab, 4);
  lab_close(&lab);
}

/// What this process has inherited leaves it 60: enough for 40 workers, and too few for their template.
static bool limit_files(void) {
  rlim_t end = (rlim_t)count_leftovers().descriptors + 60;
  struct rlimit few = {end, end};
  return setrlimit(RLIMIT_NOFILE, &few) == 0;
}

/// A template with more pipes to look at than it may have files.
static void crowd_template(wp_start_method method) {
  test_lab lab;
  wp_process_pool_config config = observed(&lab, 2, method);
  lab_open_with(&lab, &config, 2);
  wp_error error;
  CHECK(wp_process_pool_resize(lab.pool, 40, &error) == WP_OK, "resize");
  await_notice(&lab);
  lab_submit(&lab, 0, DO_TRAP, NULL, 0);
  const ending end = lab_await_task(&lab, 0);
  CHECK(WIFSIGNALED(end.outcome.wait_status) && WTERMSIG(end.outcome.wait_status) == SIGILL, "wait status %x",
        end.outcome.wait_status);
  CHECK(wp_process_pool_resize(lab.pool, 2, &error) == WP_OK, "resize");
  check_echo(&lab, 1);
  CHECK(wp_process_pool_resize(lab.pool, 40, &error) == WP_OK, "resize");
  // The program ends, and does not say so to its pool.
}

/// Reaps what comes to this process, until there is none.
static void reap_all(void) {
  while (waitpid(-1, NULL, 0) > 0 || errno == EINTR) continue;
}

void few_descriptors(wp_start_method method) {
  if (UNDER_TSAN || UNDER_ASAN) return;  // which need descriptors themselves
  alarm(100);
  CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0, "prctl: %s", strerror(errno));
  CHECK(run_confined("few descriptors", limit_files, crowd_template, method), "setrlimit is there");
  reap_all();  // for ever, if the template does not see the end of its host
}

void loss_reexecutes(wp_start_method method) {
  if (method == WP_START_REEXEC) return;  // whose template is replaced anyway
  test_lab lab;
  wp_process_pool_config config = observed(&lab, 2, method);
  config.on_template_loss = WP_TEMPLATE_LOSS_REEXECUTES;
  leftovers before = count_leftovers();
  lab_open_with(&lab, &config, 42);
  uint32_t index = 0;
  CHECK(wp_process_pool_intern(lab.pool, "kept", 4, &index) == WP_OK, "intern");
  uint64_t first = lab_submit(&lab, 0, DO_PAUSE, NULL, 0);
  for (uint64_t i = 1; i < 40; i++) lab_submit(&lab, i, DO_INCREMENT, &i, sizeof i);
  lab_await_running(&lab, first);
  CHECK(wp_process_pool_start_method(lab.pool) == WP_START_FORK, "method");
  kill(wp_process_pool_template_pid(lab.pool), SIGKILL);
  lab_await(&lab, 40);
  for (size_t i = 1; i < 40; i++) {
    bool begun = lab.endings[i].outcome.end == WP_TASK_WORKER_DIED;  // by the other worker, when it went
    CHECK(begun || lab.endings[i].outcome.end == WP_TASK_REPLIED, "task %zu: end %d", i, (int)lab.endings[i].outcome.end);
  }
  CHECK(lab.endings[0].outcome.end == WP_TASK_WORKER_DIED, "end %d", (int)lab.endings[0].outcome.end);
  check_echo(&lab, 40);
  CHECK(wp_process_pool_start_method(lab.pool) == WP_START_REEXEC, "method");
  uint64_t name = index;
  lab_submit(&lab, 41, DO_NAME, &name, sizeof name);
  CHECK(memcmp(lab_await_task(&lab, 41).head, "kept", 4) == 0, "%s", "the name is another");
  check_sound(&lab, "after the loss of a forked template");
  lab_close(&lab);
  check_leftovers(before, "after a pool that went over to re-executed workers");
}

/// As the first process of a container: what loses its parent becomes this program's child.
void adopts_orphans(wp_start_method method) {
  CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0, "prctl: %s", strerror(errno));
  leftovers before = count_leftovers();
  test_lab lab;
  wp_process_pool_config config = observed(&lab, 3, method);
  lab_open_with(&lab, &config, 1);
  uint64_t first = lab_submit(&lab, 0, DO_PAUSE, NULL, 0);
  lab_await_running(&lab, first);
  kill(wp_process_pool_template_pid(lab.pool), SIGKILL);
  lab_await(&lab, 1);
  lab_close(&lab);
  check_leftovers(before, "in a program that adopts orphans");
}
