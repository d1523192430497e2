#include "wp_host_queue.h"

#include "wp_host_buffers.h"
#include "wp_host_ends.h"
#include "wp_host_payload.h"
#include "wp_host_slots.h"

#include <stdlib.h>
#include <string.h>

/// A worker that begins a task just as it is to be taken from it wins; others may be found instead.
#define WP_TAKE_OVER_ATTEMPTS 8u

void wp_queue_adapt(wp_process_pool *pool, uint64_t run_ns) {
  if (!pool->settings.ahead_follows_tasks) return;
  uint64_t run = run_ns < 1000000u ? run_ns : 1000000u;  // a worker's word: it can claim anything
  pool->queue.mean_run_ns = (7 * pool->queue.mean_run_ns + run) / 8;
  uint64_t ahead = WP_AHEAD_NS / (pool->queue.mean_run_ns + 1);
  if (ahead < WP_LEAST_AHEAD) ahead = WP_LEAST_AHEAD;
  if (ahead > pool->geometry.prefetch) ahead = pool->geometry.prefetch;
  pool->queue.ahead = (uint32_t)ahead;
}

uint32_t wp_queue_pick(const wp_process_pool *pool) {
  for (uint32_t load = 0; load < pool->queue.ahead; load++) {
    if (pool->queue.buckets[load].first != WP_NO_WORKER) return pool->queue.buckets[load].first;
  }
  return WP_NO_WORKER;
}

// MARK: What waits

/// The task ends: there is no memory for its argument in a worker's buffer.
static void lose_pending(wp_process_pool *pool, uint32_t index) {
  wp_task_loss loss;
  memset(&loss, 0, sizeof loss);
  loss.end = WP_TASK_NO_MEMORY;
  loss.reason = "no memory for the pages of its argument that its worker would read";
  wp_task_unlink(&pool->tasks, &pool->tasks.pending, index);
  wp_task_lose(pool, index, &loss);
}

/// Copies what the first pending task carries, without the lock. False when the task has gone meanwhile; one whose argument
/// finds no memory ends.
static bool copy_pending(wp_process_pool *pool, uint32_t target, const wp_payload *source, uint8_t buffer,
                         wp_wakes *wakes) {
  const wp_task *task = &pool->tasks.nodes[pool->tasks.pending.first];
  uint32_t owner = task->worker;
  uint32_t index = pool->tasks.pending.first;
  pool->tasks.pinned = source->bytes;
  bool copied = wp_payload_copy(pool, target, source, buffer, wakes);
  bool there = pool->tasks.pinned != NULL;
  pool->tasks.pinned = NULL;
  if (there && !copied) lose_pending(pool, index);
  if (there) return copied;
  // The thread that dropped the argument has left its memory to us.
  if (source->buffer == WP_NO_BUFFER) free((void *)(uintptr_t)source->bytes);
  else wp_buffer_free(&pool->workers[owner].arguments, source->buffer);
  return false;
}

/// Sends a task whose large argument is in its buffer, and frees the memory that it was copied from, if it was, without the
/// lock.
static void send_copied(wp_process_pool *pool, uint32_t worker, uint32_t index, const wp_payload *payload,
                        wp_wakes *wakes) {
  void *memory = wp_task_take_memory(&pool->tasks.nodes[index]);
  wp_slots_send(pool, worker, index, payload, wakes);
  pthread_mutex_unlock(&pool->lock);
  wp_bell_wake_all(wakes);
  free(memory);
  pthread_mutex_lock(&pool->lock);
}

/// Sends a pending task. False when all have to wait.
static bool send_pending(wp_process_pool *pool, wp_wakes *wakes) {
  uint32_t worker = wp_queue_pick(pool);
  if (pool->tasks.pending.count == 0 || worker == WP_NO_WORKER) return false;
  uint32_t index = wp_payload_next(pool, worker);
  if (index == WP_NO_TASK) return false;
  wp_task *task = &pool->tasks.nodes[index];
  wp_payload payload = wp_payload_of_pending(pool, task);
  payload.in_buffer = task->buffer != WP_NO_BUFFER && task->worker == worker;
  bool copied = false;
  if (payload.in_buffer) {
    wp_payload_end_wait(pool, index);  // the slot's from here on
  } else {
    uint8_t buffer;
    if (!wp_payload_reserve(pool, worker, payload.length, &buffer)) return false;
    if (wp_payload_is_large(payload.length)) {
      uint32_t generation = pool->workers[worker].generation;
      copied = copy_pending(pool, worker, &payload, buffer, wakes);
      if (!copied || !wp_payload_arrives(pool, worker, generation)) {
        wp_buffer_free(&pool->workers[worker].arguments, buffer);
        return true;
      }
      payload.in_buffer = true;
    } else if (!wp_payload_populate(pool, worker, buffer, payload.length)) {
      wp_buffer_free(&pool->workers[worker].arguments, buffer);
      lose_pending(pool, index);
      return true;
    }
    payload.buffer = buffer;
  }
  wp_task_unlink(&pool->tasks, &pool->tasks.pending, index);
  if (copied) send_copied(pool, worker, index, &payload, wakes);
  else wp_slots_send(pool, worker, index, &payload, wakes);
  return true;
}

// MARK: What stands behind another

/// Finds a task that stands behind another in some worker's slots and has not begun. WP_NO_TASK when there is none.
static uint32_t find_waiting(wp_process_pool *pool) {
  for (uint32_t load = pool->geometry.prefetch; load >= 2; load--) {
    for (uint32_t i = pool->queue.buckets[load].first; i != WP_NO_WORKER; i = pool->workers[i].bucket_next) {
      wp_host_worker *worker = &pool->workers[i];
      if (worker->published == worker->collected) continue;
      for (uint32_t position = worker->collected + 1; position != worker->published; position++) {
        const wp_sent *sent = wp_sent_at(pool, worker, position);
        wp_reply_slot *slot = wp_channel_reply(&worker->channel, &pool->geometry, position);
        uint32_t word = wp_atomic_load(&slot->state, wp_relaxed);
        if (sent->state == WP_SENT_TASK && word == wp_slot_word(position, WP_SLOT_READY)) return sent->task;
      }
    }
  }
  return WP_NO_TASK;
}

/// Sends a task to an idle worker that waits in another's slot: first its argument is copied (without the lock, if it
/// is large; nobody but us, the collector, can free the slot that it stands in), then the task is taken back.
/// False when there is none.
static bool take_over(wp_process_pool *pool, uint32_t *failures, wp_wakes *wakes) {
  uint32_t worker = pool->queue.buckets[0].first;
  uint32_t index = worker == WP_NO_WORKER ? WP_NO_TASK : find_waiting(pool);
  if (index == WP_NO_TASK) return false;
  uint64_t ticket = wp_task_ticket(&pool->tasks, index);
  uint32_t from = pool->tasks.nodes[index].worker;
  uint32_t position = pool->tasks.nodes[index].position;
  wp_payload payload = wp_payload_of_sent(pool, from, position);
  uint8_t buffer;
  if (!wp_payload_reserve(pool, worker, payload.length, &buffer)) return false;
  payload.buffer = buffer;
  bool possible = true;
  if (wp_payload_is_large(payload.length)) {
    uint32_t generation = pool->workers[worker].generation;
    possible = wp_payload_copy(pool, worker, &payload, buffer, wakes);
    payload.in_buffer = true;
    possible = possible && wp_payload_arrives(pool, worker, generation) && wp_task_find(&pool->tasks, ticket) == index;
  } else {
    possible = wp_payload_populate(pool, worker, buffer, payload.length);
  }
  if (possible && wp_slots_revoke(pool, index)) {
    wp_slots_send(pool, worker, index, &payload, wakes);
  } else {
    wp_buffer_free(&pool->workers[worker].arguments, buffer);
    ++*failures;
  }
  return true;
}

void wp_queue_send(wp_process_pool *pool, wp_wakes *wakes) {
  while (send_pending(pool, wakes)) continue;
  if (pool->tasks.pending.count > 0) return;
  uint32_t failures = 0;
  while (failures < WP_TAKE_OVER_ATTEMPTS && take_over(pool, &failures, wakes)) continue;
}
