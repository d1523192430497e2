// Scenarios about pools whose number of workers is changed while they run.
#include "check.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 8, NOBODY = 65533, MOST_FILLERS = 100 };

static void resize(test_lab *lab, uint32_t count) {
  wp_error error;
  wp_status status = wp_process_pool_resize(lab->pool, count, &error);
  CHECK(status == WP_OK, "%u workers: %s", count, wp_status_name(status));
  CHECK(wp_process_pool_worker_count(lab->pool) == count, "%u workers", wp_process_pool_worker_count(lab->pool));
}

static size_t list(test_lab *lab, int32_t pids[MOST]) { return wp_process_pool_worker_pids(lab->pool, pids, MOST); }

/// Waits until there are as many.
static void await_workers(test_lab *lab, size_t count) {
  int32_t pids[MOST];
  while (list(lab, pids) != count) sched_yield();
}

static void check_replied(const test_lab *lab, size_t first, size_t last, const char *what) {
  for (size_t i = first; i < last; i++) {
    const ending *end = &lab->endings[i];
    CHECK(end->times == 1 && end->outcome.end == WP_TASK_REPLIED, "%s: task %zu ended %d times, %d", what, i, end->times,
          (int)end->outcome.end);
  }
}

// MARK: More workers

void grows(wp_start_method method) {
  enum { TASKS = 40 };
  leftovers before = count_leftovers();
  test_lab lab;
  test_gate gate;
  gate_make(&gate);
  wp_process_pool_config config = lab_config(&lab, 1, method);
  wp_process_initializer initializer;
  memset(&initializer, 0, sizeof initializer);
  initializer.function = DO_PRINT;  // what it prints, it prints in each worker
  const uint64_t printed = 26;
  initializer.bytes = &printed;
  initializer.length = sizeof printed;
  config.initializer = &initializer;
  config.output[WP_STREAM_ERROR].mode = WP_OUTPUT_CAPTURE;
  config.output[WP_STREAM_ERROR].limit = 200;
  lab_open_with(&lab, &config, TASKS + 4 * MOST);
  // What waits behind the only worker is begun by those that are added.
  lab_submit(&lab, 0, DO_AWAIT_FIFO, gate.path, strlen(gate.path));
  for (size_t i = 1; i < TASKS; i++) lab_submit(&lab, i, DO_PID, NULL, 0);
  resize(&lab, 4);
  lab_await(&lab, TASKS - 1);
  CHECK(!lab_has_ended(&lab, 0), "%s", "the first task has ended");
  for (size_t i = 1; i < TASKS; i++) {
    int32_t identity[2];
    memcpy(identity, lab.endings[i].head, sizeof identity);
    CHECK(identity[1] >= 1 && identity[1] < 4, "task %zu ran in worker %d", i, identity[1]);
  }
  gate_open(&gate);
  lab_await(&lab, TASKS);
  check_replied(&lab, 0, TASKS, "grown");
  await_workers(&lab, 4);
  // Those that were added are as the others: named by their number, with what they print.
  int32_t pids[MOST];
  list(&lab, pids);
  for (size_t i = 0; i < 4; i++) {
    char path[64], name[32];
    snprintf(path, sizeof path, "/proc/%d/comm", pids[i]);
    snprintf(name, sizeof name, "check-%zu", i);
    while (count_in(path, name) == 0) sched_yield();
    char text[64] = {0};
    while (wp_process_pool_output(lab.pool, pids[i], WP_STREAM_ERROR, text, sizeof text) < printed) sched_yield();
    CHECK(strncmp(text, "abcdefghijklmnopqrstuvwxyz", 26) == 0, "worker %zu printed %s", i, text);
  }
  // And are replaced as the others.
  int32_t former = pids[3];
  kill(former, SIGKILL);
  while (list(&lab, pids) != 4 || pids[3] == former) sched_yield();
  resize(&lab, MOST);
  await_workers(&lab, MOST);
  lab_close(&lab);
  gate_remove(&gate);
  check_leftovers(before, "after a pool that grew");
}

// MARK: Fewer workers

/// A pool of four workers that are all in a task of their own, with others behind.
typedef struct crowd {
  test_lab lab;
  test_gate gates[4];
  size_t tasks;
} crowd;

static void crowd_open(crowd *self, wp_start_method method, size_t waiting) {
  wp_process_pool_config config = lab_config(&self->lab, 4, method);
  config.prefetch = 3;
  lab_open_with(&self->lab, &config, waiting + 4 + 8 * MOST);
  for (size_t i = 0; i < 4; i++) {
    gate_make(&self->gates[i]);
    uint64_t ticket = lab_submit(&self->lab, i, DO_AWAIT_FIFO, self->gates[i].path, strlen(self->gates[i].path));
    lab_await_running(&self->lab, ticket);
  }
  static unsigned char bytes[100000];
  for (size_t i = 0; i < waiting; i++) {
    lab_submit(&self->lab, 4 + i, i % 3 == 0 ? DO_ECHO : DO_PID, bytes, i % 3 == 0 ? sizeof bytes : 0);
  }
  self->tasks = waiting + 4;
}

static void crowd_close(crowd *self) {
  lab_close(&self->lab);
  for (size_t i = 0; i < 4; i++) gate_remove(&self->gates[i]);
}

/// The index of the worker that has run the task.
static size_t runner_of(const crowd *self, size_t task, const int32_t pids[4]) {
  int32_t process = self->lab.endings[task].outcome.worker_pid;
  for (size_t i = 0; i < 4; i++) {
    if (pids[i] == process) return i;
  }
  CHECK(false, "task %zu ran in %d", task, process);
  return 0;
}

void shrinks(wp_start_method method) {
  enum { WAITING = 30 };
  leftovers before = count_leftovers();
  crowd full;
  crowd_open(&full, method, WAITING);
  test_lab *lab = &full.lab;
  int32_t pids[MOST], left[MOST];
  CHECK(list(lab, pids) == 4, "%s", "four workers");
  resize(lab, 1);
  // What they have begun they end, and then they go. Of what stood behind it in their slots they begin no more than that,
  // if they are faster than the collector's thread, which takes it back.
  for (size_t i = 0; i < 4; i++) gate_open(&full.gates[i]);
  lab_await(lab, full.tasks);
  check_replied(lab, 0, full.tasks, "shrunk");
  await_workers(lab, 1);
  list(lab, left);
  CHECK(left[0] == pids[0], "worker %d is left, not %d", left[0], pids[0]);
  size_t seen = 0;
  for (size_t i = 0; i < 4; i++) seen += (size_t)1 << runner_of(&full, i, pids);
  CHECK(seen == 15, "%s", "each worker has run one of the first tasks");
  size_t elsewhere[4] = {0, 0, 0, 0};
  for (size_t i = 4; i < full.tasks; i++) elsewhere[runner_of(&full, i, pids)]++;
  for (size_t i = 1; i < 4; i++) CHECK(elsewhere[i] <= 2, "worker %zu ran %zu of the tasks that waited", i, elsewhere[i]);
  // From idle, and back to as many, which are others.
  resize(lab, 4);
  await_workers(lab, 4);
  list(lab, left);
  CHECK(left[0] == pids[0] && left[1] != pids[1] && left[2] != pids[2] && left[3] != pids[3], "%s", "the same workers");
  resize(lab, 2);
  await_workers(lab, 2);
  lab_submit(lab, full.tasks, DO_ECHO, "x", 1);
  lab_await(lab, full.tasks + 1);
  check_replied(lab, full.tasks, full.tasks + 1, "after all of it");
  crowd_close(&full);
  check_leftovers(before, "after a pool that shrank");
}

/// One that was not told to leave yet goes on; a pool that is closed meanwhile ends.
void wanted_again(wp_start_method method) {
  enum { WAITING = 12 };
  crowd full;
  crowd_open(&full, method, WAITING);
  test_lab *lab = &full.lab;
  int32_t pids[MOST], left[MOST];
  list(lab, pids);
  resize(lab, 1);
  resize(lab, 3);
  for (size_t i = 0; i < 4; i++) gate_open(&full.gates[i]);
  lab_await(lab, full.tasks);
  check_replied(lab, 0, full.tasks, "wanted again");
  await_workers(lab, 3);
  list(lab, left);
  for (size_t i = 0; i < 3; i++) CHECK(left[i] == pids[i], "worker %zu is %d, was %d", i, left[i], pids[i]);
  for (size_t i = 0; i < MOST; i++) lab_submit(lab, full.tasks + i, DO_ECHO, "x", 1);
  lab_await(lab, full.tasks + MOST);
  check_replied(lab, full.tasks, full.tasks + MOST, "wanted again");
  resize(lab, 1);
  crowd_close(&full);
}

void shrinks_and_ends(wp_start_method method) {
  enum { WAITING = 12 };
  leftovers before = count_leftovers();
  crowd full;
  crowd_open(&full, method, WAITING);
  resize(&full.lab, 2);
  wp_process_pool_close(full.lab.pool);
  wp_error error;
  CHECK(wp_process_pool_resize(full.lab.pool, 4, &error) == WP_SHUT_DOWN, "%s", wp_status_name(error.status));
  CHECK(wp_process_pool_resize(full.lab.pool, 1, &error) == WP_SHUT_DOWN, "%s", wp_status_name(error.status));
  CHECK(wp_process_pool_worker_count(full.lab.pool) == 2, "%u", wp_process_pool_worker_count(full.lab.pool));
  for (size_t i = 0; i < 4; i++) gate_open(&full.gates[i]);
  lab_await(&full.lab, full.tasks);
  check_replied(&full.lab, 0, full.tasks, "closed");
  crowd_close(&full);
  check_leftovers(before, "after a pool that was closed while it shrank");
}

/// A worker that does not hear the order to leave is killed; what it lent outlives it.
void shrinks_deaf(wp_start_method method) {
  leftovers before = count_leftovers();
  test_lab lab;
  lab_open(&lab, 2, method, 4);
  lab.lend = true;
  uint64_t length = 1 << 20;
  int32_t pids[MOST];
  list(&lab, pids);
  wp_process_loan *loan = NULL;
  size_t lent = 0;
  // Of the worker that is to go: the other one is stopped meanwhile.
  kill(pids[0], SIGSTOP);
  size_t task = 0;
  lab_submit(&lab, task, DO_BLOCK, &length, sizeof length);
  lab_submit(&lab, task + 1, DO_BLOCK, &length, sizeof length);
  lab_await(&lab, 1);
  kill(pids[0], SIGCONT);
  lab_await(&lab, 2);
  for (size_t i = 0; i < 2; i++) {
    CHECK(lab.endings[i].loan != NULL, "task %zu lent nothing", i);
    // Both may be its own, when it was done before the other one went on.
    bool kept = loan == NULL && lab.endings[i].outcome.worker_pid == pids[1];
    if (kept) {
      loan = lab.endings[i].loan;
      lent = i;
    } else {
      wp_process_loan_release(lab.endings[i].loan);
    }
  }
  CHECK(loan != NULL, "%s", "the second worker ran nothing");
  lab.lend = false;
  kill(pids[1], SIGSTOP);
  resize(&lab, 1);
  await_workers(&lab, 1);  // after five seconds
  resize(&lab, 2);
  await_workers(&lab, 2);
  lab_submit(&lab, 2, DO_ECHO, "x", 1);
  lab_await(&lab, 3);
  check_replied(&lab, 0, 3, "deaf");
  wp_process_pool_close(lab.pool);
  CHECK(wp_process_pool_join(lab.pool) == WP_OK, "join");
  CHECK(count_leftovers().mappings > before.mappings, "%s", "what is lent is gone");
  const unsigned char *block = (const unsigned char *)lab.endings[lent].outcome.buffer;
  CHECK(block[0] == length % 251 && block[length - 1] == length % 251, "%s", "what is lent has changed");
  if (loan != NULL) wp_process_loan_release(loan);
  lab_close(&lab);
  check_leftovers(before, "after a worker that did not leave by itself");
}

// MARK: What is refused, and from where

static void resize_in_callback(void *context, void *token, const wp_task_outcome *outcome) {
  test_lab *lab = (test_lab *)context;
  (void)outcome;
  pthread_mutex_lock(&lab->lock);
  wp_process_pool *pool = lab->pool;
  pthread_mutex_unlock(&lab->lock);
  uint32_t count = (uint32_t)(uintptr_t)token;
  wp_error error;
  CHECK(wp_process_pool_resize(pool, count, &error) == WP_OK, "%s", wp_status_name(error.status));
  pthread_mutex_lock(&lab->lock);
  lab->ended++;
  pthread_cond_broadcast(&lab->changed);
  pthread_mutex_unlock(&lab->lock);
}

static void check_in_callback(wp_start_method method) {
  test_lab lab;
  wp_process_pool_config config = lab_config(&lab, 1, method);
  config.hooks.completed = resize_in_callback;
  lab_open_with(&lab, &config, 1);
  for (size_t i = 0; i < 3; i++) {
    // A token is the task's number plus one, and here the size.
    lab_submit(&lab, i == 1 ? 0 : 3, DO_ECHO, "x", 1);
    lab_await(&lab, i + 1);
    await_workers(&lab, i == 1 ? 1 : 4);
  }
  lab_close(&lab);
}

static void check_in_child(test_lab *lab) {
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    wp_error error;
    bool refused = wp_process_pool_resize(lab->pool, 2, &error) == WP_FORKED && error.status == WP_FORKED;
    _exit(refused ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(status == 0, "the child: %x", status);
}

void resize_limits(wp_start_method method) {
  wp_error error;
  test_lab lab;
  lab_open(&lab, 1, method, 2);
  CHECK(wp_process_pool_capacity(lab.pool) == WP_PROCESS_POOL_MAX_WORKERS, "%u", wp_process_pool_capacity(lab.pool));
  const uint32_t too_many[] = {WP_PROCESS_POOL_MAX_WORKERS + 1, UINT32_MAX};
  for (size_t i = 0; i < 2; i++) {
    CHECK(wp_process_pool_resize(lab.pool, too_many[i], &error) == WP_INVALID_ARGUMENT, "%u", too_many[i]);
    CHECK(error.call != NULL && strcmp(error.call, "worker_count") == 0 && strstr(error.rule, "1024") != NULL, "%s",
          error.rule);
    CHECK(wp_process_pool_resize(lab.pool, too_many[i], NULL) == WP_INVALID_ARGUMENT, "%u", too_many[i]);
  }
  CHECK(wp_process_pool_worker_count(lab.pool) == 1, "%u", wp_process_pool_worker_count(lab.pool));
  // As many as are granted now, which is not what was granted before.
  cpu_set_t all, first;
  sched_getaffinity(0, sizeof all, &all);
  wp_topology *topology = NULL;
  CHECK(wp_topology_create(NULL, &topology, NULL) == WP_OK, "topology");
  CHECK(wp_process_pool_resize(lab.pool, 0, NULL) == WP_OK, "granted");
  CHECK(wp_process_pool_worker_count(lab.pool) == wp_topology_granted(topology), "%u workers",
        wp_process_pool_worker_count(lab.pool));
  CPU_ZERO(&first);
  CPU_SET((size_t)wp_topology_cpu_id(topology, 0), &first);
  wp_topology_destroy(topology);
  sched_setaffinity(0, sizeof first, &first);
  CHECK(wp_process_pool_resize(lab.pool, 0, NULL) == WP_OK, "granted");
  CHECK(wp_process_pool_worker_count(lab.pool) == 1, "%u workers", wp_process_pool_worker_count(lab.pool));
  sched_setaffinity(0, sizeof all, &all);
  await_workers(&lab, 1);
  // The user's own bound, and one that is none.
  setenv("WORKER_POOL_CPUS", "1", 1);
  resize(&lab, 2);
  CHECK(wp_process_pool_resize(lab.pool, 0, NULL) == WP_OK, "bounded");
  CHECK(wp_process_pool_worker_count(lab.pool) == 1, "%u workers", wp_process_pool_worker_count(lab.pool));
  setenv("WORKER_POOL_CPUS", "none", 1);
  CHECK(wp_process_pool_resize(lab.pool, 0, &error) == WP_INVALID_ARGUMENT, "%s", wp_status_name(error.status));
  CHECK(error.call != NULL && strcmp(error.call, "WORKER_POOL_CPUS") == 0, "%s", error.call);
  CHECK(wp_process_pool_worker_count(lab.pool) == 1, "%u workers", wp_process_pool_worker_count(lab.pool));
  unsetenv("WORKER_POOL_CPUS");
  check_in_child(&lab);
  // Broken: a forked template cannot be replaced. A re-executed one is, with as many workers.
  resize(&lab, 3);
  await_workers(&lab, 3);
  int32_t template_process = wp_process_pool_template_pid(lab.pool);
  kill(template_process, SIGKILL);
  if (method == WP_START_FORK) {
    while (wp_process_pool_breakage(lab.pool) == NULL) sched_yield();
    CHECK(wp_process_pool_resize(lab.pool, 2, &error) == WP_BROKEN && error.rule != NULL, "%s", wp_status_name(error.status));
    CHECK(wp_process_pool_resize(lab.pool, 4, &error) == WP_BROKEN, "%s", wp_status_name(error.status));
  } else {
    while (wp_process_pool_template_pid(lab.pool) == template_process) sched_yield();
    await_workers(&lab, 3);
  }
  lab_close(&lab);
  check_in_callback(UNDER_TSAN ? WP_START_REEXEC : WP_START_AUTOMATIC);
}

/// The largest file leaves room for a few workers: that many the pool can have.
void resize_small_file(wp_start_method method) {
  struct rlimit old, limit;
  getrlimit(RLIMIT_FSIZE, &old);
  limit = old;
  limit.rlim_cur = (rlim_t)64 << 20;
  setrlimit(RLIMIT_FSIZE, &limit);
  test_lab lab;
  wp_process_pool_config config = lab_config(&lab, 1, method);
  config.max_payload = 1 << 16;
  lab_open_with(&lab, &config, 1);
  uint32_t capacity = wp_process_pool_capacity(lab.pool);
  CHECK(capacity >= MOST && capacity < WP_PROCESS_POOL_MAX_WORKERS, "%u", capacity);
  wp_error error;
  CHECK(wp_process_pool_resize(lab.pool, capacity + 1, &error) == WP_INVALID_ARGUMENT, "%s",
        wp_status_name(error.status));
  CHECK(error.rule != NULL && strstr(error.rule, "RLIMIT_FSIZE") != NULL, "%s", error.rule);
  resize(&lab, MOST);
  await_workers(&lab, MOST);
  setrlimit(RLIMIT_FSIZE, &old);
  lab_close(&lab);
}

// MARK: Places, and shortages

/// Workers that are added go where the policy puts them.
void resize_places(wp_start_method method) {
  int cpus[2] = {-1, -1};
  cpu_set_t allowed;
  sched_getaffinity(0, sizeof allowed, &allowed);
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (CPU_ISSET((size_t)cpu, &allowed) && cpus[1] < 0) cpus[cpus[0] >= 0] = cpu;
  }
  if (cpus[1] < 0) cpus[1] = cpus[0];
  const int listed[3] = {cpus[1], cpus[0], cpus[0]};
  test_lab lab;
  wp_process_pool_config config = lab_config(&lab, 1, method);
  config.affinity.policy = WP_AFFINITY_CPUS;
  config.affinity.cpus = listed;
  config.affinity.cpu_count = 3;
  lab_open_with(&lab, &config, 1);
  for (uint32_t size = 1; size <= 7; size += 3) {
    if (size > 1) resize(&lab, size);
    await_workers(&lab, size);
    int32_t pids[MOST];
    list(&lab, pids);
    for (size_t i = 0; i < size; i++) {
      cpu_set_t mask;
      do {  // until it has pinned itself
        sched_yield();
        CHECK(sched_getaffinity(pids[i], sizeof mask, &mask) == 0, "%s", strerror(errno));
      } while (CPU_COUNT(&mask) > 1);
      CHECK(CPU_ISSET((size_t)listed[i % 3], &mask), "worker %zu of %u is not on CPU %d", i, size, listed[i % 3]);
    }
  }
  lab_close(&lab);
}

static bool become_nobody(void) { return geteuid() != 0 || (setgid(NOBODY) == 0 && setuid(NOBODY) == 0); }

static void run_short(wp_start_method method) {
  // Threads and processes of this user: host, collector, the template and its second thread, a worker and one more.
  struct rlimit limit;
  getrlimit(RLIMIT_NPROC, &limit);
  struct rlimit old = limit;
  limit.rlim_cur = 6;
  setrlimit(RLIMIT_NPROC, &limit);
  test_lab lab;
  lab_open(&lab, 1, method, 10);
  resize(&lab, 4);
  await_workers(&lab, 2);
  // For long enough that each of the others was tried three times.
  uint64_t busy = 400000000u;
  lab_submit(&lab, 0, DO_SPIN, &busy, sizeof busy);
  lab_await(&lab, 1);
  CHECK(wp_process_pool_breakage(lab.pool) == NULL, "%s", wp_process_pool_breakage(lab.pool)->reason);
  int32_t pids[MOST];
  CHECK(list(&lab, pids) == 2, "%zu workers", list(&lab, pids));
  // One that is not wanted any more is not tried again; the others come when there is room.
  resize(&lab, 3);
  CHECK(prlimit(wp_process_pool_template_pid(lab.pool), RLIMIT_NPROC, &old, NULL) == 0, "%s", strerror(errno));
  await_workers(&lab, 3);
  for (size_t i = 1; i < 10; i++) lab_submit(&lab, i, DO_ECHO, "x", 1);
  lab_await(&lab, 10);
  check_replied(&lab, 0, 10, "short of processes");
  lab_close(&lab);
}

void grows_short(wp_start_method method) {
  // A user who is nobody may not read what a re-executed program loads, and sanitizers have threads of their own.
  if (method == WP_START_REEXEC || UNDER_TSAN || UNDER_ASAN) return;
  CHECK(run_confined("few processes", become_nobody, run_short, method), "setuid is there");
}

/// Without room in the host's table of descriptors: workers that cannot be reached get nothing to do, and come when there is.
void grows_without_descriptors(wp_start_method method) {
  if (UNDER_TSAN || UNDER_ASAN) return;  // which need descriptors themselves
  leftovers before = count_leftovers();
  test_lab lab;
  lab_open(&lab, 1, method, 60);
  // No gaps below; then room for the files of three workers, for one worker's two others, and for one of the next.
  int fillers[MOST_FILLERS + 1], last = 0, count = 0;
  while (last < MOST_FILLERS) {
    last = dup(STDERR_FILENO);
    fillers[count++] = last;
  }
  size_t open_before = count_leftovers().descriptors;
  struct rlimit old, limit;
  getrlimit(RLIMIT_NOFILE, &old);
  limit = old;
  limit.rlim_cur = (rlim_t)last + 1 + 3 + 3;
  setrlimit(RLIMIT_NOFILE, &limit);
  resize(&lab, 4);
  for (size_t i = 0; i < 40; i++) {
    uint64_t busy = 20000000u;
    lab_submit(&lab, i, DO_SPIN, &busy, sizeof busy);
  }
  lab_await(&lab, 40);
  setrlimit(RLIMIT_NOFILE, &old);
  CHECK(wp_process_pool_breakage(lab.pool) == NULL, "%s", wp_process_pool_breakage(lab.pool)->reason);
  int32_t ran[2] = {0, 0};
  for (size_t i = 0; i < 40; i++) {
    int32_t process = lab.endings[i].outcome.worker_pid;
    for (size_t at = 0; at < 2 && process != 0; at++) {
      if (ran[at] == 0) ran[at] = process;
      if (ran[at] == process) process = 0;
    }
    CHECK(process == 0, "worker %d ran a task, a third one", process);
  }
  while (count_leftovers().descriptors != open_before + 3 * 3) sched_yield();
  await_workers(&lab, 4);
  for (size_t i = 40; i < 60; i++) lab_submit(&lab, i, DO_ECHO, "x", 1);
  lab_await(&lab, 60);
  check_replied(&lab, 0, 60, "short of descriptors");
  lab_close(&lab);
  while (count > 0) close(fillers[--count]);
  check_leftovers(before, "after a pool that was short of descriptors");
}

// MARK: All at once

enum { RESIZERS = 2, SUBMITTERS = 2, EACH = 6000 };

typedef struct resizer {
  test_lab *lab;
  unsigned random;
  const bool *ends;
} resizer;

static bool test_ended(const test_lab *lab, const bool *ends) {
  pthread_mutex_lock((pthread_mutex_t *)(uintptr_t)&lab->lock);
  bool ended = *ends;
  pthread_mutex_unlock((pthread_mutex_t *)(uintptr_t)&lab->lock);
  return ended;
}

/// A resize or a kill each time some more tasks have ended, so that their number follows the work and not the clock.
static void *resize_often(void *argument) {
  resizer *self = (resizer *)argument;
  for (size_t goal = 20; !test_ended(self->lab, self->ends); goal += 40) {
    pthread_mutex_lock(&self->lab->lock);
    while (self->lab->ended < goal && !*self->ends) pthread_cond_wait(&self->lab->changed, &self->lab->lock);
    pthread_mutex_unlock(&self->lab->lock);
    self->random = self->random * 1103515245u + 12345u;
    uint32_t dice = self->random >> 16;
    int32_t pids[MOST];
    if (dice % 8 == 0) {
      size_t count = list(self->lab, pids);
      if (count > 0) kill(pids[dice / 8 % count], SIGKILL);
    } else {
      wp_status status = wp_process_pool_resize(self->lab->pool, 1 + dice / 8 % MOST, NULL);
      CHECK(status == WP_OK, "%s", wp_status_name(status));
    }
  }
  return NULL;
}

typedef struct feeder {
  test_lab *lab;
  size_t first;
} feeder;

static void *feed(void *argument) {
  feeder *self = (feeder *)argument;
  static unsigned char bytes[60000];
  for (size_t i = self->first; i < self->first + EACH; i++) {
    // A few hundred are in the pool at a time: in slots, and in the queue.
    pthread_mutex_lock(&self->lab->lock);
    while (i - self->first > self->lab->ended + 300) pthread_cond_wait(&self->lab->changed, &self->lab->lock);
    pthread_mutex_unlock(&self->lab->lock);
    uint64_t busy = 50000;
    if (i % 3 == 0) lab_submit(self->lab, i, DO_SPIN, &busy, sizeof busy);
    else lab_submit(self->lab, i, DO_ECHO, bytes, i % 41 == 1 ? sizeof bytes : i % 200);
  }
  return NULL;
}

void resizes_in_storm(wp_start_method method) {
  leftovers before = count_leftovers();
  test_lab lab;
  lab_open(&lab, 2, method, SUBMITTERS * EACH + 1);
  bool ends = false;
  pthread_t threads[RESIZERS + SUBMITTERS];
  resizer resizers[RESIZERS];
  feeder feeders[SUBMITTERS];
  for (size_t i = 0; i < RESIZERS; i++) {
    resizers[i] = (resizer){&lab, (unsigned)(12345 + i), &ends};
    pthread_create(&threads[i], NULL, resize_often, &resizers[i]);
  }
  for (size_t i = 0; i < SUBMITTERS; i++) {
    feeders[i] = (feeder){&lab, i * EACH};
    pthread_create(&threads[RESIZERS + i], NULL, feed, &feeders[i]);
  }
  lab_await(&lab, SUBMITTERS * EACH);
  pthread_mutex_lock(&lab.lock);
  ends = true;
  pthread_cond_broadcast(&lab.changed);
  pthread_mutex_unlock(&lab.lock);
  for (size_t i = 0; i < RESIZERS + SUBMITTERS; i++) pthread_join(threads[i], NULL);
  size_t died = 0;
  for (size_t i = 0; i < SUBMITTERS * EACH; i++) {
    const ending *end = &lab.endings[i];
    died += end->outcome.end == WP_TASK_WORKER_DIED;
    bool killed = end->outcome.end == WP_TASK_WORKER_DIED && WIFSIGNALED(end->outcome.wait_status);
    CHECK(end->times == 1 && (killed || end->outcome.end == WP_TASK_REPLIED), "task %zu ended %d times: %d", i,
          end->times, (int)end->outcome.end);
  }
  printf("%zu tasks died\n", died);
  resize(&lab, 3);
  await_workers(&lab, 3);
  lab_submit(&lab, SUBMITTERS * EACH, DO_ECHO, "x", 1);
  lab_await(&lab, SUBMITTERS * EACH + 1);
  lab_close(&lab);
  check_leftovers(before, "after a storm of sizes");
}
