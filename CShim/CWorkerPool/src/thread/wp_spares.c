// Spare workers: what keeps nested blocking from deadlocking.
//
// Purpose. A job that blocks on another job takes a worker out of the pool. If that goes on until none is left, the
// job that would end all the waiting is never begun. So whoever is about to block says so, and a spare takes its
// place: the number of workers that are not blocked never falls below the pool's size while spares last, and never to
// zero without an error.
//
//   a slot:  EMPTY ──start──▶ ACTIVE ──step down──▶ BENCHED ──call up──▶ ACTIVE
//              ▲                │ (pool closed,        │ (BENCH_SECONDS without need, or pool closed)
//              │                ▼  nothing left)       ▼
//              └──thread ends── ACTIVE or ────────── ENDING
//
// Invariants, under `lock`:
//   S1  blocked <= active, unless the limit was reached or a thread could not be started.
//   S2  A spare leaves the active ones only while active > blocked.
// Both hold for the pool, which no deadlock hangs on, and as far as there are spares for each of its nodes: one of
// another node would look for work there first, and take that node's away from where its data is. If the pool has more
// active than blocked ones then so has a node, whose spares may leave.
// Blocking costs microseconds anyway, so all of this stands under one mutex; the fields that every worker looks at
// between jobs are atomics.
//
// Edge SLOT: a slot is initialised, then `used` is released; thieves acquire `used` before they look at slots. Both are
// sequentially consistent, since who looks for work before it sleeps must not miss a new slot's deque either.
//
// Sources. D. Lea, "A Java fork/join framework" (2000) and ForkJoinPool's compensation; the managed-blocker idea is
// his. Rejected: running another job on top of the blocked one (it may wait for something below it on the same stack,
// and an acyclic program hangs).

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wp_worker.h"

#include "../platform/wp_clock.h"
#include "../platform/wp_futex.h"
#include "../platform/wp_thread.h"

#define BENCH_SECONDS 5u

typedef enum wp_slot_state { SLOT_EMPTY = 0, SLOT_ACTIVE, SLOT_BENCHED, SLOT_ENDING } wp_slot_state;

// Where a benched spare sleeps. `signal` counts calls; `state` stands under `lock`.
typedef struct wp_bench {
  wp_atomic_u32 signal;
  wp_slot_state state;
} wp_bench;

static bool has_surplus(wp_spare_counters *counters) {
  return wp_atomic_load(&counters->active, wp_relaxed) > wp_atomic_load(&counters->blocked, wp_relaxed);
}

/// Whether one more blocked worker would be more than there are spares for.
static bool is_short(wp_spare_counters *counters) {
  return wp_atomic_load(&counters->active, wp_relaxed) <= wp_atomic_load(&counters->blocked, wp_relaxed);
}

/// Whether a spare is one too many.
static bool is_in_surplus(wp_worker *spare) {
  return has_surplus(&spare->pool->spares.all) && has_surplus(&spare->pool->nodes[spare->node].spares);
}

// For fields that are written under the lock alone.
static void add(wp_atomic_u32 *counter, int delta) {
  wp_atomic_store(counter, wp_atomic_load(counter, wp_relaxed) + (uint32_t)delta, wp_relaxed);
}

static void count_active(wp_worker *spare, int delta) {
  add(&spare->pool->spares.all.active, delta);
  add(&spare->pool->nodes[spare->node].spares.active, delta);
}

static void count_blocked(wp_worker *worker, int delta) {
  add(&worker->pool->spares.all.blocked, delta);
  add(&worker->pool->nodes[worker->node].spares.blocked, delta);
}

bool wp_spares_init(wp_thread_pool *pool, uint32_t limit) {
  wp_spares *spares = &pool->spares;
  pthread_mutex_init(&spares->lock, NULL);
  pthread_cond_init(&spares->ended, NULL);
  spares->limit = limit;
  if (limit == 0) return true;
  spares->slots = (wp_worker *)aligned_alloc(WP_CACHE_LINE, limit * sizeof(wp_worker));
  spares->benches = (wp_bench *)calloc(limit, sizeof(wp_bench));
  return spares->slots != NULL && spares->benches != NULL;
}

void wp_spares_destroy(wp_thread_pool *pool) {
  wp_spares *spares = &pool->spares;
  uint32_t used = wp_atomic_load(&spares->used, wp_relaxed);
  for (uint32_t i = 0; i < used; i++) wp_worker_destroy(&spares->slots[i]);
  free(spares->slots);
  free(spares->benches);
  pthread_cond_destroy(&spares->ended);
  pthread_mutex_destroy(&spares->lock);
}

// MARK: Calling up, under the lock

/// A slot without a thread, initialised, of the node if there is one; UINT32_MAX when all are taken or memory is.
static uint32_t empty_slot(wp_thread_pool *pool, uint32_t node) {
  wp_spares *spares = &pool->spares;
  uint32_t used = wp_atomic_load(&spares->used, wp_relaxed);
  uint32_t of_another = UINT32_MAX;
  for (uint32_t i = 0; i < used; i++) {
    if (spares->benches[i].state != SLOT_EMPTY) continue;
    if (spares->slots[i].node == node) return i;
    of_another = i;
  }
  if (used == spares->limit) return of_another;
  wp_worker *worker = &spares->slots[used];
  memset((void *)worker, 0, sizeof *worker);
  if (!wp_worker_init(worker, pool, node, pool->roster.capacity + used)) return of_another;
  worker->is_spare = true;
  wp_atomic_init(&worker->may_leave, 1u);
  wp_worker_number(worker, WP_THREAD_POOL_FIRST_SPARE + used);
  wp_atomic_store(&spares->used, used + 1, wp_seq_cst);  // edges SLOT and ANNOUNCE
  return used;
}

static wp_status start_spare(wp_thread_pool *pool, uint32_t node) {
  wp_spares *spares = &pool->spares;
  uint32_t slot = empty_slot(pool, node);
  if (slot == UINT32_MAX) return WP_WOULD_DEADLOCK;
  wp_worker *worker = &spares->slots[slot];
  wp_atomic_fetch_add(&pool->references, 1, wp_relaxed);
  // It inherits the mask of the caller, whose place it takes.
  wp_thread_attributes attributes = {pool->stack_size, -1};
  wp_status status = wp_thread_start(&worker->thread, &attributes, wp_worker_main, worker, NULL);
  if (status != WP_OK) {
    wp_atomic_fetch_sub(&pool->references, 1, wp_relaxed);
    return status;
  }
  pthread_detach(worker->thread);
  spares->benches[slot].state = SLOT_ACTIVE;
  spares->live++;
  count_active(worker, 1);
  return WP_OK;
}

static void wake_benched(wp_spares *spares, uint32_t slot, wp_slot_state state) {
  spares->benches[slot].state = state;
  wp_atomic_fetch_add(&spares->benches[slot].signal, 1, wp_release);
  wp_futex_wake(&spares->benches[slot].signal, 1, WP_FUTEX_PRIVATE);
}

/// WP_NO_NODE: of any node.
static bool call_up_benched(wp_spares *spares, uint32_t node) {
  uint32_t used = wp_atomic_load(&spares->used, wp_relaxed);
  for (uint32_t i = 0; i < used; i++) {
    wp_worker *spare = &spares->slots[i];
    if (spares->benches[i].state != SLOT_BENCHED || (node != WP_NO_NODE && spare->node != node)) continue;
    wake_benched(spares, i, SLOT_ACTIVE);
    count_active(spare, 1);
    return true;
  }
  return false;
}

static wp_status call_up(wp_thread_pool *pool, uint32_t node) {
  wp_spares *spares = &pool->spares;
  if (call_up_benched(spares, node)) return WP_OK;
  wp_status status = start_spare(pool, node);
  return status != WP_OK && is_short(&spares->all) && call_up_benched(spares, WP_NO_NODE) ? WP_OK : status;
}

// MARK: Blocking

wp_status wp_thread_pool_block_begin(void) {
  wp_worker *self = wp_worker_current();
  if (self == NULL) return WP_OK;
  wp_thread_pool *pool = self->pool;
  wp_spares *spares = &pool->spares;
  pthread_mutex_lock(&spares->lock);
  wp_status status = WP_OK;
  if (is_short(&spares->all) || is_short(&pool->nodes[self->node].spares)) {
    status = call_up(pool, self->node);
    uint32_t blocked = wp_atomic_load(&spares->all.blocked, wp_relaxed) + 1;
    uint32_t active = wp_atomic_load(&spares->all.active, wp_relaxed);
    // Fewer than wanted, but somebody still runs: what the caller waits for can come about.
    if (wp_atomic_load(&pool->worker_count, wp_relaxed) + active > blocked) status = WP_OK;
  }
  if (status == WP_OK) count_blocked(self, 1);
  pthread_mutex_unlock(&spares->lock);
  return status;
}

void wp_thread_pool_block_end(void) {
  wp_worker *self = wp_worker_current();
  if (self == NULL) return;
  wp_spares *spares = &self->pool->spares;
  pthread_mutex_lock(&spares->lock);
  count_blocked(self, -1);
  bool recovered = wp_atomic_load(&spares->all.blocked, wp_relaxed) == 0 && has_surplus(&spares->all);
  pthread_mutex_unlock(&spares->lock);
  // Spares that sleep for want of work do not look at the counters: once nobody blocks, let them step down.
  if (recovered) wp_thread_pool_wake_all(self->pool);
}

// MARK: The spare's side

/// Sleeps on the bench. True when called up, false when the thread should end. Called with the lock held, returns
/// with it held.
static bool sit_on_bench(wp_spares *spares, uint32_t slot) {
  wp_bench *bench = &spares->benches[slot];
  bench->state = SLOT_BENCHED;
  uint64_t deadline = wp_clock_now() + BENCH_SECONDS * (uint64_t)1000000000u;
  bool in_time = true;
  while (bench->state == SLOT_BENCHED && in_time) {
    uint32_t signal = wp_atomic_load(&bench->signal, wp_acquire);
    pthread_mutex_unlock(&spares->lock);
    in_time = wp_futex_wait(&bench->signal, signal, deadline, WP_FUTEX_PRIVATE);
    pthread_mutex_lock(&spares->lock);
  }
  if (bench->state == SLOT_BENCHED) bench->state = SLOT_ENDING;
  return bench->state == SLOT_ACTIVE;
}

bool wp_spares_step_down(wp_worker *spare) {
  wp_thread_pool *pool = spare->pool;
  wp_spares *spares = &pool->spares;
  if (!is_in_surplus(spare)) return false;
  // What is left in its deque belongs to the others, who may all be asleep.
  if (!wp_deque_is_empty(&spare->deque)) wp_event_count_notify_one(spare->event_count);
  pthread_mutex_lock(&spares->lock);
  bool called_up = true;
  // In a closed pool it goes on like any worker, until nothing is left: nobody else might be there for its deque.
  if (is_in_surplus(spare) && wp_atomic_load(&pool->closed, wp_seq_cst) == 0) {  // S2
    count_active(spare, -1);
    called_up = sit_on_bench(spares, (uint32_t)(spare - spares->slots));
  }
  pthread_mutex_unlock(&spares->lock);
  return !called_up;
}

void wp_spares_end(wp_worker *spare) {
  wp_thread_pool *pool = spare->pool;
  wp_spares *spares = &pool->spares;
  pthread_mutex_lock(&spares->lock);
  wp_bench *bench = &spares->benches[spare - spares->slots];
  if (bench->state == SLOT_ACTIVE) count_active(spare, -1);
  bench->state = SLOT_EMPTY;
  spares->live--;
  if (spares->live == 0) pthread_cond_broadcast(&spares->ended);
  pthread_mutex_unlock(&spares->lock);
}

// MARK: The pool's end

void wp_spares_close(wp_thread_pool *pool) {
  wp_spares *spares = &pool->spares;
  pthread_mutex_lock(&spares->lock);
  uint32_t used = wp_atomic_load(&spares->used, wp_relaxed);
  for (uint32_t i = 0; i < used; i++) {
    if (spares->benches[i].state == SLOT_BENCHED) wake_benched(spares, i, SLOT_ENDING);
  }
  pthread_mutex_unlock(&spares->lock);
}

void wp_spares_join(wp_thread_pool *pool) {
  wp_spares *spares = &pool->spares;
  pthread_mutex_lock(&spares->lock);
  while (spares->live > 0) pthread_cond_wait(&spares->ended, &spares->lock);
  pthread_mutex_unlock(&spares->lock);
}
