#include "wp_host_role.h"

#include "../../platform/wp_futex.h"

bool wp_role_take(wp_process_pool *pool) {
  uint32_t expected = WP_ROLE_FREE;
  return wp_atomic_cas_strong(&pool->role.holder, &expected, WP_ROLE_HELD, wp_acquire, wp_relaxed);  // edge "role"
}

void wp_role_give_up(wp_process_pool *pool) {
  uint32_t before = wp_atomic_exchange(&pool->role.holder, WP_ROLE_FREE, wp_acq_rel);  // edge "role"
  if (before == WP_ROLE_CLAIMED) wp_futex_wake(&pool->role.holder, 1, WP_FUTEX_PRIVATE);
}

void wp_role_take_back(wp_process_pool *pool) {
  while (!wp_role_take(pool)) {
    uint32_t expected = WP_ROLE_HELD;
    wp_atomic_cas_strong(&pool->role.holder, &expected, WP_ROLE_CLAIMED, wp_seq_cst, wp_relaxed);
    wp_role_wake_leader(pool);
    wp_futex_wait(&pool->role.holder, WP_ROLE_CLAIMED, UINT64_MAX, WP_FUTEX_PRIVATE);
  }
}

void wp_role_announce_sleep(wp_process_pool *pool, wp_host_sleeper sleeper) {
  pool->role.sleeps++;
  wp_atomic_store(&pool->memory.head->host_sleeping, pool->role.sleeps << WP_SLEEPER_BITS | sleeper, wp_seq_cst);
}

void wp_role_wake_leader(wp_process_pool *pool) {
  wp_atomic_u32 *sleeper = &pool->memory.head->host_sleeping;
  uint32_t seen = wp_atomic_load(sleeper, wp_seq_cst);
  while ((seen & WP_SLEEPER) == WP_LEADER_SLEEPS) {
    if (!wp_atomic_cas_weak(sleeper, &seen, WP_NOBODY_SLEEPS, wp_seq_cst, wp_seq_cst)) continue;
    wp_event_ring(pool->bells.leader.ring);
    return;
  }
}
