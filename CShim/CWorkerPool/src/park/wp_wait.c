#include "wp_wait.h"

#include "wp_topology.h"
#include "wp_wait_spin.h"

#include <limits.h>

#include "../base/wp_assert.h"
#include "../base/wp_atomic.h"
#include "../platform/wp_clock.h"
#include "../platform/wp_futex.h"

#define PAUSES_PER_LOOK 4
#define LOOKS_PER_CLOCK 16

// How long this thread spins at most before it sleeps. A spin in vain takes a CPU from whoever would end it (on a small
// machine the very worker that is waited for), so each one halves the budget; one that paid, or a sleep that turns out
// to have been short, restores it. (Karlin et al., "Empirical studies of competitive spinning", SOSP 1991.)
//
// Two threads that hand work to and fro can get stuck in sleeping: each then has to be woken, which takes longer than
// the other spins, however short the work. So now and then a spin is long enough for a wake-up, which is all it takes
// for both to meet again.
static WP_THREAD_LOCAL uint64_t spin_budget_ns = UINT64_MAX;
static WP_THREAD_LOCAL uint32_t vain_spins;
#define LEAST_SPIN_NS 1000u
#define VAIN_SPINS_PER_LONG_ONE 32u
#define LONG_SPIN_FACTOR 5u

// Any thread; a hint, so relaxed.
static wp_atomic_u64 wait_spin_ns = WP_SPIN_DEFAULT_NS;

void wp_set_wait_spin(uint64_t spin_ns) {
  uint64_t limit = spin_ns == 0 ? WP_SPIN_DEFAULT_NS : spin_ns == WP_SPIN_NEVER ? 0 : spin_ns;
  wp_atomic_store(&wait_spin_ns, limit, wp_relaxed);
}

uint64_t wp_get_wait_spin(void) { return wp_atomic_load(&wait_spin_ns, wp_relaxed); }

uint64_t wp_monotonic_now(void) { return wp_clock_now(); }

// The word belongs to a layer whose compiler has its own type for it, with the same representation.
static wp_atomic_u32 *as_atomic(const void *word) { return (wp_atomic_u32 *)(uintptr_t)word; }

/// Whether another CPU can run whom we wait for. Asked of the system once; 0 is "not asked yet".
static bool has_company(void) {
  static wp_atomic_u32 granted;
  uint32_t count = wp_atomic_load(&granted, wp_relaxed);
  if (count == 0) {
    wp_topology *topology = NULL;
    count = 1;
    if (wp_topology_create(NULL, &topology, NULL) == WP_OK) count = (uint32_t)wp_topology_granted(topology);
    wp_topology_destroy(topology);
    wp_atomic_store(&granted, count, wp_relaxed);
  }
  return count > 1;
}

/// Looks at the word for `spin_ns`; returns the last value.
static uint32_t spin(wp_atomic_u32 *word, uint32_t mask, uint64_t spin_ns) {
  uint32_t value;
  uint64_t deadline = wp_clock_now() + spin_ns;
  do {
    for (int look = 0; look < LOOKS_PER_CLOCK; look++) {
      for (int i = 0; i < PAUSES_PER_LOOK; i++) wp_cpu_relax();
      value = wp_atomic_load(word, wp_acquire);
      if ((value & mask) != 0) return value;
    }
  } while (wp_clock_now() < deadline);
  return value;
}

static bool spins_long_now(void) { return vain_spins == VAIN_SPINS_PER_LONG_ONE; }

uint64_t wp_wait_spin_begin(void) {
  uint64_t limit = wp_get_wait_spin();
  if (limit == 0 || !has_company()) return 0;
  if (spin_budget_ns > limit) spin_budget_ns = limit;
  return spins_long_now() ? LONG_SPIN_FACTOR * limit : spin_budget_ns;
}

void wp_wait_spin_end(bool paid) {
  if (paid) {
    spin_budget_ns = UINT64_MAX;
    vain_spins = 0;
    return;
  }
  if (spin_budget_ns > LEAST_SPIN_NS) spin_budget_ns /= 2;
  vain_spins = spins_long_now() ? 0 : vain_spins + 1;
}

void wp_wait_slept(uint64_t slept_ns) {
  // Twice the limit: the wake-up is part of the sleep.
  if (slept_ns < 2 * wp_get_wait_spin()) spin_budget_ns = UINT64_MAX;
}

uint32_t wp_word_spin(const void *word, uint32_t mask, uint64_t spin_ns) {
  wp_atomic_u32 *atomic = as_atomic(word);
  uint32_t value = wp_atomic_load(atomic, wp_acquire);
  if ((value & mask) != 0 || spin_ns == WP_SPIN_NEVER) return value;
  if (spin_ns != 0) return has_company() ? spin(atomic, mask, spin_ns) : value;
  uint64_t allowed = wp_wait_spin_begin();
  if (allowed == 0) return value;
  value = spin(atomic, mask, allowed);
  wp_wait_spin_end((value & mask) != 0);
  return value;
}

bool wp_word_wait(const void *word, uint32_t expected, uint64_t deadline_ns) {
  uint64_t start = wp_clock_now();
  bool in_time = wp_futex_wait(as_atomic(word), expected, deadline_ns, WP_FUTEX_PRIVATE);
  wp_wait_slept(wp_clock_now() - start);
  return in_time;
}

void wp_word_wake_all(const void *word) { wp_futex_wake(as_atomic(word), INT_MAX, WP_FUTEX_PRIVATE); }
