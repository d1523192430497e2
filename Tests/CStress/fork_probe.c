#include "CStress.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stress_support.h"
#include "wp_blocking.h"
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
  return setrlimit(RLIMIT_AS, &(struct rlimit){limit, RLIM_INFINITY}) == 0;
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
  wp_error error = {.status = WP_OK};
  answers.status = (int)wp_thread_pool_create(&config, &pool, &error);
  answers.names_pthread_create = error.call != NULL && strcmp(error.call, "pthread_create") == 0;
  answers.started = atomic_load_explicit(&started, memory_order_relaxed);
  answers.stopped = atomic_load_explicit(&stopped, memory_order_relaxed);
  // A joined thread stays in /proc for another moment.
  for (int i = 0; i < 1000000 && (answers.threads_left = count_threads()) > 1; i++) sched_yield();
  answers.answered = pool == NULL;
  return answers;
}

bool cs_ask_child(void (*function)(void *answers), void *answers, size_t size) {
  int ends[2];
  if (pipe(ends) != 0) return false;
  pid_t child = fork();
  if (child == 0) {
    // A child that hangs must not hang the tests.
    alarm(60);
    function(answers);
    _exit(write(ends[1], answers, size) == (ssize_t)size ? 0 : 1);
  }
  close(ends[1]);
  bool answered = child > 0 && read(ends[0], answers, size) == (ssize_t)size;
  close(ends[0]);
  int status;
  return child > 0 && waitpid(child, &status, 0) == child && status == 0 && answered;
}

static void answer_start(void *answers) { *(cs_start_answers *)answers = fail_to_start(); }

cs_start_answers cs_fork_and_fail_to_start(void) {
  cs_start_answers answers = {0};
  if (!cs_ask_child(answer_start, &answers, sizeof answers)) answers.answered = false;
  return answers;
}

// MARK: A spare that cannot be started

typedef struct block_scene {
  wp_thread_pool *pool;
  cs_block_answers *answers;
  _Atomic bool over;
} block_scene;

static void block_in_job(void *argument) {
  block_scene *scene = (block_scene *)argument;
  cs_block_answers *answers = scene->answers;
  wp_blocking blocking;
  wp_error error = {.status = WP_OK};
  answers->for_others = (int)wp_blocking_begin(&blocking, WP_BLOCKED_FOR_OTHERS, &error);
  wp_blocking_end(&blocking);
  answers->for_pool = (int)wp_blocking_begin(&blocking, WP_BLOCKED_FOR_POOL, &error);
  if (answers->for_pool == WP_OK) wp_blocking_end(&blocking);
  answers->names_pthread_create = error.call != NULL && strcmp(error.call, "pthread_create") == 0;
  answers->errno_is_set = error.system_errno == EAGAIN || error.system_errno == ENOMEM;
  struct rlimit limit;
  getrlimit(RLIMIT_AS, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_AS, &limit);
  answers->after_raise = (int)wp_blocking_begin(&blocking, WP_BLOCKED_FOR_POOL, &error);
  if (answers->after_raise == WP_OK) wp_blocking_end(&blocking);
  atomic_store(&scene->over, true);
}

static void block_without_spare(void *argument) {
  block_scene scene = {NULL, (cs_block_answers *)argument, false};
  wp_thread_pool_config config = {0};
  config.worker_count = 1;
  config.stack_size = (size_t)64 << 20;
  if (wp_thread_pool_create(&config, &scene.pool, NULL) != WP_OK) return;
  if (!limit_address_space((size_t)32 << 20)) return;
  wp_job job = {(uintptr_t)block_in_job, &scene};
  wp_thread_pool_submit(scene.pool, job);
  while (!atomic_load(&scene.over)) sched_yield();
  wp_thread_pool_close(scene.pool);
  scene.answers->answered = wp_thread_pool_join(scene.pool) == WP_OK;
}

cs_block_answers cs_fork_and_block_without_spare(void) {
  cs_block_answers answers = {0};
  if (!cs_ask_child(block_without_spare, &answers, sizeof answers)) answers.answered = false;
  return answers;
}
