// Time as the threads of one pool have it: what they have run, in CPU seconds, the same on a machine that is busy with
// something else.
#ifndef POOL_CLOCK_H
#define POOL_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "wp_thread_pool.h"

#define CS_MOST_CLOCKS 512

typedef struct cs_pool_clock {
  pthread_mutex_t lock;
  // Under the lock.
  clockid_t clocks[CS_MOST_CLOCKS];
  uint32_t count;
  /// What threads have run that have ended.
  uint64_t ended_ns;
} cs_pool_clock;

/// Prepares a clock, and the hooks that a pool needs for it.
void cs_pool_clock_init(cs_pool_clock *clock, wp_thread_pool_hooks *hooks);
void cs_pool_clock_destroy(cs_pool_clock *clock);

/// Nanoseconds that all threads of the pool together have run.
uint64_t cs_pool_clock_now(cs_pool_clock *clock);

#endif
