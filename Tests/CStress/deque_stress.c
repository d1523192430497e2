#include "stress_support.h"

#include "../../CShim/CWorkerPool/src/queue/wp_deque.h"

typedef struct run {
  wp_deque deque;
  uint64_t items;
  uint32_t burst;
  atomic_ullong out;
  atomic_uchar *seen;
} run;

static wp_job item_job(uint64_t item) { return (wp_job){(uintptr_t)item + 1, (void *)(uintptr_t)(item * 3)}; }

static void record(run *r, wp_job job) {
  uint64_t item = (uint64_t)job.code - 1;
  if (item >= r->items || (uint64_t)(uintptr_t)job.argument != item * 3) abort();
  atomic_fetch_add_explicit(&r->seen[item], 1, memory_order_relaxed);
  atomic_fetch_add(&r->out, 1);
}

/// Pushes a burst at once, turned round. Returns how many there was room for.
static uint64_t push_reversed(run *r, uint64_t first) {
  wp_job jobs[64];
  size_t count = r->burst < 64 ? r->burst : 64;
  if (count > r->items - first) count = r->items - first;
  for (size_t i = 0; i < count; i++) jobs[i] = item_job(first + i);
  return wp_deque_push_reversed(&r->deque, jobs, count);
}

/// Pushes in bursts and takes about half of each back, so that the last job is fought over again and again.
static void own(run *r) {
  wp_job job;
  for (uint64_t item = 0; item < r->items;) {
    item += push_reversed(r, item);
    for (uint32_t i = 0; i < r->burst && item < r->items; i++) {
      job = item_job(item);
      if (wp_deque_push(&r->deque, &job, 1) == 0) break;  // at its limit: thieves and the takes below make room
      item++;
    }
    for (uint32_t i = 0; i < r->burst + 1; i++) {
      if (wp_deque_take(&r->deque, &job)) record(r, job);
    }
  }
  while (wp_deque_take(&r->deque, &job)) record(r, job);
}

bool cs_deque_reversed(void) {
  wp_deque *deque = (wp_deque *)aligned_alloc(WP_CACHE_LINE, sizeof *deque);
  wp_deque_init(deque);
  wp_job jobs[20], job;
  for (uint64_t i = 0; i < 20; i++) jobs[i] = item_job(i);
  bool good = wp_deque_push_reversed(deque, jobs, 0) == 0 && wp_deque_is_empty(deque);
  // The first is taken first, and the last stolen first; what is pushed later stands above all of them.
  good = good && wp_deque_push_reversed(deque, jobs, 20) == 20 && wp_deque_steal(deque, &job) == WP_STEAL_TAKEN;
  good = good && job.code == jobs[19].code && wp_deque_take(deque, &job) && job.code == jobs[0].code;
  good = good && wp_deque_push_reversed(deque, jobs, 2) == 2 && wp_deque_take(deque, &job) && job.code == jobs[0].code;
  good = good && wp_deque_take(deque, &job) && job.code == jobs[1].code;
  for (uint64_t i = 1; i < 19; i++) good = good && wp_deque_take(deque, &job) && job.code == jobs[i].code;
  good = good && wp_deque_is_empty(deque);
  // At the limit the first of them fit.
  for (uint64_t i = 0; i < WP_DEQUE_MAX_CELLS - 5; i++) good = good && wp_deque_push(deque, &jobs[0], 1) == 1;
  good = good && wp_deque_push_reversed(deque, jobs, 20) == 5 && wp_deque_push_reversed(deque, jobs, 20) == 0;
  for (uint64_t i = 0; i < 5; i++) good = good && wp_deque_take(deque, &job) && job.code == jobs[i].code;
  good = good && wp_deque_count(deque) == WP_DEQUE_MAX_CELLS - 5 && wp_deque_room(deque) == 5;
  wp_deque_destroy(deque);
  free(deque);
  return good;
}

static void steal(run *r) {
  wp_job job;
  while (atomic_load(&r->out) < r->items) {
    if (wp_deque_steal(&r->deque, &job) == WP_STEAL_TAKEN) record(r, job);
  }
}

static void body(void *argument, uint32_t index) {
  run *r = (run *)argument;
  if (index == 0) {
    own(r);
  } else {
    steal(r);
  }
}

cs_tally cs_deque_stress(uint32_t thieves, uint64_t items, uint32_t burst) {
  run *r = (run *)aligned_alloc(WP_CACHE_LINE, (sizeof(run) + WP_CACHE_LINE - 1) / WP_CACHE_LINE * WP_CACHE_LINE);
  if (r == NULL) abort();
  wp_deque_init(&r->deque);
  r->items = items;
  r->burst = burst;
  atomic_init(&r->out, 0);
  r->seen = (atomic_uchar *)calloc(items, sizeof *r->seen);
  cs_run_threads(thieves + 1, body, r);
  cs_tally tally = cs_count(r->seen, items, items, 0);
  wp_deque_destroy(&r->deque);
  free(r->seen);
  free(r);
  return tally;
}

bool cs_deque_sequential(void) {
  wp_deque *deque = (wp_deque *)aligned_alloc(WP_CACHE_LINE, sizeof *deque);
  wp_deque_init(deque);
  wp_job job;
  bool good = wp_deque_is_empty(deque) && !wp_deque_take(deque, &job) &&
              wp_deque_steal(deque, &job) == WP_STEAL_EMPTY;
  uint64_t pushed = 0;
  for (job = item_job(0); wp_deque_push(deque, &job, 1) == 1; job = item_job(pushed)) pushed++;
  good = good && pushed == WP_DEQUE_MAX_CELLS;
  for (uint64_t i = 0; good && i < pushed / 2; i++) {
    good = wp_deque_take(deque, &job) && job.code == item_job(pushed - 1 - i).code;
    good = good && wp_deque_steal(deque, &job) == WP_STEAL_TAKEN && job.code == item_job(i).code;
  }
  good = good && wp_deque_is_empty(deque);
  wp_deque_destroy(deque);
  free(deque);
  return good;
}
