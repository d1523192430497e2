#include "pool_clock.h"

#include <stdlib.h>
#include <string.h>

static uint64_t read_clock(clockid_t id) {
  struct timespec time = {0, 0};
  if (clock_gettime(id, &time) != 0) abort();
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static clockid_t own_clock(void) {
  clockid_t id;
  if (pthread_getcpuclockid(pthread_self(), &id) != 0) abort();
  return id;
}

static void begin(void *context, uint32_t worker) {
  (void)worker;
  cs_pool_clock *clock = (cs_pool_clock *)context;
  pthread_mutex_lock(&clock->lock);
  if (clock->count == CS_MOST_CLOCKS) abort();
  clock->clocks[clock->count++] = own_clock();
  pthread_mutex_unlock(&clock->lock);
}

static void end(void *context, uint32_t worker) {
  (void)worker;
  cs_pool_clock *clock = (cs_pool_clock *)context;
  clockid_t own = own_clock();
  pthread_mutex_lock(&clock->lock);
  uint32_t i = 0;
  while (clock->clocks[i] != own) i++;
  clock->clocks[i] = clock->clocks[--clock->count];
  clock->ended_ns += read_clock(own);
  pthread_mutex_unlock(&clock->lock);
}

void cs_pool_clock_init(cs_pool_clock *clock, wp_thread_pool_hooks *hooks) {
  memset(clock, 0, sizeof *clock);
  pthread_mutex_init(&clock->lock, NULL);
  hooks->context = clock;
  hooks->worker_start = begin;
  hooks->worker_stop = end;
}

void cs_pool_clock_destroy(cs_pool_clock *clock) { pthread_mutex_destroy(&clock->lock); }

uint64_t cs_pool_clock_now(cs_pool_clock *clock) {
  pthread_mutex_lock(&clock->lock);
  uint64_t now = clock->ended_ns;
  for (uint32_t i = 0; i < clock->count; i++) now += read_clock(clock->clocks[i]);
  pthread_mutex_unlock(&clock->lock);
  return now;
}
