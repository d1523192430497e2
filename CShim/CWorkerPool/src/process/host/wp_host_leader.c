// Leaders: threads that wait for one of the pool's tasks, and collect while it lasts.
//
// A result that goes through a third thread costs a second wake-up, and on a small machine three threads that spin for
// each other on two CPUs cost more than the task. So a thread that blocks in `result()` takes the collector role if it
// is free, and gives it back when its own task has ended. (Leader/Followers: Schmidt, O'Ryan, Kircher, Pyarali, PLoP
// 2000.) Such a *leader* moves results and sends tasks; processes, deadlines and users' callbacks stay with the
// collector's thread, since a callback may want a lock that the waiting thread holds.
//
// Rejected: every waiter reads its own slot (slots are freed in order, and all waiters would fight for the lock); the
// role goes from a leaving leader to another waiting thread (a list of them, for a case that the collector's thread
// handles well).
#include "wp_host_state.h"

#include "../../park/wp_wait_spin.h"
#include "../../platform/wp_clock.h"
#include "../../platform/wp_event.h"
#include "wp_host_bell.h"
#include "wp_host_collect.h"
#include "wp_host_role.h"

#define WP_LOOKS_PER_CLOCK 16

typedef struct wp_awaited {
  const wp_atomic_u32 *word;
  uint32_t mask;
} wp_awaited;

static bool has_come(const wp_awaited *awaited) {
  return (wp_atomic_load(awaited->word, wp_acquire) & awaited->mask) != 0;
}

/// Spins until the role is ours or until what we wait for has come; true with the role.
static bool spin_for_role(wp_process_pool *pool, const wp_awaited *awaited, uint64_t end) {
  if (wp_role_take(pool)) return true;
  do {
    for (int i = 0; i < WP_LOOKS_PER_CLOCK; i++) {
      wp_cpu_relax();
      if (has_come(awaited)) return false;
    }
    if (wp_role_take(pool)) return true;
    wp_atomic_store(&pool->role.leader_waits, 1u, wp_relaxed);  // a collector that spins lets go
  } while (wp_clock_now() < end);
  return false;
}

/// Leads until what we wait for has come, the collector wants the role, or, with `end`, the time is up.
static void spin_leading(wp_process_pool *pool, const wp_awaited *awaited, uint64_t end) {
  do {
    for (int i = 0; i < WP_LOOKS_PER_CLOCK; i++) {
      if (has_come(awaited) || wp_atomic_load(&pool->role.holder, wp_relaxed) == WP_ROLE_CLAIMED) return;
      if (wp_collect_has_news(pool) && !wp_collect_results(pool)) return;
      wp_cpu_relax();
    }
  } while (wp_clock_now() < end);
}

/// Under the lock, because `wp_process_pool_wake` is: a future that it speaks for is either seen to be done after
/// this, or finds us announced.
static void announce_sleep(wp_process_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  wp_role_announce_sleep(pool, WP_LEADER_SLEEPS);
  pthread_mutex_unlock(&pool->lock);
}

/// Leads as long as results come and sleeps between them.
static void sleep_leading(wp_process_pool *pool, const wp_awaited *awaited, uint64_t deadline) {
  wp_atomic_u32 *sleeper = &pool->memory.head->host_sleeping;
  bool in_time = true;
  while (in_time && !has_come(awaited) && wp_atomic_load(&pool->role.holder, wp_seq_cst) != WP_ROLE_CLAIMED) {
    if (wp_collect_has_news(pool)) {
      if (!wp_collect_results(pool)) return;
      continue;
    }
    announce_sleep(pool);
    bool idle = !wp_collect_has_news(pool) && wp_atomic_load(&pool->role.holder, wp_seq_cst) != WP_ROLE_CLAIMED;
    if (idle && !has_come(awaited)) {
      uint64_t start = wp_clock_now();
      wp_event_wait(pool->bells.leader.hear, deadline);
      uint64_t end = wp_clock_now();
      wp_wait_slept(end - start);
      in_time = end < deadline;
    }
    wp_atomic_store(sleeper, (uint32_t)WP_NOBODY_SLEEPS, wp_seq_cst);
  }
}

/// Ends a leader's turn: settles its last batch and hands the pool over without losing a result.
static void leave(wp_process_pool *pool) {
  wp_collect_settle(pool);
  wp_role_announce_sleep(pool, WP_COLLECTOR_SLEEPS);
  if (wp_collect_has_news(pool)) wp_bell_collector(pool);
  wp_role_give_up(pool);
}

void wp_process_pool_spin(wp_process_pool *pool, const void *word, uint32_t mask) {
  wp_awaited awaited = {(const wp_atomic_u32 *)word, mask};
  if (wp_forked_from(pool) || has_come(&awaited)) return;
  uint64_t budget = wp_wait_spin_begin();
  if (budget == 0) return;
  uint64_t end = wp_clock_now() + budget;
  if (spin_for_role(pool, &awaited, end)) {
    wp_atomic_store(&pool->memory.head->host_sleeping, (uint32_t)WP_NOBODY_SLEEPS, wp_seq_cst);
    spin_leading(pool, &awaited, end);
    leave(pool);
  }
  wp_wait_spin_end(has_come(&awaited));
}

void wp_process_pool_sleep(wp_process_pool *pool, const void *word, uint32_t mask, uint64_t deadline_ns) {
  wp_awaited awaited = {(const wp_atomic_u32 *)word, mask};
  if (wp_forked_from(pool) || has_come(&awaited) || !wp_role_take(pool)) return;
  sleep_leading(pool, &awaited, deadline_ns);
  leave(pool);
}

void wp_process_pool_wake(wp_process_pool *pool) {
  if (wp_forked_from(pool)) return;
  pthread_mutex_lock(&pool->lock);
  if (pool->memory.head != NULL) wp_role_wake_leader(pool);
  pthread_mutex_unlock(&pool->lock);
}

void wp_process_pool_call(wp_process_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  wp_atomic_store(&pool->bells.call_due, 1u, wp_relaxed);
  wp_bell_collector(pool);
  pthread_mutex_unlock(&pool->lock);
}
