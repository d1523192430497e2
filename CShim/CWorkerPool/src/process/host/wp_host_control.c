// Taking tasks back, and ending those that run.
#include "wp_host_state.h"

#include "wp_host_bell.h"
#include "wp_host_collect.h"
#include "wp_host_ends.h"
#include "wp_host_handle.h"
#include "wp_host_payload.h"
#include "wp_host_role.h"
#include "wp_host_slots.h"

#include <string.h>

bool wp_process_pool_cancel(wp_process_pool *pool, uint64_t ticket) {
  if (wp_forked_from(pool)) return false;
  pthread_mutex_lock(&pool->lock);
  uint32_t index = wp_task_find(&pool->tasks, ticket);
  bool taken = false;
  if (index != WP_NO_TASK) {
    wp_task_state state = pool->tasks.nodes[index].state;
    if (state == WP_TASK_PENDING) {
      wp_task_unlink(&pool->tasks, &pool->tasks.pending, index);
      wp_payload_drop(pool, index);
    }
    taken = state == WP_TASK_PENDING || (state == WP_TASK_SENT && wp_slots_revoke(pool, index));
    if (!taken && wp_task_runs(pool, &pool->tasks.nodes[index])) {
      wp_task_ask(pool, &pool->tasks.nodes[index], WP_STOP_CANCELLED);
    }
  }
  if (taken) {
    wp_task_remove(&pool->tasks, index);
    wp_task_retire(pool, 1);
  }
  pthread_mutex_unlock(&pool->lock);
  return taken;
}

bool wp_process_pool_is_running(wp_process_pool *pool, uint64_t ticket) {
  if (wp_forked_from(pool)) return false;
  pthread_mutex_lock(&pool->lock);
  uint32_t index = wp_task_find(&pool->tasks, ticket);
  bool running = index != WP_NO_TASK && wp_task_runs(pool, &pool->tasks.nodes[index]);
  pthread_mutex_unlock(&pool->lock);
  return running;
}

// MARK: What has not begun

/// Under the lock: takes up to `capacity` tasks that have not begun out of the pool.
static size_t take_unbegun(wp_process_pool *pool, void **tokens, size_t capacity) {
  size_t count = 0;
  while (count < capacity && pool->tasks.pending.count > 0) {
    uint32_t index = pool->tasks.pending.first;
    wp_task_unlink(&pool->tasks, &pool->tasks.pending, index);
    tokens[count++] = pool->tasks.nodes[index].token;
    wp_payload_drop(pool, index);
    wp_task_remove(&pool->tasks, index);
  }
  for (uint32_t i = 0; i < pool->size.bound; i++) {
    wp_host_worker *worker = &pool->workers[i];
    for (uint32_t at = worker->collected; at != worker->published && count < capacity; at++) {
      const wp_sent *sent = &worker->sent[at & (pool->geometry.slots - 1)];
      if (sent->state == WP_SENT_REVOKED || !wp_slots_revoke(pool, sent->task)) continue;
      tokens[count++] = pool->tasks.nodes[sent->task].token;
      wp_task_remove(&pool->tasks, sent->task);
    }
  }
  return count;
}

size_t wp_process_pool_discard_pending(wp_process_pool *pool) {
  if (wp_forked_from(pool)) return 0;
  wp_task_outcome outcome;
  memset(&outcome, 0, sizeof outcome);
  outcome.end = WP_TASK_DISCARDED;
  const wp_process_pool_hooks *hooks = &pool->settings.hooks;
  const wp_process_pool *outer = wp_calling_back;
  void *tokens[64];
  size_t total = 0;
  pthread_mutex_lock(&pool->lock);
  pool->users.references++;  // a callback may release the pool
  size_t limit = pool->queue.unfinished;  // so that threads that go on submitting cannot keep us here
  for (;;) {
    size_t left = limit - total;
    size_t count = take_unbegun(pool, tokens, left < 64 ? left : 64);
    if (count == 0) break;
    pthread_mutex_unlock(&pool->lock);
    wp_calling_back = pool;
    for (size_t i = 0; i < count; i++) {
      if (hooks->completed != NULL) hooks->completed(hooks->context, tokens[i], &outcome);
    }
    wp_calling_back = outer;
    pthread_mutex_lock(&pool->lock);
    total += count;
    pool->queue.discarded += count;
    wp_task_retire(pool, count);
  }
  if (pool->memory.head != NULL) wp_role_wake_leader(pool);  // it may wait for one of these
  pthread_mutex_unlock(&pool->lock);
  wp_handle_drop(pool);
  return total;
}

// MARK: What runs

/// Under the lock: leaves it to the collector, which alone writes what a kill changes.
static bool terminate(wp_process_pool *pool, uint32_t index) {
  const wp_task *task = &pool->tasks.nodes[index];
  wp_sent *sent = wp_sent_at(pool, &pool->workers[task->worker], task->position);
  if (sent->fate == WP_TASK_WORKER_DIED) sent->fate = WP_TASK_TERMINATED;
  wp_task_watch(&pool->tasks, index);
  wp_bell_look_by(pool, 0);
  return true;
}

bool wp_process_pool_terminate(wp_process_pool *pool, uint64_t ticket) {
  if (wp_forked_from(pool)) return false;
  pthread_mutex_lock(&pool->lock);
  uint32_t index = wp_task_find(&pool->tasks, ticket);
  bool runs = index != WP_NO_TASK && wp_task_runs(pool, &pool->tasks.nodes[index]) && terminate(pool, index);
  pthread_mutex_unlock(&pool->lock);
  return runs;
}

/// Under the lock: calls `act` with each task that runs. Returns how often that said true.
static size_t each_running(wp_process_pool *pool, bool (*act)(wp_process_pool *, uint32_t)) {
  size_t count = 0;
  for (uint32_t i = 0; i < pool->size.bound; i++) {
    wp_host_worker *worker = &pool->workers[i];
    for (uint32_t position = worker->collected; position != worker->published; position++) {
      const wp_sent *sent = wp_sent_at(pool, worker, position);
      if (sent->state == WP_SENT_REVOKED || !wp_task_runs(pool, &pool->tasks.nodes[sent->task])) continue;
      count += act(pool, sent->task);
    }
  }
  return count;
}

/// False when that was done before; a timeout that has struck stays the reason.
static bool ask_to_end(wp_process_pool *pool, uint32_t index) {
  const wp_task *task = &pool->tasks.nodes[index];
  const wp_sent *sent = wp_sent_at(pool, &pool->workers[task->worker], task->position);
  if (sent->stop == WP_STOP_SHUT_DOWN || sent->stop == WP_STOP_TIMED_OUT) return false;
  wp_task_ask(pool, task, WP_STOP_SHUT_DOWN);
  return true;
}

size_t wp_process_pool_stop_running(wp_process_pool *pool) {
  if (wp_forked_from(pool)) return 0;
  pthread_mutex_lock(&pool->lock);
  pool->queue.stopping = true;
  size_t count = each_running(pool, ask_to_end);
  pthread_mutex_unlock(&pool->lock);
  return count;
}

size_t wp_process_pool_terminate_running(wp_process_pool *pool) {
  if (wp_forked_from(pool)) return 0;
  pthread_mutex_lock(&pool->lock);
  pool->queue.stopping = true;
  size_t count = each_running(pool, terminate);
  pthread_mutex_unlock(&pool->lock);
  return count;
}
