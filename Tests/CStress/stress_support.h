// What the drivers share: threads, a starting line, and a tally of what came out.
#ifndef STRESS_SUPPORT_H
#define STRESS_SUPPORT_H

#include "CStress.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/// Starts `count` threads on `body(argument, index)` at once and waits for all of them.
typedef void (*cs_body)(void *argument, uint32_t index);

typedef struct cs_thread {
  cs_body body;
  void *argument;
  uint32_t index;
  pthread_barrier_t *start;
} cs_thread;

static inline void *cs_thread_main(void *raw) {
  cs_thread *thread = (cs_thread *)raw;
  pthread_barrier_wait(thread->start);
  thread->body(thread->argument, thread->index);
  return NULL;
}

static inline void cs_run_threads(uint32_t count, cs_body body, void *argument) {
  pthread_t *handles = (pthread_t *)calloc(count, sizeof *handles);
  cs_thread *threads = (cs_thread *)calloc(count, sizeof *threads);
  pthread_barrier_t start;
  pthread_barrier_init(&start, NULL, count);
  for (uint32_t i = 0; i < count; i++) {
    threads[i] = (cs_thread){body, argument, i, &start};
    if (pthread_create(&handles[i], NULL, cs_thread_main, &threads[i]) != 0) abort();
  }
  for (uint32_t i = 0; i < count; i++) pthread_join(handles[i], NULL);
  pthread_barrier_destroy(&start);
  free(threads);
  free(handles);
}

/// Runs a function in a child made by `fork`, which changes `size` bytes of answers. False if it did not get to its end.
bool cs_ask_child(void (*function)(void *answers), void *answers, size_t size);

/// Items are numbered from 1, so that none looks like an empty cell.
static inline cs_tally cs_count(const atomic_uchar *seen, uint64_t items, uint64_t accepted, uint64_t out_of_order) {
  cs_tally tally = {accepted, 0, 0, out_of_order};
  for (uint64_t i = 0; i < items; i++) {
    unsigned char times = atomic_load_explicit(&seen[i], memory_order_relaxed);
    if (times == 1) tally.once++;
    if (times > 1) tally.repeated++;
  }
  return tally;
}

#endif
