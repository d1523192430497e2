// Submitting a task.
#include "wp_host_state.h"

#include "wp_host_bell.h"
#include "wp_host_buffers.h"
#include "wp_host_ends.h"
#include "wp_host_payload.h"
#include "wp_host_queue.h"
#include "wp_host_slots.h"

#include <stdlib.h>
#include <string.h>

/// Under the lock: whether tasks are taken.
static wp_status openness(const wp_process_pool *pool) {
  if (pool->users.closed) return WP_SHUT_DOWN;
  return pool->life.phase == WP_POOL_RUNNING ? WP_OK : WP_BROKEN;
}

/// Under the lock: a task in no queue, or WP_NO_TASK without memory.
static uint32_t enter(wp_process_pool *pool, const wp_process_submission *submission, uint64_t *ticket) {
  uint32_t index = wp_task_add(&pool->tasks, submission->function, submission->token);
  if (index == WP_NO_TASK) return WP_NO_TASK;
  const wp_task_options *options = submission->options;
  if (!wp_task_set_shared(&pool->tasks.nodes[index], submission->shared, submission->shared_count) ||
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
  wp_payload payload = {submission->bytes, submission->length, WP_NO_BUFFER, false};
  // Behind what waits already, if anything does.
  uint32_t worker = pool->tasks.pending.count == 0 ? wp_queue_pick(pool) : WP_NO_WORKER;
  if (worker != WP_NO_WORKER && wp_payload_reserve(pool, worker, payload.length, &payload.buffer)) {
    if (!wp_payload_populate(pool, worker, payload.buffer, payload.length)) {
      wp_buffer_free(&pool->workers[worker].arguments, payload.buffer);
      wp_task_remove(&pool->tasks, index);
      return WP_SYSTEM_CALL_FAILED;
    }
    wp_slots_send(pool, worker, index, &payload, wakes);
  } else if (wp_task_set_bytes(&pool->tasks.nodes[index], payload.bytes, payload.length)) {
    wp_task_append(&pool->tasks, &pool->tasks.pending, index);
  } else {
    wp_task_remove(&pool->tasks, index);
    return WP_SYSTEM_CALL_FAILED;
  }
  pool->queue.unfinished++;
  return WP_OK;
}

// MARK: Large arguments, which are copied without the lock

/// Where a large argument is while its task does not exist yet.
typedef struct wp_landing {
  uint32_t worker;  // WP_NO_WORKER: in `memory`
  uint32_t generation;
  uint8_t buffer;
  void *memory;
} wp_landing;

/// Under the lock, released for the copy. Into a buffer of the worker that would get the task now, else into memory, where
/// bytes that are ours stay as they are. False without memory.
static bool land(wp_process_pool *pool, const wp_process_submission *submission, wp_landing *landing) {
  memset(landing, 0, sizeof *landing);
  landing->worker = pool->tasks.pending.count == 0 ? wp_queue_pick(pool) : WP_NO_WORKER;
  if (landing->worker != WP_NO_WORKER &&
      !wp_payload_reserve(pool, landing->worker, submission->length, &landing->buffer)) {
    landing->worker = WP_NO_WORKER;
  }
  if (landing->worker != WP_NO_WORKER) {
    landing->generation = pool->workers[landing->worker].generation;
    wp_payload payload = {submission->bytes, submission->length, landing->buffer, false};
    wp_wakes none = {.count = 0};
    return wp_payload_copy(pool, landing->worker, &payload, landing->buffer, &none);
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
static void enter_landed(wp_process_pool *pool, uint32_t index, size_t length, const wp_landing *landing,
                         wp_wakes *wakes) {
  if (landing->worker != WP_NO_WORKER && wp_payload_arrives(pool, landing->worker, landing->generation)) {
    wp_payload payload = {NULL, length, landing->buffer, true};
    wp_slots_send(pool, landing->worker, index, &payload, wakes);
    return;
  }
  if (landing->worker != WP_NO_WORKER) {
    wp_payload_wait(pool, index, landing->worker, landing->buffer, length);
  } else {
    wp_task_adopt_bytes(&pool->tasks.nodes[index], landing->memory, length);
  }
  wp_task_append(&pool->tasks, &pool->tasks.pending, index);
  wp_bell_collector(pool);  // workers may have become free without anybody looking for tasks
}

/// Under the lock, released for the copy; the pool counts the task as unfinished before it exists, and so does not end.
/// `*kept` when adopted bytes wait as they are.
static wp_status accept_large(wp_process_pool *pool, const wp_process_submission *submission, uint64_t *ticket,
                              wp_wakes *wakes, bool *kept) {
  wp_status status = openness(pool);
  if (status != WP_OK) return status;
  pool->queue.unfinished++;
  wp_landing landing;
  bool landed = land(pool, submission, &landing);
  uint32_t index = WP_NO_TASK;
  if (!landed) status = WP_SYSTEM_CALL_FAILED;
  else if (pool->life.phase != WP_POOL_RUNNING) status = WP_BROKEN;
  else if ((index = enter(pool, submission, ticket)) == WP_NO_TASK) status = WP_SYSTEM_CALL_FAILED;
  if (status == WP_OK) {
    enter_landed(pool, index, submission->length, &landing, wakes);
    *kept = landing.memory == submission->bytes;
    return WP_OK;
  }
  if (landing.worker != WP_NO_WORKER) {
    wp_buffer_free(&pool->workers[landing.worker].arguments, landing.buffer);
    wp_bell_collector(pool);  // a task may wait for this buffer
  } else if (!submission->adopt) {
    free(landing.memory);
  }
  wp_task_retire(pool, 1);
  return status;
}

/// Whether there is what is counted, and no memory twice.
static bool is_valid(const wp_process_submission *submission) {
  size_t count = submission->shared_count;
  if (submission->length > 0 && submission->bytes == NULL) return false;
  if (count == 0) return true;
  if (count > WP_PROCESS_MAX_SHARED || submission->shared == NULL) return false;
  for (size_t i = 0; i < count; i++) {
    if (submission->shared[i] == NULL) return false;
    for (size_t j = 0; j < i; j++) {
      if (submission->shared[j] == submission->shared[i]) return false;
    }
  }
  return true;
}

wp_status wp_process_pool_submit(wp_process_pool *pool, const wp_process_submission *submission, uint64_t *ticket) {
  if (wp_forked_from(pool)) return WP_FORKED;
  if (submission->length > pool->geometry.max_payload) return WP_TOO_LARGE;
  if (!is_valid(submission)) return WP_INVALID_ARGUMENT;
  bool large = wp_payload_is_large(submission->length);
  wp_wakes wakes;
  wakes.count = 0;
  bool kept = false;
  pthread_mutex_lock(&pool->lock);
  wp_status status = large ? accept_large(pool, submission, ticket, &wakes, &kept)
                           : accept(pool, submission, ticket, &wakes);
  pthread_mutex_unlock(&pool->lock);
  // From here on the task may have ended and the pool be gone: only the words' addresses are used.
  wp_bell_wake_all(&wakes);
  if (status == WP_OK && submission->adopt && !kept) free((void *)(uintptr_t)submission->bytes);
  return status;
}
