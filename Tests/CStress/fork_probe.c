#include "CStress.h"

#include <dirent.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wp_thread_pool.h"

#define BITS_PER_STATUS 4
#define STATUS_MASK 15

static void do_nothing(void *argument) { (void)argument; }

/// The statuses, packed into an exit status; every call has to return, though no thread of the pool exists here.
static int use_in_child(wp_thread_pool *pool) {
  wp_job job = {(uintptr_t)do_nothing, NULL};
  int submit = (int)wp_thread_pool_submit(pool, job);
  wp_thread_pool_close(pool);
  int join = (int)wp_thread_pool_join(pool);
  wp_thread_pool_release(pool);
  return submit | join << BITS_PER_STATUS;
}

cs_fork_answers cs_fork_and_use(void *pool) {
  cs_fork_answers answers = {0, 0, false};
  pid_t child = fork();
  if (child == 0) {
    // A child that hangs must not hang the tests.
    alarm(60);
    _exit(use_in_child((wp_thread_pool *)pool));
  }
  int status;
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) return answers;
  answers.submit = WEXITSTATUS(status) & STATUS_MASK;
  answers.join = WEXITSTATUS(status) >> BITS_PER_STATUS;
  answers.answered = true;
  return answers;
}

int cs_fork_and_call(int (*body)(void *context), void *context) {
  pid_t child = fork();
  if (child == 0) {
    alarm(60);
    _exit(body(context));
  }
  int status;
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

// MARK: A start that fails halfway

static _Atomic uint32_t started;
static _Atomic uint32_t stopped;

static void count_start(void *context, uint32_t worker) {
  (void)context, (void)worker;
  atomic_fetch_add_explicit(&started, 1, memory_order_relaxed);
}

static void count_stop(void *context, uint32_t worker) {
  (void)context, (void)worker;
  atomic_fetch_add_explicit(&stopped, 1, memory_order_relaxed);
}

static uint32_t count_threads(void) {
  uint32_t count = 0;
  DIR *folder = opendir("/proc/self/task");
  if (folder == NULL) return 0;
  for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
    if (entry->d_name[0] != '.') count++;
  }
  closedir(folder);
  return count;
}

/// Leaves `bytes` of address space beyond what is in use.
static bool limit_address_space(size_t bytes) {
  unsigned long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file == NULL || fscanf(file, "%lu", &pages) != 1) return false;
  fclose(file);
  rlim_t limit = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + bytes;
  return setrlimit(RLIMIT_AS, &(struct rlimit){limit, limit}) == 0;
}

static cs_start_answers fail_to_start(void) {
  cs_start_answers answers = {0};
  // Room for some stacks of 32 MiB, not for 64 of them.
  if (!limit_address_space((size_t)512 << 20)) return answers;
  wp_thread_pool_config config = {0};
  config.worker_count = 64;
  config.stack_size = (size_t)32 << 20;
  config.hooks.worker_start = count_start;
  config.hooks.worker_stop = count_stop;
  wp_thread_pool *pool;
  wp_error error = {WP_OK, 0, NULL, NULL, 0};
  answers.status = (int)wp_thread_pool_create(&config, &pool, &error);
  answers.names_pthread_create = error.call != NULL && strcmp(error.call, "pthread_create") == 0;
  answers.started = atomic_load_explicit(&started, memory_order_relaxed);
  answers.stopped = atomic_load_explicit(&stopped, memory_order_relaxed);
  // A joined thread stays in /proc for another moment.
  for (int i = 0; i < 1000000 && (answers.threads_left = count_threads()) > 1; i++) sched_yield();
  answers.answered = pool == NULL;
  return answers;
}

cs_start_answers cs_fork_and_fail_to_start(void) {
  cs_start_answers answers = {0};
  int ends[2];
  if (pipe(ends) != 0) return answers;
  pid_t child = fork();
  if (child == 0) {
    alarm(60);
    answers = fail_to_start();
    _exit(write(ends[1], &answers, sizeof answers) == (ssize_t)sizeof answers ? 0 : 1);
  }
  close(ends[1]);
  if (child < 0 || read(ends[0], &answers, sizeof answers) != (ssize_t)sizeof answers) answers.answered = false;
  close(ends[0]);
  int status;
  if (child > 0 && (waitpid(child, &status, 0) != child || status != 0)) answers.answered = false;
  return answers;
}
