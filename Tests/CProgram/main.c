// A C program on the engine alone: counts primes on a thread pool and in worker processes.
// Exit status 0 when everything was as documented, else 1 with the line that was not.
#include "CWorkerPool.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMITS 8
#define LIMIT 20000u
#define PRIMES 2262u

#define EXPECT(condition)                                                                                              \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                                          \
      exit(1);                                                                                                         \
    }                                                                                                                  \
  } while (0)

static uint32_t count_primes(uint32_t limit) {
  uint32_t count = 0;
  for (uint32_t number = 2; number < limit; number++) {
    uint32_t divisor = 2;
    while (divisor <= number / divisor && number % divisor != 0) divisor++;
    count += divisor > number / divisor;
  }
  return count;
}

// MARK: Threads

static _Atomic uint32_t counted;
static _Atomic uint32_t started;
static _Atomic uint32_t destroyed;

static void count_job(void *argument) { atomic_fetch_add(&counted, count_primes(*(const uint32_t *)argument)); }

static void note_start(void *context, uint32_t worker) {
  (void)worker;
  atomic_fetch_add((_Atomic uint32_t *)context, 1);
}

static void note_destroy(void *context) {
  (void)context;
  atomic_fetch_add(&destroyed, 1);
}

static void run_on_threads(void) {
  wp_error error = {0};
  wp_thread_pool *pool = NULL;
  wp_thread_pool_config config = {0};
  config.worker_count = WP_THREAD_POOL_MAX_WORKERS + 1;
  EXPECT(wp_thread_pool_create(&config, &pool, &error) == WP_INVALID_ARGUMENT);
  EXPECT(pool == NULL && error.rule != NULL && strcmp(error.call, "worker_count") == 0);

  config.worker_count = 2;
  config.name = "c-program";
  config.hooks.context = &started;
  config.hooks.worker_start = note_start;
  config.hooks.destroy = note_destroy;
  EXPECT(wp_thread_pool_create(&config, &pool, &error) == WP_OK);
  EXPECT(wp_thread_pool_worker_count(pool) == 2);

  uint32_t limit = LIMIT;
  wp_job job = {(uintptr_t)count_job, &limit};
  wp_job batch[LIMITS - 1];
  for (int i = 0; i < LIMITS - 1; i++) batch[i] = job;
  size_t accepted = 0;
  EXPECT(wp_thread_pool_submit(pool, job) == WP_OK);
  EXPECT(wp_thread_pool_submit_batch(pool, batch, LIMITS - 1, &accepted) == WP_OK && accepted == LIMITS - 1);

  wp_thread_pool_close(pool);
  EXPECT(wp_thread_pool_submit(pool, job) == WP_SHUT_DOWN);
  EXPECT(wp_thread_pool_join(pool) == WP_OK);
  EXPECT(atomic_load(&counted) == LIMITS * PRIMES);
  EXPECT(atomic_load(&started) == 2);
  wp_thread_pool_release(pool);
  EXPECT(atomic_load(&destroyed) == 1);
}

// MARK: Processes

static _Atomic uint32_t replies;
static _Atomic uint32_t deaths;

/// In the worker: counts below the limit that came, or dies of a limit of 0.
static void count_task(void *context, const wp_process_request *request, wp_process_reply *reply) {
  (void)context;
  uint32_t limit;
  memcpy(&limit, request->bytes, sizeof limit);
  if (limit == 0) abort();
  uint32_t count = count_primes(limit);
  void *bytes = wp_process_reply_reserve(reply, sizeof count);
  if (bytes != NULL) memcpy(bytes, &count, sizeof count);
}

/// In the host, on the collector's thread.
static void collect(void *context, void *token, const wp_task_outcome *outcome) {
  (void)context;
  (void)token;
  uint32_t count = 0;
  if (outcome->end == WP_TASK_WORKER_DIED) atomic_fetch_add(&deaths, 1);
  if (outcome->end == WP_TASK_REPLIED && outcome->length == sizeof count) {
    memcpy(&count, outcome->bytes, sizeof count);
    if (count == PRIMES) atomic_fetch_add(&replies, 1);
  }
}

/// Nobody defines `wp_process_reexec_handler` here.
static void refuse_reexecution(void) {
  wp_error error = {0};
  wp_process_pool *pool = NULL;
  wp_process_pool_config config = {0};
  config.start_method = WP_START_REEXEC;
  config.handler = count_task;
  EXPECT(wp_process_pool_create(&config, &pool, &error) == WP_UNSUPPORTED);
  EXPECT(strstr(error.rule, "needs wp_process_reexec_handler") != NULL);
}

static void run_in_processes(void) {
  wp_error error = {0};
  wp_process_pool *pool = NULL;
  wp_process_pool_config config = {0};
  config.worker_count = 2;
  config.start_method = WP_START_FORK;
  config.handler = count_task;
  config.hooks.completed = collect;
  EXPECT(wp_process_pool_create(&config, &pool, &error) == WP_OK);
  EXPECT(wp_process_pool_worker_pids(pool, NULL, 0) == 2);
  for (uint32_t i = 0; i <= LIMITS; i++) {
    uint32_t limit = i == LIMITS / 2 ? 0 : LIMIT;
    wp_process_submission submission = {.bytes = &limit, .length = sizeof limit};
    EXPECT(wp_process_pool_submit(pool, &submission, NULL) == WP_OK);
  }
  wp_process_pool_close(pool);
  EXPECT(wp_process_pool_join(pool) == WP_OK);
  EXPECT(atomic_load(&replies) == LIMITS && atomic_load(&deaths) == 1);
  wp_process_pool_release(pool);
}

int main(void) {
  wp_topology *topology = NULL;
  EXPECT(wp_topology_create(NULL, &topology, NULL) == WP_OK);
  char text[256];
  size_t granted = 0;
  wp_error error;
  EXPECT(wp_topology_grant(topology, &granted, &error) == WP_OK && granted == wp_topology_granted(topology));
  EXPECT(granted >= 1 && granted <= wp_topology_cpu_count(topology));
  EXPECT(wp_topology_describe(topology, text, sizeof text) > 0 && strstr(text, " granted: ") != NULL);
  wp_topology_destroy(topology);

  refuse_reexecution();
  run_in_processes(); // first: its workers are forks of this process, which must have one thread
  run_on_threads();
  puts("C program: as expected");
  return 0;
}
