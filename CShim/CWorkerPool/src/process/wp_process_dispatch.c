// Which worker gets which task.
//
// Live workers stand in lists by how many slots they occupy, so the least loaded is found in O(prefetch) whatever
// their number. Sending ahead (prefetch) hides the round trip to the collector, at the price that a task may stand
// behind a long one while another worker idles: idle workers therefore take such tasks over, which the slot's
// READY → REVOKED transition makes safe against a worker that begins it at the same moment.
#include "wp_process_state.h"

#include "../platform/wp_futex.h"
#include "wp_process_share.h"

#include <stdlib.h>
#include <string.h>

/// A worker that begins a task just as it is to be taken from it wins; others may be found instead.
#define WP_TAKE_OVER_ATTEMPTS 8u

static uint32_t load_of(const wp_host_worker *worker) { return worker->published - worker->collected; }

void wp_dispatch_forget(wp_process_pool *pool, uint32_t index) {
  wp_host_worker *worker = &pool->workers[index];
  if (worker->bucket == WP_NO_WORKER) return;
  wp_worker_list *list = &pool->buckets[worker->bucket];
  if (worker->bucket_previous == WP_NO_WORKER) list->first = worker->bucket_next;
  else pool->workers[worker->bucket_previous].bucket_next = worker->bucket_next;
  if (worker->bucket_next == WP_NO_WORKER) list->last = worker->bucket_previous;
  else pool->workers[worker->bucket_next].bucket_previous = worker->bucket_previous;
  worker->bucket = WP_NO_WORKER;
}

/// Whether it takes tasks: it lives, is wanted, and was told neither to leave nor to die.
static bool is_usable(const wp_process_pool *pool, uint32_t index) {
  const wp_host_worker *worker = &pool->workers[index];
  return worker->state == WP_WORKER_LIVE && wp_is_wanted(pool, index) && !worker->leaving && !worker->condemned;
}

void wp_dispatch_place(wp_process_pool *pool, uint32_t index) {
  wp_host_worker *worker = &pool->workers[index];
  bool usable = is_usable(pool, index);
  uint32_t bucket = usable ? load_of(worker) : WP_NO_WORKER;
  if (bucket == worker->bucket) return;
  wp_dispatch_forget(pool, index);
  if (bucket == WP_NO_WORKER) return;
  WP_ASSERT(bucket <= pool->geometry.prefetch);
  wp_worker_list *list = &pool->buckets[bucket];
  worker->bucket = bucket;
  // Who became idle last is the next to work: it may still spin, and its caches are warm.
  bool front = bucket == 0;
  uint32_t before = front ? WP_NO_WORKER : list->last;
  uint32_t after = front ? list->first : WP_NO_WORKER;
  worker->bucket_previous = before;
  worker->bucket_next = after;
  if (before == WP_NO_WORKER) list->first = index;
  else pool->workers[before].bucket_next = index;
  if (after == WP_NO_WORKER) list->last = index;
  else pool->workers[after].bucket_previous = index;
}

void wp_dispatch_adapt(wp_process_pool *pool, uint64_t run_ns) {
  if (!pool->ahead_follows_tasks) return;
  uint64_t run = run_ns < 1000000u ? run_ns : 1000000u;  // a worker's word: it can claim anything
  pool->mean_run_ns = (7 * pool->mean_run_ns + run) / 8;
  uint64_t ahead = WP_AHEAD_NS / (pool->mean_run_ns + 1);
  if (ahead < WP_LEAST_AHEAD) ahead = WP_LEAST_AHEAD;
  if (ahead > pool->geometry.prefetch) ahead = pool->geometry.prefetch;
  pool->ahead = (uint32_t)ahead;
}

uint32_t wp_dispatch_pick(const wp_process_pool *pool) {
  for (uint32_t load = 0; load < pool->ahead; load++) {
    if (pool->buckets[load].first != WP_NO_WORKER) return pool->buckets[load].first;
  }
  return WP_NO_WORKER;
}

void wp_wake_all(wp_wakes *wakes) {
  for (uint32_t i = 0; i < wakes->count; i++) wp_futex_wake(wakes->words[i], 1, WP_FUTEX_SHARED);
  wakes->count = 0;
}

void wp_dispatch_signal(wp_host_worker *worker, bool leave, wp_wakes *wakes) {
  // Dekker with the worker's store to `sleeping` and its load of the word.
  wp_atomic_store(&wp_channel_get_signal(&worker->channel)->word,
                  wp_signal_of(worker->published, worker->cell_calls, leave || worker->leaving), wp_seq_cst);
  wp_atomic_u32 *sleeping = &wp_channel_get_status(&worker->channel)->sleeping;
  if (wp_atomic_load(sleeping, wp_seq_cst) == 0) return;
  // Whoever turns it to 0 ends the sleep: until the worker falls asleep anew nobody else has to.
  if (wp_atomic_exchange(sleeping, 0u, wp_relaxed) == 0) return;
  if (wakes->count == WP_BATCH) wp_wake_all(wakes);
  wakes->words[wakes->count++] = sleeping;
}

/// Writes the request and its argument where the worker will find them.
static void write_request(wp_process_pool *pool, uint32_t index, uint32_t position, const wp_task *task,
                          const wp_payload *payload) {
  wp_host_worker *worker = &pool->workers[index];
  wp_request_slot *request = wp_channel_request(&worker->channel, &pool->geometry, position);
  request->function = task->function;
  request->length = payload->length;
  request->has_options = task->options != NULL;
  if (task->options != NULL) *wp_channel_options(&worker->channel, &pool->geometry, position) = *task->options;
  request->argument_area = payload->area;
  request->result_area = wp_area_take(&worker->results);
  WP_ASSERT(request->result_area != WP_NO_AREA);
  wp_share_deliver(pool, index, position, task);
  if (payload->in_place || payload->length == 0) return;
  void *target = request->bytes;
  if (payload->length > WP_REQUEST_INLINE) {
    target = wp_channel_arguments(&worker->channel, &pool->geometry, payload->area);
  }
  memcpy(target, payload->bytes, payload->length);
}

void wp_dispatch_send(wp_process_pool *pool, uint32_t index, uint32_t task_index, const wp_payload *payload,
                      wp_wakes *wakes) {
  wp_host_worker *worker = &pool->workers[index];
  wp_task *task = &pool->tasks.tasks[task_index];
  uint32_t position = worker->published++;
  write_request(pool, index, position, task, payload);
  const wp_request_slot *request = wp_channel_request(&worker->channel, &pool->geometry, position);
  if (task->state == WP_TASK_PENDING) wp_payload_drop(pool, task_index);
  task->state = WP_TASK_SENT;
  task->worker = index;
  task->position = position;
  wp_sent *sent = wp_sent_at(pool, worker, position);
  sent->task = task_index;
  sent->state = WP_SENT_TASK;
  wp_timers_sent(pool, sent);
  sent->argument_area = payload->area;
  sent->result_area = request->result_area;
  wp_reply_slot *slot = wp_channel_reply(&worker->channel, &pool->geometry, position);
  wp_atomic_store(&slot->state, wp_slot_word(position, WP_SLOT_READY), wp_release);  // edge "publish"
  wp_dispatch_signal(worker, false, wakes);
  wp_dispatch_place(pool, index);
}

bool wp_dispatch_revoke(wp_process_pool *pool, uint32_t task_index) {
  const wp_task *task = &pool->tasks.tasks[task_index];
  wp_host_worker *worker = &pool->workers[task->worker];
  wp_reply_slot *slot = wp_channel_reply(&worker->channel, &pool->geometry, task->position);
  uint32_t expected = wp_slot_word(task->position, WP_SLOT_READY);
  // Either this or the worker's CAS to STARTED succeeds. Nothing is published by it: relaxed.
  if (!wp_atomic_cas_strong(&slot->state, &expected, wp_slot_word(task->position, WP_SLOT_REVOKED), wp_relaxed,
                            wp_relaxed)) {
    return false;
  }
  wp_sent_at(pool, worker, task->position)->state = WP_SENT_REVOKED;
  return true;
}

// MARK: What waits

/// Copies what the first pending task carries, without the lock. False when the task has gone meanwhile.
static bool copy_pending(wp_process_pool *pool, uint32_t target, const wp_payload *source, uint8_t area,
                         wp_wakes *wakes) {
  const wp_task *task = &pool->tasks.tasks[pool->tasks.pending.first];
  uint32_t owner = task->worker;
  pool->tasks.pinned = source->bytes;
  wp_payload_copy(pool, target, source, area, wakes);
  bool there = pool->tasks.pinned != NULL;
  pool->tasks.pinned = NULL;
  if (there) return true;
  // Whoever dropped the argument has left it to us.
  if (source->area == WP_NO_AREA) free((void *)(uintptr_t)source->bytes);
  else wp_area_free(&pool->workers[owner].arguments, source->area);
  return false;
}

/// Sends a task whose large argument is in its area, and frees the memory that it was copied from, if it was, without the
/// lock.
static void send_copied(wp_process_pool *pool, uint32_t worker, uint32_t index, const wp_payload *payload,
                        wp_wakes *wakes) {
  void *memory = wp_task_take_memory(&pool->tasks.tasks[index]);
  wp_dispatch_send(pool, worker, index, payload, wakes);
  pthread_mutex_unlock(&pool->lock);
  wp_wake_all(wakes);
  free(memory);
  pthread_mutex_lock(&pool->lock);
}

/// Sends the first pending task. False when it has to wait.
static bool send_pending(wp_process_pool *pool, wp_wakes *wakes) {
  uint32_t worker = wp_dispatch_pick(pool);
  if (pool->tasks.pending.count == 0 || worker == WP_NO_WORKER) return false;
  uint32_t index = pool->tasks.pending.first;
  wp_task *task = &pool->tasks.tasks[index];
  wp_payload payload = wp_payload_of_pending(pool, task);
  payload.in_place = task->area != WP_NO_AREA && task->worker == worker;
  bool copied = false;
  if (payload.in_place) {
    task->area = WP_NO_AREA;  // the slot's from here on
    task->length = 0;
  } else {
    uint8_t area;
    if (!wp_payload_reserve(pool, worker, payload.length, &area)) return false;
    if (wp_payload_is_large(payload.length)) {
      uint32_t generation = pool->workers[worker].generation;
      copied = copy_pending(pool, worker, &payload, area, wakes);
      if (!copied || !wp_payload_arrives(pool, worker, generation)) {
        wp_area_free(&pool->workers[worker].arguments, area);
        return true;
      }
      payload.in_place = true;
    }
    payload.area = area;
  }
  wp_task_unlink(&pool->tasks, &pool->tasks.pending, index);
  if (copied) send_copied(pool, worker, index, &payload, wakes);
  else wp_dispatch_send(pool, worker, index, &payload, wakes);
  return true;
}

// MARK: What stands behind another

/// Finds a task that stands behind another in some worker's slots and has not begun. WP_NO_TASK when there is none.
static uint32_t find_waiting(wp_process_pool *pool) {
  for (uint32_t load = pool->geometry.prefetch; load >= 2; load--) {
    for (uint32_t i = pool->buckets[load].first; i != WP_NO_WORKER; i = pool->workers[i].bucket_next) {
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
  uint32_t worker = pool->buckets[0].first;
  uint32_t index = worker == WP_NO_WORKER ? WP_NO_TASK : find_waiting(pool);
  if (index == WP_NO_TASK) return false;
  uint64_t ticket = wp_task_ticket(&pool->tasks, index);
  uint32_t from = pool->tasks.tasks[index].worker;
  uint32_t position = pool->tasks.tasks[index].position;
  wp_payload payload = wp_payload_of_sent(pool, from, position);
  uint8_t area;
  if (!wp_payload_reserve(pool, worker, payload.length, &area)) return false;
  payload.area = area;
  bool possible = true;
  if (wp_payload_is_large(payload.length)) {
    uint32_t generation = pool->workers[worker].generation;
    wp_payload_copy(pool, worker, &payload, area, wakes);
    payload.in_place = true;
    possible = wp_payload_arrives(pool, worker, generation) && wp_task_find(&pool->tasks, ticket) == index;
  }
  if (possible && wp_dispatch_revoke(pool, index)) {
    wp_dispatch_send(pool, worker, index, &payload, wakes);
  } else {
    wp_area_free(&pool->workers[worker].arguments, area);
    ++*failures;
  }
  return true;
}

void wp_dispatch_pending(wp_process_pool *pool, wp_wakes *wakes) {
  while (send_pending(pool, wakes)) continue;
  if (pool->tasks.pending.count > 0) return;
  uint32_t failures = 0;
  while (failures < WP_TAKE_OVER_ATTEMPTS && take_over(pool, &failures, wakes)) continue;
}
