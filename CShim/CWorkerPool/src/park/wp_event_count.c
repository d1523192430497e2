#include "wp_event_count.h"

#include "../platform/wp_futex.h"

#define SIGNAL_IDLE 0u
#define SIGNAL_SLEEPING 1u
#define SIGNAL_WOKEN 2u
#define SIGNAL_BROADCAST 3u

#define TOP_MASK WP_EVENT_COUNT_TOP
#define WAITING_ONE ((uint64_t)1 << 12)
#define WAITING_MASK (TOP_MASK << 12)
#define SEARCHING WP_EVENT_COUNT_SEARCHING
#define FAR WP_EVENT_COUNT_FAR
#define TAG_ONE ((uint64_t)1 << 32)

WP_STATIC_ASSERT(WP_EVENT_COUNT_MAX_WAITERS < TOP_MASK, "an index and its successor fit");

static uint32_t top_index(uint64_t word) { return (uint32_t)(word & TOP_MASK) - 1; }

/// The word with its top replaced (0: nobody) and its tag moved on.
static uint64_t with_top(uint64_t word, uint64_t top_plus_one) {
  return ((word & ~TOP_MASK) | top_plus_one) + TAG_ONE;
}

static uint64_t below_top(wp_event_count *event_count, uint64_t word) {
  // May belong to an older visit to the stack; the tag then makes the caller's CAS fail.
  return wp_atomic_load(&event_count->waiters[top_index(word)].below, wp_relaxed);
}

static void signal_waiter(wp_waiter *waiter, uint32_t signal) {
  // edge WAKE. After this exchange the waiter may run and go: only its address is used below.
  uint32_t before = wp_atomic_exchange(&waiter->signal, signal, wp_release);
  WP_ASSERT(before == SIGNAL_IDLE || before == SIGNAL_SLEEPING);  // I1
  if (before == SIGNAL_SLEEPING) wp_futex_wake(&waiter->signal, 1, WP_FUTEX_PRIVATE);
}

void wp_event_count_init(wp_event_count *event_count, wp_waiter *waiters) {
  wp_atomic_init(&event_count->word, (uint64_t)0);
  event_count->waiters = waiters;
  event_count->farther = NULL;
  event_count->farther_count = 0;
}

void wp_event_count_connect(wp_event_count *event_count, wp_event_count *const *farther, uint32_t count) {
  event_count->farther = farther;
  event_count->farther_count = count;
  wp_atomic_init(&event_count->word, count == 0 ? 0 : FAR);
}

bool wp_event_count_begin_search(wp_event_count *event_count) {
  uint64_t word = wp_atomic_load(&event_count->word, wp_relaxed);
  while ((word & SEARCHING) == 0) {
    if (wp_atomic_cas_weak(&event_count->word, &word, word + SEARCHING, wp_seq_cst, wp_relaxed)) return true;
  }
  return false;
}

void wp_event_count_end_search(wp_event_count *event_count) {
  uint64_t before = wp_atomic_fetch_sub(&event_count->word, SEARCHING, wp_seq_cst);  // edge ANNOUNCE (I2)
  WP_ASSERT((before & SEARCHING) != 0);
  (void)before;
}

/// Puts a waiter on top, and takes `search` off the word: SEARCHING if the waiter was it, else 0.
static void push(wp_event_count *event_count, uint32_t index, uint64_t search) {
  wp_waiter *waiter = &event_count->waiters[index];
  uint64_t word = wp_atomic_load(&event_count->word, wp_relaxed);
  uint64_t next;
  do {
    wp_atomic_store(&waiter->below, (uint32_t)(word & TOP_MASK), wp_relaxed);
    WP_ASSERT((word & TOP_MASK) != (uint64_t)index + 1);  // I1
    next = with_top(word, (uint64_t)index + 1) + WAITING_ONE - search;
    // edge ANNOUNCE; its release half publishes `below` to whoever pops.
  } while (!wp_atomic_cas_weak(&event_count->word, &word, next, wp_seq_cst, wp_relaxed));
}

void wp_event_count_prepare(wp_event_count *event_count, uint32_t index, bool searching) {
  WP_ASSERT(wp_atomic_load(&event_count->waiters[index].signal, wp_relaxed) == SIGNAL_IDLE);
  push(event_count, index, searching ? SEARCHING : 0);
}

bool wp_event_count_retract(wp_event_count *event_count, uint32_t index) {
  uint64_t word = wp_atomic_load(&event_count->word, wp_acquire);
  while ((word & TOP_MASK) == (uint64_t)index + 1) {
    uint64_t next = with_top(word, below_top(event_count, word)) - WAITING_ONE;
    if (wp_atomic_cas_weak(&event_count->word, &word, next, wp_acq_rel, wp_acquire)) return true;
  }
  return false;
}

wp_wake wp_event_count_wait_until(wp_event_count *event_count, uint32_t index, uint64_t deadline_ns) {
  wp_waiter *self = &event_count->waiters[index];
  uint32_t signal = SIGNAL_IDLE;
  if (wp_atomic_cas_strong(&self->signal, &signal, SIGNAL_SLEEPING, wp_acquire, wp_acquire)) {
    bool in_time;
    do {
      in_time = wp_futex_wait(&self->signal, SIGNAL_SLEEPING, deadline_ns, WP_FUTEX_PRIVATE);
      signal = wp_atomic_load(&self->signal, wp_acquire);  // edge WAKE
    } while (signal == SIGNAL_SLEEPING && in_time);
    // Failing says that somebody has popped the waiter after all.
    if (signal == SIGNAL_SLEEPING &&
        wp_atomic_cas_strong(&self->signal, &signal, SIGNAL_IDLE, wp_acquire, wp_acquire)) {  // edge WAKE
      return WP_WAKE_TIMED_OUT;
    }
  }
  wp_atomic_store(&self->signal, SIGNAL_IDLE, wp_relaxed);
  return signal == SIGNAL_WOKEN ? WP_WAKE_SEARCHING : WP_WAKE_BROADCAST;
}

wp_wake wp_event_count_wait(wp_event_count *event_count, uint32_t index) {
  return wp_event_count_wait_until(event_count, index, UINT64_MAX);
}

bool wp_event_count_borrow(wp_event_count *event_count, uint32_t limit, uint32_t *index) {
  uint64_t word = wp_atomic_load(&event_count->word, wp_acquire);
  while ((word & TOP_MASK) != 0 && top_index(word) < limit) {
    uint32_t top = top_index(word);
    // Who is asleep stays so until somebody pops it, and then the CAS fails. Relaxed: it is the CAS that hands over.
    if (wp_atomic_load(&event_count->waiters[top].signal, wp_relaxed) != SIGNAL_SLEEPING) return false;
    uint64_t next = with_top(word, below_top(event_count, word)) - WAITING_ONE;
    if (!wp_atomic_cas_weak(&event_count->word, &word, next, wp_acq_rel, wp_acquire)) continue;  // edge LEND
    *index = top;
    return true;
  }
  return false;
}

uint32_t wp_event_count_waiting(const wp_event_count *event_count) {
  return (uint32_t)((wp_atomic_load(&event_count->word, wp_relaxed) & WAITING_MASK) / WAITING_ONE);
}

uint32_t wp_event_count_peek(const wp_event_count *event_count) {
  return top_index(wp_atomic_load(&event_count->word, wp_relaxed));
}

void wp_event_count_give_back(wp_event_count *event_count, uint32_t index) {
  WP_ASSERT(wp_atomic_load(&event_count->waiters[index].signal, wp_relaxed) == SIGNAL_SLEEPING);
  push(event_count, index, 0);  // edge LEND
}

bool wp_event_count_is_attended(wp_event_count *event_count) {
  return (wp_atomic_load(&event_count->word, wp_seq_cst) & (TOP_MASK | SEARCHING)) != 0;  // edge ANNOUNCE
}

/// Wakes the waiter on top of a word in which nobody searches. False when that has changed: `word` is then as it is now.
static bool pop_and_wake(wp_event_count *event_count, uint64_t *word) {
  uint32_t index = top_index(*word);
  uint64_t next = with_top(*word, below_top(event_count, *word)) - WAITING_ONE + SEARCHING;
  if (!wp_atomic_cas_weak(&event_count->word, word, next, wp_seq_cst, wp_seq_cst)) return false;
  signal_waiter(&event_count->waiters[index], SIGNAL_WOKEN);
  return true;
}

/// Asks the other nodes, by distance, until one has somebody who waits or searches.
__attribute__((cold, noinline)) static bool notify_farther(wp_event_count *event_count) {
  for (uint32_t i = 0; i < event_count->farther_count; i++) {
    wp_event_count *other = event_count->farther[i];
    uint64_t word = wp_atomic_load(&other->word, wp_seq_cst);  // edge ANNOUNCE
    while ((word & TOP_MASK) != 0 && (word & SEARCHING) == 0) {
      if (pop_and_wake(other, &word)) return true;
    }
    if ((word & SEARCHING) != 0) return false;
  }
  return false;
}

bool wp_event_count_notify_seen(wp_event_count *event_count, uint64_t word) {
  do {
    if ((word & TOP_MASK) == 0) return notify_farther(event_count);
    if (pop_and_wake(event_count, &word)) return true;
  } while (!wp_event_count_is_quiet(word));
  return false;
}

bool wp_event_count_notify_expendable(wp_event_count *event_count) {
  uint64_t word = wp_atomic_load(&event_count->word, wp_acquire);
  while ((word & TOP_MASK) != 0) {
    uint32_t top = top_index(word);
    if (wp_atomic_load(&event_count->waiters[top].expendable, wp_relaxed) == 0) return false;
    uint64_t next = with_top(word, below_top(event_count, word)) - WAITING_ONE;
    if (!wp_atomic_cas_weak(&event_count->word, &word, next, wp_acq_rel, wp_acquire)) continue;
    signal_waiter(&event_count->waiters[top], SIGNAL_BROADCAST);
    return true;
  }
  return false;
}

void wp_event_count_notify_all(wp_event_count *event_count) {
  uint64_t word = wp_atomic_load(&event_count->word, wp_seq_cst);  // edge ANNOUNCE
  // The whole stack at once. One by one there might be no end: who was woken and found nothing is soon back on top.
  do {
    if ((word & TOP_MASK) == 0) return;
  } while (!wp_atomic_cas_weak(&event_count->word, &word, with_top(word & ~WAITING_MASK, 0), wp_seq_cst, wp_seq_cst));
  for (uint64_t top = word & TOP_MASK; top != 0;) {
    wp_waiter *waiter = &event_count->waiters[top - 1];
    top = wp_atomic_load(&waiter->below, wp_relaxed);  // before it may stand in the stack again
    signal_waiter(waiter, SIGNAL_BROADCAST);
  }
}
