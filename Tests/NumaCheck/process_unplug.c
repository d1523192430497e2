#include "process_checks.h"

#include "CWorkerPool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_WORKERS = 64, ROUND = 50 };

#define REQUIRE(condition, ...)                              \
  do {                                                       \
    if (!(condition)) {                                      \
      printf("%s:%d: %s: ", __FILE__, __LINE__, #condition); \
      printf(__VA_ARGS__);                                   \
      printf("\n");                                          \
      fflush(stdout);                                        \
      _exit(1);                                              \
    }                                                        \
  } while (0)

static struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  size_t ended;
  int notices[8];
  char message[256];
} seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void handle(void *context, const wp_process_request *request, wp_process_reply *reply) {
  (void)context;
  (void)request;
  memset(wp_process_reply_reserve(reply, 1), 1, 1);
}

static void completed(void *context, void *token, const wp_task_outcome *outcome) {
  (void)context;
  (void)token;
  REQUIRE(outcome->end == WP_TASK_REPLIED, "end %d", (int)outcome->end);
  pthread_mutex_lock(&seen.lock);
  seen.ended++;
  pthread_cond_signal(&seen.changed);
  pthread_mutex_unlock(&seen.lock);
}

static void take_notice(void *context, const wp_notice *notice) {
  (void)context;
  pthread_mutex_lock(&seen.lock);
  if (notice->kind < 8) seen.notices[notice->kind]++;
  snprintf(seen.message, sizeof seen.message, "%s", notice->message);
  pthread_mutex_unlock(&seen.lock);
}

static int notices_of(wp_notice_kind kind) {
  pthread_mutex_lock(&seen.lock);
  int times = seen.notices[kind];
  pthread_mutex_unlock(&seen.lock);
  return times;
}

static void run_tasks(wp_process_pool *pool) {
  pthread_mutex_lock(&seen.lock);
  size_t goal = seen.ended + ROUND;
  pthread_mutex_unlock(&seen.lock);
  for (int i = 0; i < ROUND; i++) {
    wp_process_submission submission;
    memset(&submission, 0, sizeof submission);
    REQUIRE(wp_process_pool_submit(pool, &submission, NULL) == WP_OK, "submit");
  }
  pthread_mutex_lock(&seen.lock);
  while (seen.ended < goal) pthread_cond_wait(&seen.changed, &seen.lock);
  pthread_mutex_unlock(&seen.lock);
}

static cpu_set_t mask_of(pid_t process) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  REQUIRE(sched_getaffinity(process, sizeof mask, &mask) == 0, "mask of %d: %s", (int)process, strerror(errno));
  return mask;
}

/// Waits until `count` workers live and the one at `index` is not `former`, and returns its process id.
static int32_t await_worker(wp_process_pool *pool, size_t count, size_t index, int32_t former) {
  int32_t pids[MOST_WORKERS];
  for (;;) {
    if (wp_process_pool_worker_pids(pool, pids, MOST_WORKERS) == count && pids[index] != former) return pids[index];
    sched_yield();
  }
}

/// Waits until the worker has pinned itself to this CPU.
static void await_pinned(int32_t process, int cpu) {
  cpu_set_t mask;
  do {
    sched_yield();
    mask = mask_of(process);
  } while (CPU_COUNT(&mask) != 1);
  REQUIRE(CPU_ISSET((size_t)cpu, &mask), "worker %d is not on CPU %d", process, cpu);
}

static bool set_online(int cpu, bool online) {
  char path[96];
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/online", cpu);
  FILE *file = fopen(path, "w");
  if (file == NULL) return false;
  bool written = fputs(online ? "1" : "0", file) >= 0;
  return fclose(file) == 0 && written;
}

/// A worker is pinned to each CPU. One goes: its worker works on elsewhere, the next in its place floats over what is
/// left, and a worker that is added goes to what is left. The CPU comes back, and the pool goes on.
void check_process_unplug(void) {
  wp_set_notice_handler(take_notice, NULL);
  cpu_set_t all = mask_of(0);
  int cpus[MOST_WORKERS];
  size_t count = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE && count < MOST_WORKERS - 1; cpu++) {
    if (CPU_ISSET((size_t)cpu, &all)) cpus[count++] = cpu;
  }
  REQUIRE(count > 1, "one CPU cannot be unplugged");
  wp_process_pool_config config;
  memset(&config, 0, sizeof config);
  config.worker_count = (uint32_t)count;
  config.start_method = WP_START_FORK;
  config.handler = handle;
  config.hooks.completed = completed;
  config.affinity = (wp_affinity_choice){.policy = WP_AFFINITY_CPUS, .cpus = cpus, .cpu_count = count};
  wp_process_pool *pool = NULL;
  REQUIRE(wp_process_pool_create(&config, &pool, NULL) == WP_OK, "create");
  int32_t pids[MOST_WORKERS];
  REQUIRE(wp_process_pool_worker_pids(pool, pids, MOST_WORKERS) == count, "workers");
  for (size_t i = 0; i < count; i++) await_pinned(pids[i], cpus[i]);

  size_t last = count - 1;
  int gone = cpus[last];
  REQUIRE(set_online(gone, false), "CPU %d cannot be unplugged: %s", gone, strerror(errno));
  run_tasks(pool);
  REQUIRE(notices_of(WP_NOTICE_CPU_GONE) == 0, "%s", seen.message);
  kill(pids[last], SIGKILL);
  int32_t next = await_worker(pool, count, last, pids[last]);
  while (notices_of(WP_NOTICE_CPU_GONE) == 0) sched_yield();
  run_tasks(pool);
  cpu_set_t mask = mask_of(next), left = mask_of(0);
  REQUIRE(!CPU_ISSET((size_t)gone, &mask) && CPU_EQUAL(&mask, &left), "it has %d CPUs, not %d", CPU_COUNT(&mask),
          CPU_COUNT(&left));
  // Others keep their places.
  kill(pids[0], SIGKILL);
  await_pinned(await_worker(pool, count, 0, pids[0]), cpus[0]);
  REQUIRE(wp_process_pool_resize(pool, (uint32_t)count + 1, NULL) == WP_OK, "resize");
  await_pinned(await_worker(pool, count + 1, count, 0), cpus[0]);
  REQUIRE(wp_process_pool_resize(pool, 0, NULL) == WP_OK, "resize");
  REQUIRE(wp_process_pool_worker_count(pool) <= last, "%u workers", wp_process_pool_worker_count(pool));
  run_tasks(pool);

  REQUIRE(set_online(gone, true), "CPU %d does not come back: %s", gone, strerror(errno));
  REQUIRE(wp_process_pool_resize(pool, (uint32_t)count, NULL) == WP_OK, "resize");
  await_worker(pool, count, last, 0);
  run_tasks(pool);
  REQUIRE(notices_of(WP_NOTICE_CPU_GONE) == 1, "%d notices", notices_of(WP_NOTICE_CPU_GONE));
  wp_process_pool_close(pool);
  REQUIRE(wp_process_pool_join(pool) == WP_OK, "join");
  wp_process_pool_release(pool);
}
