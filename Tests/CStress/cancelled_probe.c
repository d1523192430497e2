// Jobs that are cancelled while they wait.
#include "CStress.h"

#include <malloc.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "flood.h"
#include "stress_support.h"
#include "wp_thread_pool.h"
#include "../../CShim/CWorkerPool/src/thread/wp_cancelled.h"

uint64_t cs_cancelled_count(const void *pool) { return wp_cancelled_count((const wp_thread_pool *)pool); }

// MARK: A pool of jobs that can be cancelled

typedef struct cancellable cancellable;

typedef struct run {
  wp_thread_pool *pool;
  uint32_t spin_ns;
  bool frees;
  sem_t stuck;
  sem_t gate;
  _Atomic uint64_t ran;
  _Atomic uint64_t discarded;
  // The numbers of jobs that were not cancelled, as they ran.
  uint32_t *order;
  // Of the stress.
  cancellable *items;
  uint64_t count;
  uint32_t submitters;
  uint64_t close_after;
  _Atomic uint64_t accepted;
  atomic_uchar *seen;
} run;

/// About as large as a future.
struct cancellable {
  run *of;
  uint32_t number;
  _Atomic bool is_cancelled;
  char rest[40];
};

static void end_item(cancellable *item) {
  run *r = item->of;
  if (r->seen != NULL) atomic_fetch_add_explicit(&r->seen[item->number], 1, memory_order_relaxed);
  if (r->frees) free(item);
}

static void run_item(void *argument) {
  cancellable *item = (cancellable *)argument;
  run *r = item->of;
  if (!atomic_load(&item->is_cancelled)) {
    uint64_t place = atomic_fetch_add(&r->ran, 1);
    if (r->order != NULL) r->order[place] = item->number;
    if (r->spin_ns > 0) cs_spin(r->spin_ns);
  }
  end_item(item);
}

static void discard(void *context, wp_job job) {
  run *r = (run *)context;
  atomic_fetch_add(&r->discarded, 1);
  end_item((cancellable *)job.argument);
}

static bool is_stale(void *context, wp_job job) {
  (void)context;
  return job.code == (uintptr_t)run_item && atomic_load(&((cancellable *)job.argument)->is_cancelled);
}

static void wait_for(sem_t *semaphore) {
  while (sem_wait(semaphore) != 0) continue;
}

static void gate(void *argument) {
  run *r = (run *)argument;
  sem_post(&r->stuck);
  wait_for(&r->gate);
}

static void begin(run *r, uint32_t workers, bool gated) {
  wp_thread_pool_config config;
  memset(&config, 0, sizeof config);
  config.worker_count = workers;
  config.hooks.context = r;
  config.hooks.discard = discard;
  config.hooks.is_stale = is_stale;
  if (wp_thread_pool_create(&config, &r->pool, NULL) != WP_OK) abort();
  sem_init(&r->stuck, 0, 0);
  sem_init(&r->gate, 0, 0);
  wp_job job = {(uintptr_t)gate, r};
  for (uint32_t i = 0; gated && i < workers; i++) wp_thread_pool_submit(r->pool, job);
  for (uint32_t i = 0; gated && i < workers; i++) wait_for(&r->stuck);
}

static void end(run *r) {
  uint32_t workers = wp_thread_pool_worker_count(r->pool);
  for (uint32_t i = 0; i < workers; i++) sem_post(&r->gate);
  wp_thread_pool_close(r->pool);
  wp_thread_pool_join(r->pool);
  wp_thread_pool_release(r->pool);
  sem_destroy(&r->stuck);
  sem_destroy(&r->gate);
}

static wp_status submit(run *r, cancellable *item) {
  wp_job job = {(uintptr_t)run_item, item};
  return wp_thread_pool_submit(r->pool, job);
}

static void cancel(run *r, cancellable *item) {
  atomic_store(&item->is_cancelled, true);
  wp_thread_pool_note_cancelled(r->pool);
}

static void submit_new(run *r, uint32_t number, bool is_live) {
  cancellable *item = (cancellable *)malloc(sizeof *item);
  if (item == NULL) abort();
  item->of = r;
  item->number = number;
  atomic_init(&item->is_cancelled, false);
  if (submit(r, item) != WP_OK) abort();
  if (!is_live) cancel(r, item);
}

// MARK: Memory

typedef struct memory_question {
  uint32_t pairs;
  uint32_t live_every;
  cs_cancel_answers answers;
} memory_question;

static void hold_cancelled(void *argument) {
  memory_question *question = (memory_question *)argument;
  cs_cancel_answers *answers = &question->answers;
  static run r;
  r.frees = true;
  begin(&r, 2, true);
  size_t before = mallinfo2().uordblks;
  submit_new(&r, 0, true);
  for (uint32_t i = 1; i <= question->pairs; i++) {
    bool is_live = question->live_every > 0 && i % question->live_every == 0;
    submit_new(&r, i, is_live);
    answers->live += is_live ? 1 : 0;
    size_t held = i % 1024 == 0 ? mallinfo2().uordblks - before : 0;
    if (held > answers->most_held) answers->most_held = held;
  }
  answers->live++;
  end(&r);
  answers->ran = atomic_load(&r.ran);
  answers->answered = true;
}

cs_cancel_answers cs_fork_and_cancel(uint32_t pairs, uint32_t live_every) {
  memory_question question = {pairs, live_every, {false, 0, 0, 0}};
  if (!cs_ask_child(hold_cancelled, &question, sizeof question)) question.answers.answered = false;
  return question.answers;
}

// MARK: Order

uint64_t cs_cancelled_order(uint32_t count, uint32_t live_every, uint32_t *order) {
  static run empty;
  run r = empty;
  r.frees = true;
  r.order = order;
  r.spin_ns = 30000;
  begin(&r, 1, true);
  for (uint32_t i = 0; i < count; i++) submit_new(&r, i, i % live_every == 0);
  uint64_t swept = atomic_load(&r.discarded);
  end(&r);
  return swept;
}

// MARK: Stress

#define LATER 700u

/// Submits every so manieth item, and cancels two of three: at once, or some time later.
static void submit_and_cancel(void *argument, uint32_t index) {
  run *r = (run *)argument;
  for (uint64_t i = index; i < r->count + LATER * r->submitters; i += r->submitters) {
    if (i < r->count) {
      cancellable *item = &r->items[i];
      if (submit(r, item) != WP_OK) return;
      uint64_t accepted = atomic_fetch_add(&r->accepted, 1) + 1;
      if (i % 3 == 0) cancel(r, item);
      if (accepted == r->close_after) {
        wp_thread_pool_close(r->pool);
        wp_thread_pool_discard_pending(r->pool);
      }
    }
    uint64_t earlier = i - LATER * r->submitters;
    if (i >= LATER * r->submitters && earlier % 3 == 1) cancel(r, &r->items[earlier]);
  }
}

cs_tally cs_cancel_stress(uint32_t submitters, uint32_t workers, uint64_t items, uint64_t close_after) {
  static run empty;
  run r = empty;
  r.count = items;
  r.submitters = submitters;
  r.close_after = close_after;
  r.spin_ns = 1000;
  r.items = (cancellable *)calloc(items, sizeof(cancellable));
  r.seen = (atomic_uchar *)calloc(items, sizeof *r.seen);
  if (r.items == NULL || r.seen == NULL) abort();
  for (uint64_t i = 0; i < items; i++) {
    r.items[i].of = &r;
    r.items[i].number = (uint32_t)i;
  }
  begin(&r, workers, false);
  cs_run_threads(submitters, submit_and_cancel, &r);
  end(&r);
  cs_tally tally = cs_count(r.seen, items, atomic_load(&r.accepted), atomic_load(&r.discarded));
  free(r.items);
  free(r.seen);
  return tally;
}
