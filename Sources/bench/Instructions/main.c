// What `make bench-instructions` counts the instructions of: two loads of the C engine, without Swift and without
// spinning, so that two runs of it differ by little.
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "CWorkerPool.h"

static wp_thread_pool *pool;
static atomic_long left;

static void tiny(void *argument) {
  (void)argument;
  atomic_fetch_sub_explicit(&left, 1, memory_order_release);
}

/// Submits tiny jobs from outside, and waits for the last without a spin that would count. Returns how many.
static long fanout(long count) {
  wp_job job = {(uintptr_t)tiny, NULL};
  const struct timespec pause = {0, 1000000};
  atomic_store(&left, count);
  for (long i = 0; i < count; i++) {
    if (wp_thread_pool_submit(pool, job) != WP_OK) abort();
  }
  while (atomic_load_explicit(&left, memory_order_acquire) != 0) nanosleep(&pause, NULL);
  return count;
}

typedef struct fibonacci {
  long n, result, calls;
} fibonacci;

/// Forks at every call, down to the last.
static void compute(void *first, void *second, size_t begin, size_t end) {
  (void)second, (void)begin, (void)end;
  fibonacci *self = (fibonacci *)first;
  self->result = self->n;
  self->calls = 1;
  if (self->n < 2) return;
  fibonacci one = {self->n - 1, 0, 0}, two = {self->n - 2, 0, 0};
  wp_borrowed a = {&one, NULL}, b = {&two, NULL};
  if (wp_join(pool, compute, a, b) != WP_OK) abort();
  self->result = one.result + two.result;
  self->calls += one.calls + two.calls;
}

static long spawn_fib(long n) {
  fibonacci root = {n, 0, 0}, nothing = {0, 0, 0};
  wp_borrowed a = {&root, NULL}, b = {&nothing, NULL};
  if (wp_join(pool, compute, a, b) != WP_OK) abort();
  return root.calls;
}

int main(int count, char **arguments) {
  if (count != 4) {
    fprintf(stderr, "usage: instructions fanout|spawn-fib N WORKERS\n");
    return 64;
  }
  wp_thread_pool_config config;
  memset(&config, 0, sizeof config);
  config.worker_count = (uint32_t)strtoul(arguments[3], NULL, 10);
  config.spin_ns = WP_SPIN_NEVER;
  if (wp_thread_pool_create(&config, &pool, NULL) != WP_OK) return 1;
  long n = strtol(arguments[2], NULL, 10);
  printf("%ld\n", strcmp(arguments[1], "fanout") == 0 ? fanout(n) : spawn_fib(n));
  wp_thread_pool_close(pool);
  wp_thread_pool_join(pool);
  wp_thread_pool_release(pool);
  return 0;
}
