// The pool as its users see it: submitting, taking back, closing.
#include "wp_process_state.h"

#include "../base/wp_error.h"
#include "../platform/wp_process.h"
#include "../platform/wp_thread.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

bool wp_forked_from(const wp_process_pool *pool) { return pool->fork_generation != wp_fork_generation(); }

// MARK: What it is

uint32_t wp_process_pool_worker_count(const wp_process_pool *pool) { return wp_atomic_load(&pool->wanted, wp_relaxed); }

uint32_t wp_process_pool_capacity(const wp_process_pool *pool) { return pool->geometry.capacity; }

wp_start_method wp_process_pool_start_method(const wp_process_pool *pool) { return pool->method; }

size_t wp_process_pool_worker_pids(wp_process_pool *pool, int32_t *pids, size_t capacity) {
  if (wp_forked_from(pool)) return 0;
  size_t count = 0;
  pthread_mutex_lock(&pool->lock);
  for (uint32_t i = 0; i < pool->in_use; i++) {
    const wp_host_worker *worker = &pool->workers[i];
    if (worker->process == 0 || worker->state == WP_WORKER_ENDED) continue;
    if (count < capacity) pids[count] = worker->process;
    count++;
  }
  pthread_mutex_unlock(&pool->lock);
  return count;
}

wp_memory_limit wp_process_pool_memory_limit(wp_process_pool *pool) {
  if (wp_forked_from(pool)) return WP_MEMORY_UNLIMITED;
  pthread_mutex_lock(&pool->lock);
  wp_memory_limit limit = pool->memory_limit;
  for (uint32_t i = 0; limit == WP_MEMORY_CGROUP && pool->head != NULL && i < pool->in_use; i++) {
    if (pool->workers[i].state == WP_WORKER_ABSENT) continue;
    const wp_channel_status *status = wp_channel_get_status(&pool->workers[i].channel);
    // The worker's word, which decides no more than what is said here.
    if (wp_atomic_load(&status->outside_cgroup, wp_relaxed) != 0) limit = WP_MEMORY_DATA;
  }
  pthread_mutex_unlock(&pool->lock);
  return limit;
}

int32_t wp_process_pool_template_pid(wp_process_pool *pool) {
  if (wp_forked_from(pool)) return 0;
  pthread_mutex_lock(&pool->lock);
  pid_t process = pool->template_process;
  pthread_mutex_unlock(&pool->lock);
  return process;
}

wp_status wp_process_pool_intern(wp_process_pool *pool, const void *name, size_t length, uint32_t *index) {
  if (wp_forked_from(pool)) return WP_FORKED;
  pthread_mutex_lock(&pool->lock);
  wp_status status = WP_OK;
  if (pool->head == NULL) status = pool->phase == WP_POOL_BROKEN ? WP_BROKEN : WP_SHUT_DOWN;
  else if (!wp_pool_intern(pool->head, name, length, index)) status = WP_TOO_LARGE;
  pthread_mutex_unlock(&pool->lock);
  return status;
}

// MARK: Tasks

/// Under the lock: `count` tasks are no more.
static void retire(wp_process_pool *pool, size_t count) {
  pool->live -= count;
  if (pool->live == 0 && (pool->closed || pool->phase == WP_POOL_BROKEN)) wp_pool_poke(pool);
}

/// Under the lock: whether tasks are taken.
static wp_status openness(const wp_process_pool *pool) {
  if (pool->closed) return WP_SHUT_DOWN;
  return pool->phase == WP_POOL_RUNNING ? WP_OK : WP_BROKEN;
}

/// Under the lock: a task in no queue, or WP_NO_TASK without memory.
static uint32_t enter(wp_process_pool *pool, const wp_process_submission *submission, uint64_t *ticket) {
  uint32_t index = wp_task_add(&pool->tasks, submission->function, submission->token);
  if (index == WP_NO_TASK) return WP_NO_TASK;
  const wp_task_options *options = submission->options;
  if (!wp_task_set_shared(&pool->tasks.tasks[index], submission->shared, submission->shared_count) ||
      (options != NULL && !wp_task_set_options(&pool->tasks, index, options))) {
    wp_task_remove(&pool->tasks, index);
    return WP_NO_TASK;
  }
  if (ticket != NULL) *ticket = wp_task_ticket(&pool->tasks, index);
  return index;
}

/// Under the lock.
static wp_status accept(wp_process_pool *pool, const wp_process_submission *submission, uint64_t *ticket,
                        wp_wakes *wakes) {
  wp_status status = openness(pool);
  if (status != WP_OK) return status;
  uint32_t index = enter(pool, submission, ticket);
  if (index == WP_NO_TASK) return WP_SYSTEM_CALL_FAILED;
  wp_payload payload = {submission->bytes, submission->length, WP_NO_AREA, false};
  // Behind what waits already, if anything does.
  uint32_t worker = pool->tasks.pending.count == 0 ? wp_dispatch_pick(pool) : WP_NO_WORKER;
  if (worker != WP_NO_WORKER && wp_payload_reserve(pool, worker, payload.length, &payload.area)) {
    wp_dispatch_send(pool, worker, index, &payload, wakes);
  } else if (wp_task_set_bytes(&pool->tasks.tasks[index], payload.bytes, payload.length)) {
    wp_task_append(&pool->tasks, &pool->tasks.pending, index);
  } else {
    wp_task_remove(&pool->tasks, index);
    return WP_SYSTEM_CALL_FAILED;
  }
  pool->live++;
  return WP_OK;
}

// MARK: Large arguments, which are copied without the lock

/// Where a large argument is while its task does not exist yet.
typedef struct wp_landing {
  uint32_t worker;  // WP_NO_WORKER: in `memory`
  uint32_t generation;
  uint8_t area;
  void *memory;
} wp_landing;

/// Under the lock, released for the copy. Into an area of the worker that would get the task now, else into memory, where
/// bytes that are ours stay as they are. False without memory.
static bool land(wp_process_pool *pool, const wp_process_submission *submission, wp_landing *landing) {
  memset(landing, 0, sizeof *landing);
  landing->worker = pool->tasks.pending.count == 0 ? wp_dispatch_pick(pool) : WP_NO_WORKER;
  if (landing->worker != WP_NO_WORKER &&
      !wp_payload_reserve(pool, landing->worker, submission->length, &landing->area)) {
    landing->worker = WP_NO_WORKER;
  }
  if (landing->worker != WP_NO_WORKER) {
    landing->generation = pool->workers[landing->worker].generation;
    wp_payload payload = {submission->bytes, submission->length, landing->area, false};
    wp_wakes none = {.count = 0};
    wp_payload_copy(pool, landing->worker, &payload, landing->area, &none);
    return true;
  }
  landing->memory = (void *)(uintptr_t)submission->bytes;
  if (submission->adopt) return true;
  pthread_mutex_unlock(&pool->lock);
  landing->memory = malloc(submission->length);
  if (landing->memory != NULL) memcpy(landing->memory, submission->bytes, submission->length);
  pthread_mutex_lock(&pool->lock);
  return landing->memory != NULL;
}

/// Under the lock: sends the task, or queues it with its argument where it landed.
static void settle_down(wp_process_pool *pool, uint32_t index, size_t length, const wp_landing *landing,
                        wp_wakes *wakes) {
  wp_task *task = &pool->tasks.tasks[index];
  if (landing->worker != WP_NO_WORKER && wp_payload_arrives(pool, landing->worker, landing->generation)) {
    wp_payload payload = {NULL, length, landing->area, true};
    wp_dispatch_send(pool, landing->worker, index, &payload, wakes);
    return;
  }
  if (landing->worker != WP_NO_WORKER) {
    task->area = landing->area;
    task->worker = landing->worker;
    task->length = length;
  } else {
    wp_task_adopt_bytes(task, landing->memory, length);
  }
  wp_task_append(&pool->tasks, &pool->tasks.pending, index);
  wp_pool_poke(pool);  // workers may have become free without anybody looking for tasks
}

/// Under the lock, released for the copy; the pool counts the task as live before it exists, and so does not end.
/// `*kept` when adopted bytes wait as they are.
static wp_status accept_large(wp_process_pool *pool, const wp_process_submission *submission, uint64_t *ticket,
                              wp_wakes *wakes, bool *kept) {
  wp_status status = openness(pool);
  if (status != WP_OK) return status;
  pool->live++;
  wp_landing landing;
  bool landed = land(pool, submission, &landing);
  uint32_t index = WP_NO_TASK;
  if (!landed) status = WP_SYSTEM_CALL_FAILED;
  else if (pool->phase != WP_POOL_RUNNING) status = WP_BROKEN;
  else if ((index = enter(pool, submission, ticket)) == WP_NO_TASK) status = WP_SYSTEM_CALL_FAILED;
  if (status == WP_OK) {
    settle_down(pool, index, submission->length, &landing, wakes);
    *kept = landing.memory == submission->bytes;
    return WP_OK;
  }
  if (landing.worker != WP_NO_WORKER) wp_area_free(&pool->workers[landing.worker].arguments, landing.area);
  else if (!submission->adopt) free(landing.memory);
  retire(pool, 1);
  return status;
}

wp_status wp_process_pool_submit(wp_process_pool *pool, const wp_process_submission *submission, uint64_t *ticket) {
  if (wp_forked_from(pool)) return WP_FORKED;
  if (submission->length > pool->geometry.max_payload) return WP_TOO_LARGE;
  if (submission->shared_count > WP_PROCESS_MAX_SHARED) return WP_INVALID_ARGUMENT;
  bool large = wp_payload_is_large(submission->length);
  wp_wakes wakes;
  wakes.count = 0;
  bool kept = false;
  pthread_mutex_lock(&pool->lock);
  wp_status status = large ? accept_large(pool, submission, ticket, &wakes, &kept)
                           : accept(pool, submission, ticket, &wakes);
  pthread_mutex_unlock(&pool->lock);
  // From here on the task may have ended and the pool be gone: only the words' addresses are used.
  wp_wake_all(&wakes);
  if (status == WP_OK && submission->adopt && !kept) free((void *)(uintptr_t)submission->bytes);
  return status;
}

bool wp_process_pool_cancel(wp_process_pool *pool, uint64_t ticket) {
  if (wp_forked_from(pool)) return false;
  pthread_mutex_lock(&pool->lock);
  uint32_t index = wp_task_find(&pool->tasks, ticket);
  bool taken = false;
  if (index != WP_NO_TASK) {
    wp_task_state state = pool->tasks.tasks[index].state;
    if (state == WP_TASK_PENDING) {
      wp_task_unlink(&pool->tasks, &pool->tasks.pending, index);
      wp_payload_drop(pool, index);
    }
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
  if (wp_forked_from(pool)) return false;
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
    wp_payload_drop(pool, index);
    wp_task_remove(&pool->tasks, index);
  }
  for (uint32_t i = 0; i < pool->in_use; i++) {
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
  if (wp_forked_from(pool)) return 0;
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
  if (pool->head != NULL) wp_driver_wake(pool);  // it may wait for one of these
  pthread_mutex_unlock(&pool->lock);
  wp_pool_drop(pool);
  return total;
}

void wp_process_pool_close(wp_process_pool *pool) {
  if (wp_forked_from(pool)) return;
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
  if (wp_forked_from(pool)) return WP_FORKED;
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
  if (pool == NULL || wp_forked_from(pool)) return;  // in a child: processes and threads are the parent's
  wp_process_pool_close(pool);
  wp_pool_drop(pool);
}
