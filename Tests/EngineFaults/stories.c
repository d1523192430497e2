// Lives of pools, which together come by as many of the engine's calls as there are.
#include "life.h"

#include "site.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LARGE = 200000, NOBODY = 65534 };
#define MILLISECOND ((uint64_t)1000000)

// MARK: Tasks

static void submit_small(life *self, int count) {
  for (int i = 0; i < count; i++) life_submit(self, DO_SUM, 0, WP_TASK_REPLIED);
}

static void submit_large(life *self, bool adopt) {
  unsigned char *bytes = (unsigned char *)malloc(LARGE);
  memset(bytes, 7, LARGE);
  wp_process_submission submission;
  memset(&submission, 0, sizeof submission);
  submission.adopt = adopt;
  int task = life_submit_with(self, DO_SUM, bytes, LARGE, &submission, WP_TASK_REPLIED);
  if (!adopt || task < 0) free(bytes);
  else seam_holds(SEAM_BLOCKS, 1);
}

/// Longer than a slot, and more than there is room for.
static void submit_middling(life *self, int count) {
  unsigned char bytes[600] = {0};
  for (int i = 0; i < count; i++) {
    wp_process_submission submission;
    memset(&submission, 0, sizeof submission);
    life_submit_with(self, DO_SUM, bytes, sizeof bytes, &submission, WP_TASK_REPLIED);
  }
}

/// Two memories, one of them placed, in a task of each of several workers.
static void share(life *self) {
  wp_shared_memory *memories[2] = {NULL, NULL};
  wp_memory_placement placement = {WP_MEMORY_INTERLEAVED, NULL, 0};
  wp_error error;
  for (int i = 0; i < 2; i++) {
    if (wp_shared_memory_create(10000, i == 0, i == 0 ? NULL : &placement, &memories[i], NULL, &error) == WP_OK) {
      *(unsigned char *)wp_shared_memory_address(memories[i]) = (unsigned char)(i + 1);
      continue;
    }
    life_takes("shared memory: %s %s", wp_status_name(error.status), error.call == NULL ? "" : error.call);
    memories[i] = NULL;
  }
  for (int round = 0; round < 8 && memories[0] != NULL && memories[1] != NULL; round++) {
    if (round == 4) life_settle(self);
    unsigned char argument[sizeof(life_order) + 2 * sizeof(uint64_t)];
    life_order order = {0, 2};
    uint64_t ids[2] = {wp_shared_memory_id(memories[0]), wp_shared_memory_id(memories[1])};
    memcpy(argument, &order, sizeof order);
    memcpy(argument + sizeof order, ids, sizeof ids);
    wp_process_submission submission;
    memset(&submission, 0, sizeof submission);
    submission.shared = memories;
    submission.shared_count = 2;
    self->tasks[self->count].expected = 3;
    life_submit_with(self, DO_SHARED, argument, sizeof argument, &submission, WP_TASK_REPLIED);
  }
  life_settle(self);
  for (int i = 0; i < 2; i++) {
    if (memories[i] != NULL) wp_shared_memory_destroy(memories[i]);
  }
}

/// Of tasks that are begun again, the worker of one is killed from outside.
static void kill_one(life *self) {
  wp_task_options options;
  memset(&options, 0, sizeof options);
  options.retries = 2;
  int task = life_submit_limited(self, DO_AGAIN, options, WP_TASK_REPLIED);
  life_await_begun(self, task);
  int32_t pids[16];
  size_t count = wp_process_pool_worker_pids(self->pool, pids, 16);
  for (size_t i = 0; i < count; i++) kill(pids[i], SIGKILL);
  life_settle(self);
}

static void time_out(life *self) {
  wp_task_options options;
  memset(&options, 0, sizeof options);
  options.timeout_ns = 5 * MILLISECOND;
  options.grace_ns = 2 * MILLISECOND;
  life_submit_limited(self, DO_HANG, options, WP_TASK_TIMED_OUT);
  options.grace_ns = 60000 * MILLISECOND;
  life_submit_limited(self, DO_STOP, options, WP_TASK_REPLIED);
  life_settle(self);
}

static void terminate(life *self) {
  int task = life_submit(self, DO_HANG, 0, WP_TASK_TERMINATED);
  life_await_begun(self, task);
  if (task >= 0) wp_process_pool_terminate(self->pool, self->tasks[task].ticket);
  life_settle(self);
}

/// Waits as a leader does, for a word that changes when the pool has no task any more.
static void lead(life *self) {
  static wp_atomic_u32 word;
  for (int i = 0; i < 3; i++) {
    submit_small(self, 2);
    wp_process_pool_spin(self->pool, &word, 1);
    uint64_t until = wp_monotonic_now() + 2 * MILLISECOND;
    wp_process_pool_sleep(self->pool, &word, 1, until);
  }
  life_settle(self);
}

static void *rest(void *nothing) { return nothing; }

// MARK: Stories

/// A pool as most are.
static void plain(life *self) {
  wp_process_pool_config config = life_config(self, 2);
  if (!life_open(self, &config)) return;
  life_phase(SEAM_WORK);
  submit_small(self, 12);
  for (int i = 0; i < 6; i++) submit_large(self, i % 2 == 0);
  life_submit(self, DO_FILL, LARGE, WP_TASK_REPLIED);
  life_submit(self, DO_ORPHAN, 0, WP_TASK_REPLIED);
  submit_middling(self, 40);
  life_settle(self);
  share(self);
  time_out(self);
  terminate(self);
  kill_one(self);
  lead(self);
  life_cancel(self, life_submit(self, DO_SUM, 0, WP_TASK_REPLIED));
  life_settle(self);
  life_resize(self, 4);
  submit_small(self, 8);
  kill_one(self);
  life_resize(self, 1);
  submit_small(self, 4);
  life_settle(self);
  life_resize(self, 2);
  uint32_t name;
  wp_process_pool_intern(self->pool, "name", 4, &name);
  wp_process_pool_start_helper(self->pool, rest, NULL);
  submit_small(self, 6);
  life_settle(self);
  life_phase(SEAM_END);
  life_close(self);
}

/// Standard output becomes a pipe and standard error a socket, read to their ends by a child of ours.
static pid_t redirect_streams(int saved[2]) {
  int ends[2], sockets[2];
  if (pipe(ends) != 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0) exit(70);
  pid_t reader = fork();
  if (reader == 0) {
    close(ends[1]);
    close(sockets[1]);
    char bytes[4096];
    while (read(ends[0], bytes, sizeof bytes) > 0) continue;
    while (read(sockets[0], bytes, sizeof bytes) > 0) continue;
    _exit(0);
  }
  saved[0] = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10);
  saved[1] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
  dup2(ends[1], STDOUT_FILENO);
  dup2(sockets[1], STDERR_FILENO);
  close(ends[0]);
  close(ends[1]);
  close(sockets[0]);
  close(sockets[1]);
  return reader;
}

static void restore_streams(const int saved[2], pid_t reader) {
  dup2(saved[0], STDOUT_FILENO);
  dup2(saved[1], STDERR_FILENO);
  close(saved[0]);
  close(saved[1]);
  kill(reader, SIGKILL);
  waitpid(reader, NULL, 0);
}

static void limit(wp_process_pool_config *config) {
  config->limits.memory = (uint64_t)1 << 32;
  config->limits.cpu_ns = 60000 * MILLISECOND;
  config->limits.open_files = 64;
  config->limits.niceness = 1;
  config->limits.max_tasks = 4;
  config->limits.max_resident = (uint64_t)1 << 40;
}

/// Ends with a task that would go on for ever. One: where a worker cannot set itself up for good, there is only the other.
static void end_in_a_hurry(life *self) {
  life_await_begun(self, life_submit(self, DO_HANG, 0, WP_TASK_TERMINATED));
  wp_process_pool_close(self->pool);
  wp_process_pool_discard_pending(self->pool);
  wp_process_pool_stop_running(self->pool);
  if (wp_process_pool_join_until(self->pool, wp_monotonic_now() + 5 * MILLISECOND) == WP_TIMED_OUT) {
    wp_process_pool_terminate_running(self->pool);
  }
  wp_process_pool_join(self->pool);
  life_release(self);
}

/// With each setting that a worker sets up, workers that are replaced, and an end in a hurry.
static void bounded(life *self) {
  int saved[2];
  pid_t reader = redirect_streams(saved);
  wp_process_pool_config config = life_config(self, 2);
  limit(&config);
  wp_process_initializer initializer;
  memset(&initializer, 0, sizeof initializer);
  initializer.function = DO_BEGIN;
  initializer.bytes = "begin";
  initializer.length = 5;
  config.initializer = &initializer;
  const int cpu = 0;
  config.affinity.policy = WP_AFFINITY_CPUS;
  config.affinity.cpus = &cpu;
  config.affinity.cpu_count = 1;
  config.spin_ns = UINT64_MAX;
  for (int i = 0; i < WP_STREAM_COUNT; i++) {
    config.output[i].mode = WP_OUTPUT_CAPTURE;
    config.output[i].limit = 1000;
    config.output[i].echo = true;
  }
  if (life_open(self, &config)) {
    life_phase(SEAM_WORK);
    submit_small(self, 10);
    life_submit(self, DO_PRINT, 100000, WP_TASK_REPLIED);
    life_settle(self);
    wp_task_options options;
    memset(&options, 0, sizeof options);
    options.memory = (uint64_t)1 << 31;
    options.cpu_ns = 1000 * MILLISECOND;
    life_submit_limited(self, DO_SUM, options, WP_TASK_REPLIED);
    life_submit(self, DO_FAMILY, 0, WP_TASK_REPLIED);
    life_settle(self);
    kill_one(self);
    submit_small(self, 6);
    life_settle(self);
    life_phase(SEAM_END);
    end_in_a_hurry(self);
  }
  restore_streams(saved, reader);
}

/// Its template is killed while tasks run and wait.
static void bereft(life *self) {
  wp_process_pool_config config = life_config(self, 2);
  config.output[WP_STREAM_OUTPUT].mode = WP_OUTPUT_DISCARD;
  config.output[WP_STREAM_ERROR].mode = WP_OUTPUT_INHERIT;
  if (!life_open(self, &config)) return;
  submit_small(self, 4);
  life_settle(self);
  int task = life_submit(self, DO_HANG, 0, self->method == WP_START_FORK ? WP_TASK_POOL_BROKEN : WP_TASK_WORKER_DIED);
  life_await_begun(self, task);
  life_phase(SEAM_WORK);
  kill(wp_process_pool_template_pid(self->pool), SIGKILL);
  life_settle(self);
  if (self->method == WP_START_REEXEC) submit_small(self, 4);
  life_settle(self);
  life_phase(SEAM_END);
  life_close(self);
}

static bool as_root(wp_start_method method) {
  (void)method;
  return geteuid() == 0;
}

/// A server that gives up being root: its workers are replaced by the user's.
static void humble(life *self) {
  wp_process_pool_config config = life_config(self, 2);
  if (!life_open(self, &config)) return;
  if (setgroups(0, NULL) != 0 || setgid(NOBODY) != 0 || setuid(NOBODY) != 0) life_fails("the user cannot be changed");
  life_phase(SEAM_WORK);
  time_out(self);
  terminate(self);
  submit_small(self, 4);
  life_settle(self);
  life_phase(SEAM_END);
  life_close(self);
}

/// A terminal stops it, and continues it.
static void stopped(life *self) {
  wp_process_pool_config config = life_config(self, 1);
  if (!life_open(self, &config)) return;
  life_phase(SEAM_WORK);
  submit_small(self, 2);
  life_settle(self);
  int task = life_submit(self, DO_STOP, 0, WP_TASK_REPLIED);
  life_await_begun(self, task);
  pid_t other = fork();
  if (other == 0) {
    // Continues the group once the host has stopped, which it sees as any other process does.
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)getppid());
    for (const char *state = NULL; state == NULL || state[2] != 'T';) {
      int file = open(path, O_RDONLY);
      ssize_t length = read(file, text, sizeof text - 1);
      close(file);
      text[length > 0 ? length : 0] = '\0';
      state = strrchr(text, ')');
      if (state == NULL) _exit(1);
    }
    usleep(30000);
    kill(0, SIGCONT);
    _exit(0);
  }
  signal(SIGCONT, SIG_DFL);
  kill(wp_process_pool_template_pid(self->pool), SIGTSTP);
  raise(SIGSTOP);
  waitpid(other, NULL, 0);
  life_cancel(self, task);
  submit_small(self, 2);
  life_settle(self);
  life_phase(SEAM_END);
  life_close(self);
}

/// Its streams are closed, so that descriptors of the pool would be taken for them.
static void bare(life *self) {
  int saved[3];
  for (int i = 0; i < 3; i++) {
    saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
    close(i);
  }
  wp_process_pool_config config = life_config(self, 1);
  config.output[WP_STREAM_OUTPUT].mode = WP_OUTPUT_DISCARD;
  config.output[WP_STREAM_ERROR].mode = WP_OUTPUT_CAPTURE;
  config.output[WP_STREAM_ERROR].limit = 1000;
  config.output[WP_STREAM_ERROR].echo = true;
  if (life_open(self, &config)) {
    life_phase(SEAM_WORK);
    submit_small(self, 4);
    share(self);
    kill_one(self);
    life_phase(SEAM_END);
    life_close(self);
  }
  for (int i = 0; i < 3; i++) {
    dup2(saved[i], i);
    close(saved[i]);
  }
}

/// Its program leaves while tasks run.
static void abandoned(life *self) {
  wp_process_pool_config config = life_config(self, 2);
  if (!life_open(self, &config)) return;
  life_phase(SEAM_WORK);
  for (int i = 0; i < 2; i++) life_await_begun(self, life_submit(self, DO_HANG, 0, WP_TASK_REPLIED));
  life_phase(SEAM_END);
  seam_here->is_over = true;
  life_takes("as ever");
  _exit(0);
}

/// Its initializer refuses.
static void hopeless(life *self) {
  wp_process_pool_config config = life_config(self, 1);
  wp_process_initializer initializer;
  memset(&initializer, 0, sizeof initializer);
  initializer.function = DO_REFUSE;
  config.initializer = &initializer;
  wp_error error;
  if (wp_process_pool_create(&config, &self->pool, &error) == WP_OK) life_fails("a pool without workers");
}

static bool never(wp_start_method method) {
  (void)method;
  return false;
}

static bool by_fork(wp_start_method method) { return method == WP_START_FORK; }

static bool with_sandbox(wp_start_method method) {
#ifdef WP_SANDBOX
  return method == WP_START_REEXEC;
#else
  (void)method;
  return false;
#endif
}

static void sandboxed(life *self) {
  wp_process_pool_config config = life_config(self, 2);
  config.sandbox = WP_SANDBOX_COMPUTE_ONLY;
  if (!life_open(self, &config)) return;
  life_phase(SEAM_WORK);
  submit_small(self, 4);
  life_settle(self);
  share(self);
  terminate(self);
  submit_small(self, 4);
  life_settle(self);
  life_phase(SEAM_END);
  life_close(self);
}

const life_story life_stories[] = {
    {"plain", plain, NULL},         {"bounded", bounded, NULL}, {"bereft", bereft, NULL},
    {"humble", humble, as_root},    {"stopped", stopped, NULL}, {"bare", bare, NULL},
    {"abandoned", abandoned, NULL}, {"hopeless", hopeless, NULL}, {"memory", life_memory, by_fork},
    {"threads", life_threads, by_fork}, {"groups", life_groups, by_fork}, {"delayed", life_delayed, never},
    {"sandboxed", sandboxed, with_sandbox}, {NULL, NULL, NULL},
};
