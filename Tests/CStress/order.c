// In which order jobs begin.
#include "CStress.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "flood.h"
#include "wp_thread_pool.h"
#include "wp_wait.h"

typedef struct queue queue;

typedef struct item {
  queue *of;
  uint32_t duration_ns;
} item;

struct queue {
  wp_thread_pool *pool;
  item *items;
  uint32_t count;
  cs_begun *order;
  _Atomic uint32_t begun;
  _Atomic uint32_t gates;
  _Atomic bool is_open;
};

static void run_item(void *argument) {
  item *i = (item *)argument;
  queue *q = i->of;
  cs_begun *place = &q->order[atomic_fetch_add(&q->begun, 1)];
  *place = (cs_begun){(uint32_t)(i - q->items), wp_thread_pool_current_worker(q->pool), wp_monotonic_now()};
  // Asleep, so that a machine with other load lets it go on in time.
  struct timespec time = {0, (long)i->duration_ns};
  if (i->duration_ns > 0) nanosleep(&time, NULL);
}

static void gate(void *argument) {
  queue *q = (queue *)argument;
  atomic_fetch_add(&q->gates, 1);
  while (!atomic_load(&q->is_open)) sched_yield();
}

static void submit_items(queue *q, uint32_t batch) {
  wp_job *jobs = (wp_job *)malloc(batch * sizeof(wp_job));
  if (jobs == NULL) abort();
  for (uint32_t first = 0; first < q->count; first += batch) {
    uint32_t size = q->count - first < batch ? q->count - first : batch;
    for (uint32_t i = 0; i < size; i++) jobs[i] = (wp_job){(uintptr_t)run_item, &q->items[first + i]};
    size_t accepted;
    if (wp_thread_pool_submit_batch(q->pool, jobs, size, &accepted) != WP_OK) abort();
  }
  free(jobs);
}

static void submit_all(void *argument) {
  queue *q = (queue *)argument;
  submit_items(q, q->count);
}

static void init(queue *q, uint32_t workers, const uint32_t *durations_ns, uint32_t count, cs_begun *order) {
  memset(q, 0, sizeof *q);
  wp_thread_pool_config config;
  memset(&config, 0, sizeof config);
  config.worker_count = workers;
  q->items = (item *)calloc(count, sizeof(item));
  if (q->items == NULL || wp_thread_pool_create(&config, &q->pool, NULL) != WP_OK) abort();
  for (uint32_t i = 0; i < count; i++) q->items[i] = (item){q, durations_ns == NULL ? 0 : durations_ns[i]};
  q->count = count;
  q->order = order;
}

static void end(queue *q) {
  while (atomic_load(&q->begun) < q->count) sched_yield();
  wp_thread_pool_close(q->pool);
  wp_thread_pool_join(q->pool);
  wp_thread_pool_release(q->pool);
  free(q->items);
}

void cs_order_from_outside(uint32_t workers, const uint32_t *durations_ns, uint32_t count, uint32_t batch, bool gated,
                           cs_begun *order) {
  queue q;
  init(&q, workers, durations_ns, count, order);
  if (gated) {
    wp_job job = {(uintptr_t)gate, &q};
    for (uint32_t i = 0; i < workers; i++) wp_thread_pool_submit(q.pool, job);
    while (atomic_load(&q.gates) < workers) sched_yield();
  }
  submit_items(&q, batch);
  atomic_store(&q.is_open, true);
  end(&q);
}

void cs_order_of_own_batch(uint32_t count, cs_begun *order) {
  queue q;
  init(&q, 1, NULL, count, order);
  wp_job job = {(uintptr_t)submit_all, &q};
  wp_thread_pool_submit(q.pool, job);
  end(&q);
}

// MARK: Batches

#define JOBS_BETWEEN_PROBES 500u

/// One worker runs tiny jobs; the other is held in one, and let go for a single one now and then: its number tells how many
/// jobs the first has in its deque.
typedef struct batching {
  queue q;
  uint32_t slow;
  int32_t held_worker;
  _Atomic uint32_t released;
  _Atomic uint32_t held;
  _Atomic uint32_t number;
  uint32_t *taken;
} batching;

static void hold(batching *b, uint32_t number) {
  atomic_store(&b->number, number);
  uint32_t turn = atomic_fetch_add(&b->held, 1) + 1;
  while (atomic_load(&b->released) < turn) sched_yield();
}

static void hold_first(void *argument) {
  batching *b = (batching *)argument;
  bool is_held = atomic_fetch_add(&b->q.gates, 1) == 0;
  while (atomic_load(&b->q.gates) < 2) sched_yield();
  if (is_held) {
    b->held_worker = wp_thread_pool_current_worker(b->q.pool);
    hold(b, 0);
  } else {
    while (!atomic_load(&b->q.is_open)) sched_yield();
  }
}

static void run_in_batch(void *argument) {
  item *i = (item *)argument;
  batching *b = (batching *)(void *)i->of;
  uint32_t number = (uint32_t)(i - b->q.items);
  if (wp_thread_pool_current_worker(b->q.pool) == b->held_worker) {
    if (number + 1 < b->q.count) hold(b, number);
  } else if (number == b->slow) {
    cs_spin(5000000);
  } else if (number % JOBS_BETWEEN_PROBES == 0 && number > b->slow) {
    uint32_t before = atomic_load(&b->held);
    atomic_fetch_add(&b->released, 1);
    while (atomic_load(&b->held) == before) sched_yield();
    uint32_t next = atomic_load(&b->number);
    b->taken[number / JOBS_BETWEEN_PROBES] = next > number ? next - number : 0;
  }
  if (atomic_fetch_add(&b->q.begun, 1) + 2 == b->q.count) atomic_store(&b->released, UINT32_MAX);
}

uint32_t cs_batches_after_slow_job(uint32_t count, uint32_t slow, uint32_t *taken) {
  batching b;
  memset(&b, 0, sizeof b);
  init(&b.q, 2, NULL, count, NULL);
  b.slow = slow;
  b.taken = taken;
  wp_job job = {(uintptr_t)hold_first, &b};
  for (int i = 0; i < 2; i++) wp_thread_pool_submit(b.q.pool, job);
  while (atomic_load(&b.held) == 0) sched_yield();
  for (uint32_t i = 0; i < count; i++) {
    job = (wp_job){(uintptr_t)run_in_batch, &b.q.items[i]};
    if (wp_thread_pool_submit(b.q.pool, job) != WP_OK) abort();
  }
  atomic_store(&b.q.is_open, true);
  end(&b.q);
  uint32_t probes = 0;
  for (uint32_t number = slow / JOBS_BETWEEN_PROBES + 1; number * JOBS_BETWEEN_PROBES < count; number++) {
    taken[probes++] = taken[number];
  }
  return probes;
}
