#include "stress_support.h"

#include <sched.h>

#include "../../CShim/CWorkerPool/src/queue/wp_injector.h"

typedef struct run {
  wp_injector injector;
  uint32_t producers;
  uint32_t batch;
  uint32_t take;
  uint64_t items;
  uint64_t close_after;
  atomic_ullong accepted;
  atomic_ullong popped;
  atomic_ullong out_of_order;
  atomic_uint producing;
  atomic_uchar *seen;
  /// By item; each is written by whoever popped it.
  uint64_t *tickets;
} run;

#define MAX_BATCH 64

static wp_job item_job(uint64_t item) { return (wp_job){(uintptr_t)item + 1, (void *)(uintptr_t)(item * 3)}; }

// Producer p owns the items p, p + producers, p + 2·producers, …, in this order.
static void produce(run *r, uint32_t index) {
  wp_job jobs[MAX_BATCH];
  uint64_t item = index;
  bool open = true;
  while (open && item < r->items) {
    size_t count = 0;
    for (uint64_t next = item; count < r->batch && next < r->items; next += r->producers) jobs[count++] = item_job(next);
    size_t taken;
    open = wp_injector_push(&r->injector, jobs, count, &taken) == WP_OK;
    uint64_t total = atomic_fetch_add(&r->accepted, taken) + taken;
    if (r->close_after > 0 && total >= r->close_after) wp_injector_close(&r->injector);
    item += taken * r->producers;
  }
  atomic_fetch_sub(&r->producing, 1);
}

static void consume(run *r) {
  wp_job jobs[MAX_BATCH];
  uint64_t *newest = (uint64_t *)calloc(r->producers, sizeof *newest);
  for (;;) {
    bool producing = atomic_load(&r->producing) != 0;  // before the pop, so that "empty" after it is final
    wp_popped popped;
    size_t count = wp_injector_pop(&r->injector, jobs, r->take, 1, &popped);
    for (size_t i = 0; i < count; i++) {
      uint64_t item = (uint64_t)jobs[i].code - 1;
      if (item >= r->items || (uint64_t)(uintptr_t)jobs[i].argument != item * 3) abort();
      atomic_fetch_add_explicit(&r->seen[item], 1, memory_order_relaxed);
      r->tickets[item] = popped.ticket + i + 1;
      uint64_t *last = &newest[item % r->producers];
      if (*last > item + 1) atomic_fetch_add(&r->out_of_order, 1);
      *last = item + 1;
    }
    if (count == 0) {
      if (!producing) break;
      sched_yield();
    }
  }
  free(newest);
}

static void body(void *argument, uint32_t index) {
  run *r = (run *)argument;
  if (index < r->producers) {
    produce(r, index);
  } else {
    consume(r);
  }
}

cs_tally cs_injector_stress(uint32_t producers, uint32_t consumers, uint64_t items, uint32_t batch, uint32_t take,
                            uint64_t close_after) {
  run *r = (run *)aligned_alloc(WP_CACHE_LINE, (sizeof(run) + WP_CACHE_LINE - 1) / WP_CACHE_LINE * WP_CACHE_LINE);
  if (r == NULL || !wp_injector_init(&r->injector) || batch > MAX_BATCH || take > MAX_BATCH) abort();
  r->producers = producers;
  r->batch = batch;
  r->take = take;
  r->items = items;
  r->close_after = close_after;
  atomic_init(&r->accepted, 0);
  atomic_init(&r->popped, 0);
  atomic_init(&r->out_of_order, 0);
  atomic_init(&r->producing, producers);
  r->seen = (atomic_uchar *)calloc(items, sizeof *r->seen);
  r->tickets = (uint64_t *)calloc(items, sizeof *r->tickets);
  if (r->seen == NULL || r->tickets == NULL) abort();
  cs_run_threads(producers + consumers, body, r);
  // Whoever popped them: what a producer pushed earlier has a lower ticket.
  for (uint64_t item = producers; item < items; item++) {
    bool is_out = atomic_load_explicit(&r->seen[item], memory_order_relaxed) == 1;
    if (is_out && r->tickets[item] <= r->tickets[item - producers]) atomic_fetch_add(&r->out_of_order, 1);
  }
  cs_tally tally = cs_count(r->seen, items, atomic_load(&r->accepted), atomic_load(&r->out_of_order));
  wp_injector_destroy(&r->injector);
  free(r->seen);
  free(r->tickets);
  free(r);
  return tally;
}

bool cs_injector_sequential(uint64_t items) {
  wp_injector *injector = (wp_injector *)aligned_alloc(WP_CACHE_LINE, sizeof *injector);
  if (!wp_injector_init(injector)) return false;
  bool good = wp_injector_is_empty(injector);
  size_t accepted;
  wp_job job;
  for (uint64_t i = 0; good && i < items; i++) {
    job = item_job(i);
    good = wp_injector_push(injector, &job, 1, &accepted) == WP_OK && accepted == 1;
  }
  good = good && !wp_injector_is_empty(injector);
  wp_injector_close(injector);
  wp_injector_close(injector);
  good = good && wp_injector_push(injector, &job, 1, &accepted) == WP_SHUT_DOWN && accepted == 0;
  for (uint64_t i = 0; good && i < items; i++) {
    good = wp_injector_pop(injector, &job, 1, 1, NULL) == 1 && job.code == item_job(i).code;
  }
  good = good && wp_injector_pop(injector, &job, 1, 1, NULL) == 0 && wp_injector_is_empty(injector);
  wp_injector_destroy(injector);
  free(injector);
  return good;
}

bool cs_injector_tickets(uint64_t items) {
  wp_injector *injector = (wp_injector *)aligned_alloc(WP_CACHE_LINE, sizeof *injector);
  if (!wp_injector_init(injector)) return false;
  size_t accepted;
  for (uint64_t i = 0; i < items; i++) {
    wp_job job = item_job(i);
    if (wp_injector_push(injector, &job, 1, &accepted) != WP_OK) abort();
  }
  bool good = wp_injector_length(injector) == items;
  wp_job jobs[MAX_BATCH];
  for (uint64_t next = 0; good && next < items;) {
    wp_popped popped;
    size_t count = wp_injector_pop(injector, jobs, 1 + next % MAX_BATCH, 1, &popped);
    good = count > 0 && popped.ticket == next && jobs[0].code == item_job(next).code;
    next += count;
    // Of one segment alone `left` tells.
    good = good && popped.left <= items - next && wp_injector_length(injector) == items - next;
    good = good && wp_injector_backlog(injector) <= items - next && wp_injector_is_empty(injector) == (next == items);
  }
  wp_injector_destroy(injector);
  free(injector);
  return good;
}

typedef struct growth {
  wp_injector *injector;
  uint32_t told;
} growth;

static void count_growth(void *context) { ((growth *)context)->told++; }

uint32_t cs_injector_growth(uint64_t items) {
  growth g = {(wp_injector *)aligned_alloc(WP_CACHE_LINE, sizeof(wp_injector)), 0};
  if (!wp_injector_init(g.injector)) abort();
  wp_injector_tell(g.injector, count_growth, &g);
  size_t accepted;
  for (uint64_t i = 0; i < items; i++) {
    wp_job job = item_job(i);
    if (wp_injector_push(g.injector, &job, 1, &accepted) != WP_OK) abort();
  }
  wp_injector_destroy(g.injector);
  free(g.injector);
  return g.told;
}
