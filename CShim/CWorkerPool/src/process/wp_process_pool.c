// The pool as its users see it: submitting, taking back, closing.
#include "wp_process_state.h"

#include "../base/wp_error.h"
#include "../platform/wp_process.h"
#include "../platform/wp_thread.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/// Whether the caller is in a child of a fork, where neither the collector nor, perhaps, a free lock exists.
static bool forked(const wp_process_pool *pool) { return pool->fork_generation != wp_fork_generation(); }

// MARK: What it is

uint32_t wp_process_pool_worker_count(const wp_process_pool *pool) { return pool->geometry.worker_count; }

wp_start_method wp_process_pool_start_method(const wp_process_pool *pool) { return pool->method; }

size_t wp_process_pool_worker_pids(wp_process_pool *pool, int32_t *pids, size_t capacity) {
  if (forked(pool)) return 0;
  size_t count = 0;
  pthread_mutex_lock(&pool->lock);
  for (uint32_t i = 0; i < pool->geometry.worker_count; i++) {
    const wp_host_worker *worker = &pool->workers[i];
    if (worker->process == 0 || worker->state == WP_WORKER_ENDED) continue;
    if (count < capacity) pids[count] = worker->process;
    count++;
  }
  pthread_mutex_unlock(&pool->lock);
  return count;
}

int32_t wp_process_pool_template_pid(wp_process_pool *pool) {
  if (forked(pool)) return 0;
  pthread_mutex_lock(&pool->lock);
  pid_t process = pool->template_process;
  pthread_mutex_unlock(&pool->lock);
  return process;
}

wp_status wp_process_pool_intern(wp_process_pool *pool, const void *name, size_t length, uint32_t *index) {
  if (forked(pool)) return WP_FORKED;
  pthread_mutex_lock(&pool->lock);
  wp_status status = WP_OK;
  if (pool->head == NULL) status = pool->phase == WP_POOL_BROKEN ? WP_BROKEN : WP_SHUT_DOWN;
  else if (!wp_pool_intern(pool->head, name, length, index)) status = WP_TOO_LARGE;
  pthread_mutex_unlock(&pool->lock);
  return status;
}

// MARK: Tasks

/// Under the lock.
static wp_status accept(wp_process_pool *pool, const wp_process_submission *submission, uint64_t *ticket,
                        wp_wakes *wakes) {
  if (pool->closed) return WP_SHUT_DOWN;
  if (pool->phase != WP_POOL_RUNNING) return WP_BROKEN;
  uint32_t index = wp_task_add(&pool->tasks, submission->function, submission->token);
  if (index == WP_NO_TASK) return WP_SYSTEM_CALL_FAILED;
  if (submission->options != NULL && !wp_task_set_options(&pool->tasks, index, submission->options)) {
    wp_task_remove(&pool->tasks, index);
    return WP_SYSTEM_CALL_FAILED;
  }
  // Behind what waits already, if anything does.
  uint32_t worker = pool->tasks.pending.count == 0 ? wp_dispatch_pick(pool) : WP_NO_WORKER;
  if (worker != WP_NO_WORKER) {
    wp_dispatch_send(pool, worker, index, submission->bytes, submission->length, wakes);
  } else if (wp_task_set_bytes(&pool->tasks.tasks[index], submission->bytes, submission->length)) {
    wp_task_append(&pool->tasks, &pool->tasks.pending, index);
  } else {
    wp_task_remove(&pool->tasks, index);
    return WP_SYSTEM_CALL_FAILED;
  }
  pool->live++;
  if (ticket != NULL) *ticket = wp_task_ticket(&pool->tasks, index);
  return WP_OK;
}

wp_status wp_process_pool_submit(wp_process_pool *pool, const wp_process_submission *submission, uint64_t *ticket) {
  if (forked(pool)) return WP_FORKED;
  if (submission->length > pool->geometry.max_payload) return WP_TOO_LARGE;
  wp_wakes wakes;
  wakes.count = 0;
  pthread_mutex_lock(&pool->lock);
  wp_status status = accept(pool, submission, ticket, &wakes);
  pthread_mutex_unlock(&pool->lock);
  // From here on the task may have ended and the pool be gone: only the words' addresses are used.
  wp_wake_all(&wakes);
  return status;
}

/// Under the lock: `count` tasks are no more.
static void retire(wp_process_pool *pool, size_t count) {
  pool->live -= count;
  if (pool->live == 0 && (pool->closed || pool->phase == WP_POOL_BROKEN)) wp_pool_poke(pool);
}

bool wp_process_pool_cancel(wp_process_pool *pool, uint64_t ticket) {
  if (forked(pool)) return false;
  pthread_mutex_lock(&pool->lock);
  uint32_t index = wp_task_find(&pool->tasks, ticket);
  bool taken = false;
  if (index != WP_NO_TASK) {
    wp_task_state state = pool->tasks.tasks[index].state;
    if (state == WP_TASK_PENDING) wp_task_unlink(&pool->tasks, &pool->tasks.pending, index);
    taken = state == WP_TASK_PENDING || (state == WP_TASK_SENT && wp_dispatch_revoke(pool, index));
    if (!taken && wp_task_runs(pool, &pool->tasks.tasks[index])) {
      wp_task_ask(pool, &pool->tasks.tasks[index], WP_STOP_CANCELLED);
    }
  }
  if (taken) {
    wp_task_remove(&pool->tasks, index);
    retire(pool, 1);
  }
  pthread_mutex_unlock(&pool->lock);
  return taken;
}

bool wp_process_pool_is_running(wp_process_pool *pool, uint64_t ticket) {
  if (forked(pool)) return false;
  pthread_mutex_lock(&pool->lock);
  uint32_t index = wp_task_find(&pool->tasks, ticket);
  bool running = index != WP_NO_TASK && wp_task_runs(pool, &pool->tasks.tasks[index]);
  pthread_mutex_unlock(&pool->lock);
  return running;
}

// MARK: Ending

/// Under the lock: takes up to `capacity` tasks that have not begun out of the pool.
static size_t take_unbegun(wp_process_pool *pool, void **tokens, size_t capacity) {
  size_t count = 0;
  while (count < capacity && pool->tasks.pending.count > 0) {
    uint32_t index = pool->tasks.pending.first;
    wp_task_unlink(&pool->tasks, &pool->tasks.pending, index);
    tokens[count++] = pool->tasks.tasks[index].token;
    wp_task_remove(&pool->tasks, index);
  }
  for (uint32_t i = 0; i < pool->geometry.worker_count; i++) {
    wp_host_worker *worker = &pool->workers[i];
    for (uint32_t at = worker->collected; at != worker->published && count < capacity; at++) {
      const wp_sent *sent = &worker->sent[at & (pool->geometry.slots - 1)];
      if (sent->state == WP_SENT_REVOKED || !wp_dispatch_revoke(pool, sent->task)) continue;
      tokens[count++] = pool->tasks.tasks[sent->task].token;
      wp_task_remove(&pool->tasks, sent->task);
    }
  }
  return count;
}

size_t wp_process_pool_discard_pending(wp_process_pool *pool) {
  if (forked(pool)) return 0;
  wp_task_outcome outcome;
  memset(&outcome, 0, sizeof outcome);
  outcome.end = WP_TASK_DISCARDED;
  const wp_process_pool *outer = wp_calling_back;
  void *tokens[64];
  size_t total = 0;
  pthread_mutex_lock(&pool->lock);
  pool->references++;  // a callback may release the pool
  size_t limit = pool->live;  // so that others who go on submitting cannot keep us here
  for (;;) {
    size_t left = limit - total;
    size_t count = take_unbegun(pool, tokens, left < 64 ? left : 64);
    if (count == 0) break;
    pthread_mutex_unlock(&pool->lock);
    wp_calling_back = pool;
    for (size_t i = 0; i < count; i++) {
      if (pool->hooks.completed != NULL) pool->hooks.completed(pool->hooks.context, tokens[i], &outcome);
    }
    wp_calling_back = outer;
    pthread_mutex_lock(&pool->lock);
    total += count;
    pool->discarded += count;
    retire(pool, count);
  }
  pthread_mutex_unlock(&pool->lock);
  wp_pool_drop(pool);
  return total;
}

void wp_process_pool_close(wp_process_pool *pool) {
  if (forked(pool)) return;
  pthread_mutex_lock(&pool->lock);
  if (!pool->closed) {
    pool->closed = true;
    pthread_cond_broadcast(&pool->changed);
    wp_pool_poke(pool);
  }
  pthread_mutex_unlock(&pool->lock);
}

wp_status wp_process_pool_join(wp_process_pool *pool) { return wp_process_pool_join_until(pool, UINT64_MAX); }

wp_status wp_process_pool_join_until(wp_process_pool *pool, uint64_t deadline_ns) {
  if (forked(pool)) return WP_FORKED;
  if (wp_calling_back == pool) return WP_WOULD_DEADLOCK;
  struct timespec deadline = {(time_t)(deadline_ns / 1000000000u), (long)(deadline_ns % 1000000000u)};
  int failure = 0;
  pthread_mutex_lock(&pool->lock);
  bool closed = pool->closed;
  while (closed && !pool->finished && failure == 0) {
    failure = deadline_ns == UINT64_MAX ? pthread_cond_wait(&pool->changed, &pool->lock)
                                        : pthread_cond_timedwait(&pool->changed, &pool->lock, &deadline);
  }
  bool finished = pool->finished;
  pid_t thread = pool->collector_thread;
  pthread_mutex_unlock(&pool->lock);
  if (!closed) return WP_INVALID_ARGUMENT;
  if (!finished) return WP_TIMED_OUT;
  wp_thread_await_exit(thread);  // so that a host with no other thread can be forked again
  return WP_OK;
}

void wp_process_pool_release(wp_process_pool *pool) {
  if (pool == NULL || forked(pool)) return;  // in a child: processes and threads are the parent's
  wp_process_pool_close(pool);
  wp_pool_drop(pool);
}
