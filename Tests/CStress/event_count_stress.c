#include "stress_support.h"

#include <sched.h>
#include <string.h>
#include <time.h>

#include "../../CShim/CWorkerPool/src/park/wp_event_count.h"

typedef struct run {
  wp_event_count event_count;
  wp_waiter *waiters;
  uint32_t producers;
  uint64_t items;
  _Atomic(int64_t) tokens;
  atomic_ullong consumed;
  atomic_ullong produced;
  atomic_bool stop;
} run;

static bool take_token(run *r) {
  int64_t tokens = atomic_load(&r->tokens);
  while (tokens > 0) {
    if (atomic_compare_exchange_weak(&r->tokens, &tokens, tokens - 1)) return true;
  }
  return false;
}

/// The protocol at the top of wp_event_count.h, with tokens for jobs.
static void consume(run *r, uint32_t waiter) {
  bool searching = false;
  for (;;) {
    if (take_token(r)) {
      if (searching) {
        wp_event_count_end_search(&r->event_count);
        if (atomic_load(&r->tokens) > 0) wp_event_count_notify_one(&r->event_count);
      }
      searching = false;
      atomic_fetch_add(&r->consumed, 1);
      continue;
    }
    wp_event_count_prepare(&r->event_count, waiter, searching);
    searching = false;
    if (atomic_load(&r->tokens) > 0) {
      if (wp_event_count_retract(&r->event_count, waiter)) continue;
      wp_event_count_notify_one(&r->event_count);
    } else if (atomic_load(&r->stop)) {
      return;
    }
    searching = wp_event_count_wait(&r->event_count, waiter) == WP_WAKE_SEARCHING;
  }
}

static void produce(run *r, uint32_t index) {
  for (uint64_t i = index; i < r->items; i += r->producers) {
    atomic_fetch_add(&r->tokens, 1);
    wp_event_count_notify_one(&r->event_count);
    atomic_fetch_add(&r->produced, 1);
  }
}

static void body(void *argument, uint32_t index) {
  run *r = (run *)argument;
  if (index < r->producers) {
    produce(r, index);
  } else {
    consume(r, index - r->producers);
  }
}

typedef struct watch {
  run *r;
  uint32_t timeout_ms;
} watch;

/// Ends the consumers when all is consumed, or when nothing has moved for the timeout (a lost wake-up).
static void *watch_main(void *argument) {
  watch *w = (watch *)argument;
  uint64_t last = 0;
  uint32_t idle_ms = 0;
  for (;;) {
    uint64_t consumed = atomic_load(&w->r->consumed);
    idle_ms = consumed == last ? idle_ms + 1 : 0;
    last = consumed;
    if (consumed == w->r->items || idle_ms > w->timeout_ms) break;
    nanosleep(&(struct timespec){0, 1000000}, NULL);  // polls for progress; orders nothing
  }
  atomic_store(&w->r->stop, true);
  wp_event_count_notify_all(&w->r->event_count);
  return NULL;
}

uint64_t cs_event_count_stress(uint32_t producers, uint32_t consumers, uint64_t items, uint32_t timeout_ms) {
  run *r = (run *)aligned_alloc(WP_CACHE_LINE, (sizeof(run) + WP_CACHE_LINE - 1) / WP_CACHE_LINE * WP_CACHE_LINE);
  wp_waiter *waiters = (wp_waiter *)aligned_alloc(WP_CACHE_LINE, consumers * sizeof(wp_waiter));
  if (r == NULL || waiters == NULL) abort();
  memset((void *)waiters, 0, consumers * sizeof(wp_waiter));
  wp_event_count_init(&r->event_count, waiters);
  r->waiters = waiters;
  r->producers = producers;
  r->items = items;
  atomic_init(&r->tokens, 0);
  atomic_init(&r->consumed, 0);
  atomic_init(&r->produced, 0);
  atomic_init(&r->stop, false);
  watch w = {r, timeout_ms};
  pthread_t watcher;
  if (pthread_create(&watcher, NULL, watch_main, &w) != 0) abort();
  cs_run_threads(producers + consumers, body, r);
  pthread_join(watcher, NULL);
  uint64_t consumed = atomic_load(&r->consumed);
  free(waiters);
  free(r);
  return consumed;
}

uint32_t cs_event_count_throttle(uint32_t calls) {
  wp_event_count *event_count = (wp_event_count *)aligned_alloc(WP_CACHE_LINE, sizeof *event_count);
  wp_waiter *waiters = (wp_waiter *)aligned_alloc(WP_CACHE_LINE, 2 * sizeof(wp_waiter));
  if (event_count == NULL || waiters == NULL) abort();
  memset((void *)waiters, 0, 2 * sizeof(wp_waiter));
  wp_event_count_init(event_count, waiters);
  wp_event_count_prepare(event_count, 0, false);
  uint32_t woken = 0;
  if (!wp_event_count_begin_search(event_count) || wp_event_count_begin_search(event_count)) woken = UINT32_MAX;
  for (uint32_t i = 0; i < calls; i++) woken += wp_event_count_notify_one(event_count) ? 1 : 0;
  // The search over, the next call wakes the waiter, and a further one finds it searching.
  wp_event_count_end_search(event_count);
  if (!wp_event_count_notify_one(event_count) || wp_event_count_notify_one(event_count)) woken = UINT32_MAX;
  if (wp_event_count_wait(event_count, 0) != WP_WAKE_SEARCHING) woken = UINT32_MAX;
  free(waiters);
  free(event_count);
  return woken;
}

typedef struct broadcast broadcast;

struct broadcast {
  wp_event_count event_count;
  uint32_t calls;
  uint32_t sleepers;
  atomic_uint ended;
  atomic_uint most_wakes;
  atomic_bool stop;
};

WP_STATIC_ASSERT(sizeof(broadcast) <= 4 * WP_CACHE_LINE, "there is room for one");

/// Back in the stack as fast as can be. Every second one does not really sleep, and is back while the broadcaster is still in
/// the system call that wakes another.
static void sleep_again(broadcast *self, uint32_t waiter) {
  const wp_atomic_u32 *signal = &self->event_count.waiters[waiter].signal;
  uint32_t wakes = 0;
  for (;; wakes += atomic_load(&self->stop) ? 0 : 1) {
    wp_event_count_prepare(&self->event_count, waiter, false);
    if (atomic_load(&self->stop)) break;
    while (waiter % 2 == 0 && wp_atomic_load(signal, wp_relaxed) == 0) sched_yield();
    wp_event_count_wait(&self->event_count, waiter);
  }
  uint32_t most = atomic_load(&self->most_wakes);
  while (wakes > most && !atomic_compare_exchange_weak(&self->most_wakes, &most, wakes)) continue;
  atomic_fetch_add(&self->ended, 1);
}

static void broadcast_body(void *argument, uint32_t index) {
  broadcast *self = (broadcast *)argument;
  if (index < self->sleepers) {
    sleep_again(self, index);
    return;
  }
  for (uint32_t i = 0; i < self->calls; i++) {
    while (wp_event_count_waiting(&self->event_count) < self->sleepers) sched_yield();
    wp_event_count_notify_all(&self->event_count);
  }
  atomic_store(&self->stop, true);
  while (atomic_load(&self->ended) < self->sleepers) wp_event_count_notify_all(&self->event_count);
}

bool cs_event_count_broadcast(uint32_t sleepers, uint32_t calls) {
  broadcast *self = (broadcast *)aligned_alloc(WP_CACHE_LINE, 4 * WP_CACHE_LINE);
  wp_waiter *waiters = (wp_waiter *)aligned_alloc(WP_CACHE_LINE, sleepers * sizeof(wp_waiter));
  if (self == NULL || waiters == NULL) abort();
  memset((void *)waiters, 0, sleepers * sizeof(wp_waiter));
  memset((void *)self, 0, sizeof *self);
  wp_event_count_init(&self->event_count, waiters);
  self->calls = calls;
  self->sleepers = sleepers;
  cs_run_threads(sleepers + 1, broadcast_body, self);
  bool fair = atomic_load(&self->most_wakes) <= self->calls;
  free(waiters);
  free(self);
  return fair;
}
