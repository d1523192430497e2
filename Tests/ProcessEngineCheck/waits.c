// Threads that wait for their tasks and collect meanwhile, beside one that takes tasks back and one that kills workers.
#include "check.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

enum { WAITERS = 3, EACH = 4000, TASKS = WAITERS * EACH, CALL_EVERY = 64 };
enum { DONE = 1, REPLIED = 2, DIED = 4, TAKEN_BACK = 8 };

typedef struct waits {
  wp_process_pool *pool;
  _Atomic uint32_t words[TASKS];
  _Atomic uint64_t tickets[TASKS];
  _Atomic uint32_t finished;
  _Atomic uint32_t on_waiting_threads;
  _Atomic uint32_t calls_wanted;
  _Atomic uint32_t calls;
  _Atomic bool over;
} waits;

static void end_task(waits *self, size_t task, uint32_t how) {
  uint32_t before = atomic_exchange(&self->words[task], DONE | how);
  CHECK(before == 0, "task %zu ended as %u and as %u", task, before, how);
  atomic_fetch_add(&self->finished, 1);
  wp_word_wake_all(&self->words[task]);
}

static void on_completed(void *context, void *token, const wp_task_outcome *outcome) {
  waits *self = (waits *)context;
  size_t task = (size_t)(uintptr_t)token - 1;
  if (outcome->on_waiting_thread) {
    atomic_fetch_add(&self->on_waiting_threads, 1);
    if (task % CALL_EVERY == 0) {
      atomic_fetch_add(&self->calls_wanted, 1);
      wp_process_pool_call(self->pool);
    }
  }
  end_task(self, task, outcome->end == WP_TASK_REPLIED ? REPLIED : DIED);
}

static void on_called(void *context) {
  waits *self = (waits *)context;
  atomic_fetch_add(&self->calls, atomic_exchange(&self->calls_wanted, 0));
}

/// Blocks as a future does.
static uint32_t await(waits *self, size_t task) {
  const void *word = &self->words[task];
  wp_process_pool_spin(self->pool, word, DONE);
  while ((atomic_load(&self->words[task]) & DONE) == 0) {
    wp_process_pool_sleep(self->pool, word, DONE, UINT64_MAX);
    if ((atomic_load(&self->words[task]) & DONE) == 0) wp_word_wait(word, 0, UINT64_MAX);
  }
  return atomic_load(&self->words[task]);
}

static void submit(waits *self, size_t task) {
  uint64_t busy = task % 7 == 0 ? 50000 : 100;
  wp_process_submission submission = lab_submission(task, DO_SPIN, &busy, sizeof busy);
  uint64_t ticket = 0;
  wp_status status = wp_process_pool_submit(self->pool, &submission, &ticket);
  CHECK(status == WP_OK, "submit: %s", wp_status_name(status));
  atomic_store(&self->tickets[task], ticket);
}

typedef struct waiter {
  waits *all;
  size_t first;
} waiter;

static void *wait_for_each(void *argument) {
  waiter *self = (waiter *)argument;
  for (size_t i = self->first; i < self->first + EACH; i += 4) {
    for (size_t j = i; j < i + 4; j++) submit(self->all, j);
    for (size_t j = i; j < i + 4; j++) await(self->all, j);
  }
  return NULL;
}

static void *take_back(void *argument) {
  waits *self = (waits *)argument;
  while (!atomic_load(&self->over)) {
    for (size_t task = 3; task < TASKS; task += 40) {
      uint64_t ticket = atomic_load(&self->tickets[task]);
      if (ticket == 0 || !wp_process_pool_cancel(self->pool, ticket)) continue;
      end_task(self, task, TAKEN_BACK);
      wp_process_pool_wake(self->pool);
    }
  }
  return NULL;
}

void waiting_threads(wp_start_method method) {
  static waits self;
  test_lab lab;
  wp_process_pool_config config = lab_config(&lab, 2, method);
  config.hooks.context = &self;
  config.hooks.completed = on_completed;
  config.hooks.called = on_called;
  config.hooks.destroy = NULL;
  leftovers before = count_leftovers();
  CHECK(wp_process_pool_create(&config, &self.pool, NULL) == WP_OK, "create");
  pthread_t threads[WAITERS], canceller;
  waiter waiters[WAITERS];
  for (size_t i = 0; i < WAITERS; i++) {
    waiters[i].all = &self;
    waiters[i].first = i * EACH;
    pthread_create(&threads[i], NULL, wait_for_each, &waiters[i]);
  }
  pthread_create(&canceller, NULL, take_back, &self);
  // Kills as the work goes on, so that deaths meet leaders awake and asleep.
  for (uint32_t kills = 1; kills < 20; kills++) {
    while (atomic_load(&self.finished) < kills * TASKS / 20) sched_yield();
    int32_t pids[2];
    size_t count = wp_process_pool_worker_pids(self.pool, pids, 2);
    if (count > 0) kill(pids[kills % count], SIGKILL);
  }
  for (size_t i = 0; i < WAITERS; i++) pthread_join(threads[i], NULL);
  atomic_store(&self.over, true);
  pthread_join(canceller, NULL);
  wp_process_pool_close(self.pool);
  CHECK(wp_process_pool_join(self.pool) == WP_OK, "join");
  CHECK(atomic_load(&self.finished) == TASKS, "%u ended", atomic_load(&self.finished));
  CHECK(atomic_load(&self.calls_wanted) == 0, "%u calls were forgotten", atomic_load(&self.calls_wanted));
  CHECK(atomic_load(&self.on_waiting_threads) > 0, "no thread collected while it waited");
  wp_process_pool_release(self.pool);
  check_leftovers(before, "after threads that waited");
}
