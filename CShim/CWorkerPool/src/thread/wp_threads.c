#include "wp_threads.h"

#include "wp_node.h"

#include "../platform/wp_futex.h"
#include "../platform/wp_thread.h"

void wp_threads_init(wp_thread_pool *pool) {
  pthread_mutex_init(&pool->threads.lock, NULL);
  pthread_cond_init(&pool->threads.ended, NULL);
}

void wp_threads_destroy(wp_thread_pool *pool) {
  pthread_cond_destroy(&pool->threads.ended);
  pthread_mutex_destroy(&pool->threads.lock);
}

void wp_threads_unreference(wp_thread_pool *pool) {
  // Release what this thread did with the pool, acquire what all others did.
  if (wp_atomic_fetch_sub(&pool->references, 1, wp_acq_rel) == 1) pool->free(pool);
}

// MARK: Counting

// For fields that are written under the lock alone.
static void add(wp_atomic_u32 *counter, uint32_t delta) {
  wp_atomic_store(counter, wp_atomic_load(counter, wp_relaxed) + delta, wp_relaxed);
}

static bool is_present(uint8_t life) { return life == WP_WORKER_STAYS || life == WP_WORKER_LEAVES; }

static void count_life(wp_thread_counts *counts, uint8_t life, uint32_t delta) {
  if (is_present(life)) add(&counts->threads, delta);
  if (life == WP_WORKER_STAYS) add(&counts->wanted, delta);
}

void wp_threads_set_life(wp_worker *worker, wp_worker_life life) {
  wp_thread_pool *pool = worker->pool;
  wp_thread_counts *of_node = &wp_node_of(worker)->counts;
  count_life(&pool->threads.counts, worker->life, UINT32_MAX);
  count_life(of_node, worker->life, UINT32_MAX);
  if (worker->is_spare) {
    pool->threads.ending_spares += (life == WP_WORKER_ENDING ? 1u : 0u) - (worker->life == WP_WORKER_ENDING ? 1u : 0u);
  }
  worker->life = (uint8_t)life;
  count_life(&pool->threads.counts, worker->life, 1);
  count_life(of_node, worker->life, 1);
  uint32_t may_leave = life == WP_WORKER_LEAVES ? 1 : 0;
  wp_atomic_store(&worker->may_leave, may_leave, wp_seq_cst);
  wp_atomic_store(&pool->waiters[worker->waiter].expendable, may_leave, wp_relaxed);
}

bool wp_threads_have_surplus(const wp_worker *worker) {
  return wp_thread_counts_have_surplus(&worker->pool->threads.counts) &&
         wp_thread_counts_have_surplus(&wp_node_of(worker)->counts);
}

bool wp_threads_need_one_more(wp_thread_pool *pool, uint32_t node) {
  const wp_thread_counts *counts = &pool->threads.counts;
  bool is_short = wp_thread_counts_are_short(counts) || wp_thread_counts_are_short(&pool->nodes[node].counts);
  if (!wp_pool_is_draining(pool)) return is_short;
  // Workers end there, and are not wanted any more. Jobs come from those that run, who ask when they block.
  return (is_short || wp_thread_counts_are_all_blocked(counts)) && wp_pool_find_work(pool, node) != WP_NO_NODE;
}

// MARK: Starting

wp_status wp_threads_start(wp_worker *worker, wp_worker_life life, wp_error *error) {
  wp_thread_pool *pool = worker->pool;
  wp_thread_attributes attributes = {pool->stack_size, worker->cpu, &pool->signal_mask};
  // Before the thread, which may look at it.
  wp_threads_set_life(worker, life);
  wp_atomic_fetch_add(&pool->references, 1, wp_relaxed);
  pool->threads.live++;
  pthread_t thread;
  wp_status status = wp_thread_start(&thread, &attributes, pool->worker_main, worker, error);
  if (status == WP_OK) return WP_OK;
  pool->threads.live--;
  wp_atomic_fetch_sub(&pool->references, 1, wp_relaxed);
  wp_threads_set_life(worker, WP_WORKER_ABSENT);
  return status;
}

// MARK: Leaving

static bool is_open(wp_thread_pool *pool) { return (wp_pool_life(pool) & WP_POOL_DRAINING) == 0; }

bool wp_threads_leave(wp_worker *worker) {
  wp_thread_pool *pool = worker->pool;
  pthread_mutex_lock(&pool->threads.lock);
  // In a draining pool it goes on like any worker, until nothing is left: nobody else might be there for its deque.
  bool leaves = worker->life == WP_WORKER_LEAVES && wp_threads_have_surplus(worker) && is_open(pool);
  if (leaves) wp_threads_set_life(worker, WP_WORKER_ENDING);
  pthread_mutex_unlock(&pool->threads.lock);
  // What is left in its deque belongs to the others, who may all be asleep.
  if (leaves && !wp_deque_is_empty(&worker->deque)) wp_event_count_notify_one(worker->event_count);
  return leaves;
}

bool wp_threads_linger(wp_worker *worker) {
  wp_thread_pool *pool = worker->pool;
  pthread_mutex_lock(&pool->threads.lock);
  // Whoever closes the pool wakes all.
  bool lingers = worker->life != WP_WORKER_LEAVES || !wp_threads_have_surplus(worker) || !is_open(pool);
  if (lingers) pool->threads.lingering++;
  pthread_mutex_unlock(&pool->threads.lock);
  return lingers;
}

void wp_threads_end_lingering(wp_worker *worker) {
  pthread_mutex_lock(&worker->pool->threads.lock);
  worker->pool->threads.lingering--;
  pthread_mutex_unlock(&worker->pool->threads.lock);
}

void wp_threads_wake_surplus(wp_worker *self) {
  wp_thread_pool *pool = self->pool;
  if (wp_event_count_notify_expendable(self->event_count)) return;
  // One that may leave stands below others, or on another node. It sleeps so for seconds already: this comes seldom.
  pthread_mutex_lock(&pool->threads.lock);
  bool any = pool->threads.lingering > 0;
  pthread_mutex_unlock(&pool->threads.lock);
  if (any) wp_pool_wake_all(pool);
}

// MARK: Deadlock

bool wp_threads_does_one_go_on(const wp_thread_pool *pool) {
  // At its end it looks whether it is needed (wp_threads_end).
  if (pool->threads.ending_spares != 0) return true;
  for (const wp_blocking_state *wait = pool->threads.oldest_wait; wait != NULL; wait = wait->newer) {
    if (wait->worker->blocking == wait && wait->goes_on(wait->awaited)) return true;
  }
  return false;
}

bool wp_threads_are_deadlocked(wp_thread_pool *pool) {
  wp_threads *threads = &pool->threads;
  uint32_t present = wp_atomic_load(&threads->counts.threads, wp_relaxed);
  uint32_t nearly = present != 0 && threads->blocked_for_pool == present ? 1 : 0;
  wp_atomic_store(&threads->nearly_deadlocked, nearly, wp_seq_cst);  // edge ASLEEP
  return nearly != 0 && !wp_threads_does_one_go_on(pool);
}

static wp_blocking_state *find_refusable(const wp_threads *threads) {
  wp_blocking_state *wait = threads->oldest_wait;
  while (wait != NULL && !(wait->is_for_pool && wait->can_be_refused)) wait = wait->newer;
  return wait;
}

void wp_threads_resolve_deadlock(wp_thread_pool *pool) {
  wp_threads *threads = &pool->threads;
  if (!wp_threads_are_deadlocked(pool)) return;
  wp_blocking_state *blocking = find_refusable(threads);
  if (blocking == NULL) return;
  // From here on it does not wait for the pool any more. Its memory lives until it has taken the lock.
  blocking->is_for_pool = false;
  blocking->worker->is_blocked_for_pool = false;
  threads->blocked_for_pool--;
  uint32_t word = WP_BLOCKING_OPEN;
  if (wp_atomic_cas_strong(&blocking->word, &word, WP_BLOCKING_IS_REFUSED, wp_release, wp_relaxed)) return;  // edge WAKE
  if (word != WP_BLOCKING_AWAITED) return;
  if (wp_atomic_cas_strong(&blocking->word, &word, WP_BLOCKING_IS_REFUSED, wp_release, wp_relaxed)) {  // edge WAKE
    wp_futex_wake(&blocking->word, 1, WP_FUTEX_PRIVATE);
  }
}

// MARK: Ending

/// The pool whose next thread, or shutdown, joins the calling thread, which has come to its end there.
static WP_THREAD_LOCAL const wp_thread_pool *joined_by;

bool wp_threads_is_joined_by(const wp_thread_pool *pool) { return joined_by == pool; }

/// Requires: lock. Counts the calling thread out, which is to join `*before` if this returns true.
static bool count_out(wp_thread_pool *pool, pthread_t *before) {
  wp_threads *threads = &pool->threads;
  bool has_before = threads->has_last;
  *before = threads->last;
  threads->live--;
  bool is_last_of_all = threads->live == 0 && !is_open(pool);
  // Nobody waits for the end of a thread of an open pool.
  threads->has_last = !is_open(pool) && !(is_last_of_all && threads->abandoned);
  threads->last = pthread_self();
  if (threads->has_last) {
    joined_by = pool;
  } else {
    pthread_detach(pthread_self());
  }
  if (is_last_of_all) {
    wp_atomic_fetch_or(&pool->life, WP_POOL_ENDED, wp_seq_cst);
    pthread_cond_broadcast(&threads->ended);
  }
  return has_before;
}

/// Requires: lock. Starts another thread for a spare whose own ends, if a thread has blocked since it began to end: nobody
/// could call it up then (S1 in wp_spares.h).
static bool start_again(wp_worker *spare) {
  return wp_threads_need_one_more(spare->pool, spare->node) && wp_threads_start(spare, WP_WORKER_LEAVES, NULL) == WP_OK;
}

void wp_threads_end(wp_worker *worker) {
  wp_thread_pool *pool = worker->pool;
  pthread_t before;
  pthread_mutex_lock(&pool->threads.lock);
  wp_threads_set_life(worker, WP_WORKER_ABSENT);
  if (worker->is_spare && !start_again(worker)) {
    worker->next_idle = wp_node_of(worker)->absent;
    wp_node_of(worker)->absent = worker;
  }
  wp_threads_resolve_deadlock(pool);
  bool joins = count_out(pool, &before);
  pthread_mutex_unlock(&pool->threads.lock);
  wp_threads_unreference(pool);
  if (joins) pthread_join(before, NULL);
}

bool wp_threads_hand_over(wp_worker *worker) {
  wp_thread_pool *pool = worker->pool;
  pthread_t before = pthread_self();
  bool joins = false;
  pthread_mutex_lock(&pool->threads.lock);
  wp_worker_life life = (wp_worker_life)worker->life;
  wp_threads_set_life(worker, WP_WORKER_ABSENT);
  bool started = wp_threads_start(worker, life, NULL) == WP_OK;
  if (started) {
    joins = count_out(pool, &before);
  } else {
    wp_threads_set_life(worker, life);
  }
  pthread_mutex_unlock(&pool->threads.lock);
  if (!started) return false;
  wp_threads_unreference(pool);
  if (joins) pthread_join(before, NULL);
  return true;
}

// MARK: The pool's end

bool wp_threads_close(wp_thread_pool *pool) {
  pthread_mutex_lock(&pool->threads.lock);
  bool closes = is_open(pool);
  uint32_t life = WP_POOL_DRAINING | (pool->threads.live == 0 ? WP_POOL_ENDED : 0);
  if (closes) wp_atomic_fetch_or(&pool->life, life, wp_seq_cst);  // edge ANNOUNCE: before the stacks are looked at
  pthread_mutex_unlock(&pool->threads.lock);
  return closes;
}

void wp_threads_join(wp_thread_pool *pool) {
  wp_threads *threads = &pool->threads;
  pthread_mutex_lock(&threads->lock);
  while ((wp_pool_life(pool) & WP_POOL_ENDED) == 0 || threads->joining) {
    pthread_cond_wait(&threads->ended, &threads->lock);
  }
  if (threads->has_last) {
    pthread_t last = threads->last;
    threads->has_last = false;
    threads->joining = true;
    pthread_mutex_unlock(&threads->lock);
    pthread_join(last, NULL);
    pthread_mutex_lock(&threads->lock);
    threads->joining = false;
    pthread_cond_broadcast(&threads->ended);
  }
  pthread_mutex_unlock(&threads->lock);
}

void wp_threads_abandon(wp_thread_pool *pool) {
  wp_threads *threads = &pool->threads;
  pthread_mutex_lock(&threads->lock);
  threads->abandoned = true;
  bool has_last = threads->has_last && threads->live == 0;
  pthread_t last = threads->last;
  if (has_last) threads->has_last = false;
  pthread_mutex_unlock(&threads->lock);
  // Not joined: its thread-local destructors may run for long, wait for the caller, or be the caller.
  if (has_last) pthread_detach(last);
}
