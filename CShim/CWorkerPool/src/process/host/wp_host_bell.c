#include "wp_host_bell.h"

#include "../../platform/wp_futex.h"

void wp_bell_wake_all(wp_wakes *wakes) {
  for (uint32_t i = 0; i < wakes->count; i++) wp_futex_wake(wakes->words[i], 1, WP_FUTEX_SHARED);
  wakes->count = 0;
}

void wp_bell_worker(wp_host_worker *worker, bool leave, wp_wakes *wakes) {
  // Dekker with the worker's store to `sleeping` and its load of the word.
  wp_atomic_store(&wp_channel_get_signal(&worker->channel)->word,
                  wp_signal_of(worker->published, worker->cell_calls, leave || worker->leaving), wp_seq_cst);
  wp_atomic_u32 *sleeping = &wp_channel_get_status(&worker->channel)->sleeping;
  if (wp_atomic_load(sleeping, wp_seq_cst) == 0) return;
  // The thread that turns it to 0 ends the sleep. Nobody else has to, until the worker falls asleep anew.
  if (wp_atomic_exchange(sleeping, 0u, wp_relaxed) == 0) return;
  if (wakes->count == WP_BATCH) wp_bell_wake_all(wakes);
  wakes->words[wakes->count++] = sleeping;
}

void wp_bell_collector(wp_process_pool *pool) {
  if (pool->bells.collector.ring < 0) return;
  wp_atomic_store(&pool->bells.attention, 1u, wp_release);
  wp_event_ring(pool->bells.collector.ring);
}

void wp_bell_look_by(wp_process_pool *pool, uint64_t time) {
  // Dekker with the collector thread's store to `bells.asleep` and its load in `wp_bell_deadline`, all seq_cst.
  if (time >= wp_atomic_load(&pool->bells.look_ns, wp_relaxed)) return;
  wp_atomic_store(&pool->bells.look_ns, time, wp_seq_cst);
  if (wp_atomic_load(&pool->bells.asleep, wp_seq_cst) != 0) wp_bell_collector(pool);
}

uint64_t wp_bell_deadline(const wp_process_pool *pool) { return wp_atomic_load(&pool->bells.look_ns, wp_seq_cst); }
