#include "wp_blocked.h"

#include "wp_delivery.h"
#include "wp_spares.h"
#include "wp_threads.h"

#include "../base/wp_error.h"
#include "../park/wp_wait_spin.h"
#include "../platform/wp_clock.h"
#include "../platform/wp_futex.h"

WP_STATIC_ASSERT(sizeof(wp_blocking_state) <= sizeof(wp_blocking), "there is room for one");

static wp_blocking_state *state_of(wp_blocking *blocking) { return (wp_blocking_state *)(void *)blocking; }

// MARK: Counting, under the lock

/// Says which wait of a thread is the innermost, and so what the thread waits for.
static void set_innermost(wp_worker *worker, wp_blocking_state *blocking) {
  bool is_for_pool = blocking != NULL && blocking->is_for_pool;
  worker->pool->threads.blocked_for_pool += (is_for_pool ? 1u : 0u) - (worker->is_blocked_for_pool ? 1u : 0u);
  worker->is_blocked_for_pool = is_for_pool;
  worker->blocking = blocking;
}

static void count_blocked(wp_worker *worker, uint32_t delta) {
  wp_atomic_u32 *counters[] = {&worker->pool->threads.counts.blocked, &wp_node_of(worker)->counts.blocked};
  for (int i = 0; i < 2; i++) wp_atomic_store(counters[i], wp_atomic_load(counters[i], wp_relaxed) + delta, wp_relaxed);
}

/// Lists a wait of which it can be seen whether it goes on.
static void list(wp_threads *threads, wp_blocking_state *blocking) {
  blocking->is_listed = true;
  blocking->newer = NULL;
  blocking->older = threads->newest_wait;
  *(blocking->older != NULL ? &blocking->older->newer : &threads->oldest_wait) = blocking;
  threads->newest_wait = blocking;
}

static void unlist(wp_threads *threads, wp_blocking_state *blocking) {
  if (!blocking->is_listed) return;
  blocking->is_listed = false;
  *(blocking->older != NULL ? &blocking->older->newer : &threads->oldest_wait) = blocking->newer;
  *(blocking->newer != NULL ? &blocking->newer->older : &threads->newest_wait) = blocking->older;
}

/// False, with nothing counted, for a thread that was counted out already: its stop hook may block, too.
static bool enter(wp_worker *worker, wp_blocking_state *blocking) {
  if (worker->life == WP_WORKER_ENDING) {
    blocking->worker = NULL;
    return false;
  }
  blocking->outer = worker->blocking;
  if (blocking->outer == NULL) count_blocked(worker, 1);
  set_innermost(worker, blocking);
  return true;
}

static void leave(wp_worker *worker, wp_blocking_state *blocking) {
  unlist(&worker->pool->threads, blocking);
  set_innermost(worker, blocking->outer);
  if (blocking->outer == NULL) count_blocked(worker, UINT32_MAX);
}

static void init(wp_blocking_state *blocking, wp_worker *self, bool is_for_pool) {
  wp_atomic_init(&blocking->word, WP_BLOCKING_OPEN);
  blocking->is_for_pool = is_for_pool;
  blocking->can_be_refused = false;
  blocking->is_listed = false;
  blocking->worker = self;
  blocking->goes_on = NULL;
}

/// Of a wait for the pool, which has no other way to sleep than `wp_blocking_wait`.
static bool is_not_asleep(void *blocking) {
  return wp_atomic_load(&((wp_blocking_state *)blocking)->word, wp_seq_cst) != WP_BLOCKING_AWAITED;  // edge ASLEEP
}

/// Of any other wait, while it sleeps in `wp_blocking_wait`. It may also sleep on something else.
static bool is_woken(void *blocking) {
  return wp_atomic_load(&((wp_blocking_state *)blocking)->word, wp_seq_cst) == WP_BLOCKING_IS_WOKEN;
}

/// What stands behind a status of `wp_spares_compensate` when it comes to a deadlock.
static wp_status refuse(wp_status status, const wp_error *cause, wp_error *error) {
  if (status != WP_SYSTEM_CALL_FAILED) return wp_fail(error, WP_WOULD_DEADLOCK, 0, NULL, NULL);
  return wp_fail(error, status, cause->system_errno, cause->call, cause->rule);
}

/// Whether every thread that is present is blocked, for whatever, and stays so as far as that can be seen.
static bool are_all_blocked(const wp_thread_pool *pool) {
  const wp_thread_counts *counts = &pool->threads.counts;
  return wp_atomic_load(&counts->blocked, wp_relaxed) == wp_atomic_load(&counts->threads, wp_relaxed) &&
         !wp_threads_does_one_go_on(pool);
}

/// Counts a wait for the pool, which can be refused also while it lasts. If it would be a deadlock, it is taken back.
static wp_status begin_for_pool(wp_worker *self, wp_blocking_state *blocking, wp_error *error) {
  wp_thread_pool *pool = self->pool;
  wp_error cause;
  wp_status status = WP_OK;
  wp_thread_deliver();
  init(blocking, self, true);
  blocking->goes_on = is_not_asleep;
  blocking->awaited = blocking;
  pthread_mutex_lock(&pool->threads.lock);
  if (enter(self, blocking)) {
    status = wp_spares_compensate(pool, self->node, &cause);
    if (wp_threads_are_deadlocked(pool)) {
      leave(self, blocking);
      status = refuse(status, &cause, error);
    } else {
      blocking->can_be_refused = true;
      list(&pool->threads, blocking);
      status = WP_OK;
    }
  }
  pthread_mutex_unlock(&pool->threads.lock);
  return status;
}

/// Counts a wait for what nobody has said. If no thread is left that is not blocked, it is taken back.
static wp_status begin_plain(wp_worker *self, wp_blocking_state *blocking) {
  wp_thread_pool *pool = self->pool;
  wp_status status = WP_OK;
  wp_thread_deliver();
  init(blocking, self, false);
  pthread_mutex_lock(&pool->threads.lock);
  if (enter(self, blocking)) {
    status = wp_spares_compensate(pool, self->node, NULL);
    if (status != WP_OK && are_all_blocked(pool)) {
      leave(self, blocking);
    } else {
      status = WP_OK;
    }
  }
  pthread_mutex_unlock(&pool->threads.lock);
  return status;
}

void wp_blocked_begin_structured(wp_worker *self, wp_blocking_state *blocking, bool (*goes_on)(void *awaited),
                                 void *awaited) {
  wp_thread_pool *pool = self->pool;
  wp_thread_deliver();
  init(blocking, self, true);
  blocking->goes_on = goes_on;
  blocking->awaited = awaited;
  pthread_mutex_lock(&pool->threads.lock);
  if (enter(self, blocking)) {
    list(&pool->threads, blocking);
    wp_spares_compensate(pool, self->node, NULL);
    wp_threads_resolve_deadlock(pool);
  }
  pthread_mutex_unlock(&pool->threads.lock);
}

/// Counts a wait for something outside the pool; on threads that are no workers there is nothing to count.
static void begin_for_others(wp_worker *self, wp_blocking_state *blocking) {
  wp_thread_deliver();
  if (self == NULL) return;
  pthread_mutex_lock(&self->pool->threads.lock);
  if (enter(self, blocking)) wp_spares_compensate(self->pool, self->node, NULL);
  pthread_mutex_unlock(&self->pool->threads.lock);
}

void wp_blocked_begin_for_others(wp_worker *self, wp_blocking_state *blocking) {
  init(blocking, self, false);
  begin_for_others(self, blocking);
}

void wp_blocked_end(wp_blocking_state *blocking) {
  wp_worker *self = blocking->worker;
  // In a child of the blocked thread's fork there is nothing to count, and the lock may be held for ever.
  if (self == NULL || self != wp_worker_current()) return;
  pthread_mutex_lock(&self->pool->threads.lock);
  leave(self, blocking);
  bool surplus = wp_threads_have_surplus(self);
  pthread_mutex_unlock(&self->pool->threads.lock);
  if (surplus) wp_threads_wake_surplus(self);
}

void wp_blocked_forget(wp_worker *worker) {
  pthread_mutex_lock(&worker->pool->threads.lock);
  // Its waits stand on frames that are gone. None is listed: a thread that is in the list runs nobody's code.
  if (worker->blocking != NULL) count_blocked(worker, UINT32_MAX);
  set_innermost(worker, NULL);
  worker->plain_blockings = 0;
  pthread_mutex_unlock(&worker->pool->threads.lock);
}

// MARK: For layers above

wp_status wp_blocking_begin(wp_blocking *blocking, wp_blocked_for what, wp_error *error) {
  wp_worker *self = wp_worker_current();
  if (self != NULL && what == WP_BLOCKED_FOR_POOL) return begin_for_pool(self, state_of(blocking), error);
  init(state_of(blocking), self, false);
  state_of(blocking)->goes_on = is_woken;
  state_of(blocking)->awaited = blocking;
  begin_for_others(self, state_of(blocking));
  return WP_OK;
}

void wp_blocking_end(wp_blocking *blocking) { wp_blocked_end(state_of(blocking)); }

/// Lists a wait for something outside the pool, or takes it out. Only while the thread sleeps here, and when it was woken:
/// otherwise it may run code of the user's, which may end the thread.
static void set_listed(wp_blocking_state *blocking, bool listed) {
  wp_threads *threads = &blocking->worker->pool->threads;
  pthread_mutex_lock(&threads->lock);
  if (listed) list(threads, blocking);
  else unlist(threads, blocking);
  pthread_mutex_unlock(&threads->lock);
}

/// For a thread that has just fallen asleep as others see it: perhaps it was the last one that did not.
static void look_for_deadlock(wp_blocking_state *blocking) {
  if (blocking->worker == NULL) return;
  wp_thread_pool *pool = blocking->worker->pool;
  if (wp_atomic_load(&pool->threads.nearly_deadlocked, wp_seq_cst) == 0) return;  // edge ASLEEP
  pthread_mutex_lock(&pool->threads.lock);
  wp_threads_resolve_deadlock(pool);
  pthread_mutex_unlock(&pool->threads.lock);
}

/// Sleeps until the word is no longer AWAITED, or the deadline. Returns the word.
static uint32_t sleep_until_set(wp_blocking_state *blocking, uint64_t deadline_ns) {
  wp_atomic_u32 *word = &blocking->word;
  uint64_t start = wp_clock_now();
  uint32_t found = WP_BLOCKING_OPEN;
  if (wp_atomic_cas_strong(word, &found, WP_BLOCKING_AWAITED, wp_seq_cst, wp_acquire)) {  // edge ASLEEP
    found = WP_BLOCKING_AWAITED;
    look_for_deadlock(blocking);
  }
  bool in_time = true;
  while (found == WP_BLOCKING_AWAITED && in_time) {
    in_time = wp_futex_wait(word, WP_BLOCKING_AWAITED, deadline_ns, WP_FUTEX_PRIVATE);
    found = wp_atomic_load(word, wp_acquire);  // edge WAKE
  }
  wp_wait_slept(wp_clock_now() - start);
  return found;
}

wp_blocking_outcome wp_blocking_wait(wp_blocking *blocking, uint64_t deadline_ns) {
  wp_blocking_state *state = state_of(blocking);
  bool lists = state->worker != NULL && !state->is_listed;
  if (lists) set_listed(state, true);
  uint32_t found = sleep_until_set(state, deadline_ns);
  if (lists && found != WP_BLOCKING_IS_WOKEN) set_listed(state, false);
  // Seen: a later wait is for the wake alone, if that has not come meanwhile.
  if (found == WP_BLOCKING_IS_REFUSED &&
      wp_atomic_cas_strong(&state->word, &found, WP_BLOCKING_OPEN, wp_acquire, wp_acquire)) {  // edge WAKE
    return WP_BLOCKING_REFUSED;
  }
  return found == WP_BLOCKING_IS_WOKEN ? WP_BLOCKING_WOKEN : WP_BLOCKING_TIMED_OUT;
}

void wp_blocking_wake(wp_blocking *blocking) {
  wp_atomic_u32 *word = &state_of(blocking)->word;
  uint32_t before = wp_atomic_exchange(word, WP_BLOCKING_IS_WOKEN, wp_release);  // edge WAKE
  if (before == WP_BLOCKING_AWAITED) wp_futex_wake(word, 1, WP_FUTEX_PRIVATE);
}

// MARK: Without saying what for

wp_status wp_thread_pool_block_begin(void) {
  wp_worker *self = wp_worker_current();
  if (self == NULL) return WP_OK;
  if (self->plain_blockings == 0) {
    wp_status status = begin_plain(self, &self->plain_blocking);
    if (status != WP_OK) return status;
  }
  self->plain_blockings++;
  return WP_OK;
}

void wp_thread_pool_block_end(void) {
  wp_worker *self = wp_worker_current();
  if (self != NULL && --self->plain_blockings == 0) wp_blocked_end(&self->plain_blocking);
}
