#include "stress_support.h"

#include <sched.h>
#include <string.h>

#include "../../CShim/CWorkerPool/src/queue/wp_putback.h"

static wp_job item_job(uint64_t item) { return (wp_job){(uintptr_t)item + 1, (void *)(uintptr_t)(item * 3)}; }
static uint64_t item_of(wp_job job) { return (uint64_t)job.code - 1; }

static void *allocate(size_t size) {
  void *memory = aligned_alloc(WP_CACHE_LINE, (size + WP_CACHE_LINE - 1) / WP_CACHE_LINE * WP_CACHE_LINE);
  if (memory == NULL) abort();
  memset(memory, 0, size);
  return memory;
}

// MARK: One thread

/// Puts back the items from `first` on, each with itself for a ticket.
static void put(wp_putback *putback, uint64_t first, size_t count) {
  wp_job jobs[16];
  for (size_t i = 0; i < count; i++) jobs[i] = item_job(first + i);
  if (!wp_putback_put(putback, first, jobs, count)) abort();
}

/// Whether a take gives `count` items from `first` on.
static bool takes(wp_putback *putback, size_t max, size_t share, uint64_t first, size_t count) {
  wp_job jobs[16];
  uint64_t ticket = UINT64_MAX;
  if (wp_putback_take(putback, jobs, max, share, &ticket) != count) return false;
  for (size_t i = 0; i < count; i++) {
    if (item_of(jobs[i]) != first + i) return false;
  }
  return count == 0 || ticket == first;
}

bool cs_putback_order(void) {
  wp_putback *putback = (wp_putback *)allocate(sizeof *putback);
  wp_putback_init(putback);
  bool good = wp_putback_count(putback) == 0 && takes(putback, 16, 1, 0, 0);
  put(putback, 100, 5);
  put(putback, 10, 3);
  put(putback, 50, 4);
  put(putback, 60, 2);
  put(putback, 1, 1);
  wp_putback_put_part(putback, wp_putback_part_create(4));  // empty
  wp_putback_part *part = wp_putback_part_create(2);
  wp_putback_part_add(part, 20, item_job(20));
  wp_putback_part_add(part, 21, item_job(21));
  wp_putback_put_part(putback, part);
  good = good && wp_putback_count(putback) == 17;
  // By ticket; of each part at most `max`, and one in `share`, rounded up.
  good = good && takes(putback, 16, 1, 1, 1) && takes(putback, 2, 1, 10, 2) && takes(putback, 2, 1, 12, 1);
  good = good && takes(putback, 16, 3, 20, 1) && takes(putback, 16, 3, 21, 1);
  // What comes back later may come before all others.
  put(putback, 12, 1);
  good = good && takes(putback, 16, 1, 12, 1) && takes(putback, 16, 2, 50, 2) && takes(putback, 16, 1, 52, 2);
  good = good && takes(putback, 16, 1, 60, 2) && takes(putback, 16, 2, 100, 3) && wp_putback_count(putback) == 2;
  good = good && takes(putback, 16, 1, 103, 2) && takes(putback, 16, 1, 0, 0);
  put(putback, 7, 3);  // is lost
  wp_putback_destroy(putback);
  free(putback);
  return good;
}

static bool is_even(void *context, wp_job job) {
  ++*(size_t *)context;
  return item_of(job) % 2 == 0;
}

bool cs_putback_filter(void) {
  wp_putback *putback = (wp_putback *)allocate(sizeof *putback);
  wp_putback_init(putback);
  for (uint64_t part = 0; part < 8; part++) put(putback, 10 * part, 10);
  wp_job jobs[64];
  size_t looks = 0;
  // It goes on where the last call ended, a part at a time, until there is no room or no look left.
  bool good = wp_putback_filter(putback, is_even, &looks, jobs, 64, 15) == 10 && looks == 20;
  good = good && wp_putback_filter(putback, is_even, &looks, jobs, 3, 100) == 3 && item_of(jobs[2]) == 25;
  good = good && wp_putback_filter(putback, is_even, &looks, jobs, 64, 1) == 2 && item_of(jobs[0]) == 27;
  good = good && wp_putback_filter(putback, is_even, &looks, jobs, 64, 1000) == 25;
  good = good && wp_putback_count(putback) == 40 && wp_putback_filter(putback, is_even, &looks, jobs, 64, 1000) == 0;
  for (uint64_t item = 0; good && item < 80; item += 2) {
    uint64_t ticket;
    good = wp_putback_take(putback, jobs, 1, 1, &ticket) == 1 && item_of(jobs[0]) == item;
  }
  good = good && wp_putback_count(putback) == 0;
  wp_putback_destroy(putback);
  free(putback);
  return good;
}

// MARK: Many threads

#define MOST 32u

typedef struct run {
  wp_putback putback;
  uint32_t putters;
  uint32_t takers;
  uint64_t items;
  atomic_uint putting;
  atomic_ullong out_of_order;
  atomic_uchar *seen;
} run;

static void see(run *r, const wp_job *jobs, size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint64_t item = item_of(jobs[i]);
    if (item >= r->items || (uint64_t)(uintptr_t)jobs[i].argument != item * 3) abort();
    atomic_fetch_add_explicit(&r->seen[item], 1, memory_order_relaxed);
    if (i > 0 && item_of(jobs[i - 1]) >= item) atomic_fetch_add(&r->out_of_order, 1);
  }
}

/// Parts of several sizes, in no order: each putter begins in the middle of its share.
static void put_all(run *r, uint32_t index) {
  uint64_t share = r->items / r->putters, first = index * share;
  for (uint64_t done = 0; done < share;) {
    uint64_t place = (done + share / 2) % share;
    size_t size = 1 + place % 13;
    if (size > share - place) size = share - place;
    if (size > share - done) size = share - done;
    put(&r->putback, first + place, size);
    done += size;
  }
  atomic_fetch_sub(&r->putting, 1);
}

static bool is_no_third(void *context, wp_job job) {
  (void)context;
  return item_of(job) % 3 != 0;
}

static void take_all(run *r, bool filters) {
  wp_job jobs[MOST];
  for (size_t calls = 0;;) {
    bool putting = atomic_load(&r->putting) != 0;
    uint64_t ticket = 0;
    size_t max = 1 + calls++ % MOST;
    size_t count = filters ? wp_putback_filter(&r->putback, is_no_third, NULL, jobs, max, 50)
                           : wp_putback_take(&r->putback, jobs, max, 1, &ticket);
    // Those that were filtered out before it are not counted any more.
    if (!filters && count > 0 && ticket > item_of(jobs[0])) atomic_fetch_add(&r->out_of_order, 1);
    see(r, jobs, count);
    if (count > 0) continue;
    if (!putting && wp_putback_count(&r->putback) == 0) return;
    if (!putting && filters) return;
    sched_yield();
  }
}

static void body(void *argument, uint32_t index) {
  run *r = (run *)argument;
  if (index < r->putters) {
    put_all(r, index);
  } else {
    take_all(r, index >= r->putters + r->takers);
  }
}

cs_tally cs_putback_stress(uint32_t putters, uint32_t takers, uint32_t filters, uint64_t items) {
  run *r = (run *)allocate(sizeof *r);
  wp_putback_init(&r->putback);
  r->putters = putters;
  r->takers = takers;
  r->items = items;
  atomic_init(&r->putting, putters);
  r->seen = (atomic_uchar *)calloc(items, sizeof *r->seen);
  if (r->seen == NULL) abort();
  cs_run_threads(putters + takers + filters, body, r);
  cs_tally tally = cs_count(r->seen, items, items, atomic_load(&r->out_of_order));
  wp_putback_destroy(&r->putback);
  free(r->seen);
  free(r);
  return tally;
}
