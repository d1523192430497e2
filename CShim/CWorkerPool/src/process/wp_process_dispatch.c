// Which worker gets which task.
//
// Live workers stand in lists by how many slots they occupy, so the least loaded is found in O(prefetch) whatever
// their number. Sending ahead (prefetch) hides the round trip to the collector, at the price that a task may stand
// behind a long one while another worker idles: idle workers therefore take such tasks over, which the slot's
// READY → REVOKED transition makes safe against a worker that begins it at the same moment.
#include "wp_process_state.h"

#include "../platform/wp_futex.h"

#include <string.h>

static uint32_t load_of(const wp_host_worker *worker) { return worker->published - worker->freed; }

static wp_sent *sent_at(wp_process_pool *pool, wp_host_worker *worker, uint32_t position) {
  return &worker->sent[position & (pool->geometry.slots - 1)];
}

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

void wp_dispatch_place(wp_process_pool *pool, uint32_t index) {
  wp_host_worker *worker = &pool->workers[index];
  bool usable = worker->state == WP_WORKER_LIVE && !worker->condemned;
  uint32_t bucket = usable ? load_of(worker) : WP_NO_WORKER;
  if (bucket == worker->bucket) return;
  wp_dispatch_forget(pool, index);
  if (bucket == WP_NO_WORKER) return;
  WP_ASSERT(bucket <= pool->geometry.prefetch);
  wp_worker_list *list = &pool->buckets[bucket];
  worker->bucket = bucket;
  worker->bucket_next = WP_NO_WORKER;
  worker->bucket_previous = list->last;
  if (list->last == WP_NO_WORKER) list->first = index;
  else pool->workers[list->last].bucket_next = index;
  list->last = index;
}

uint32_t wp_dispatch_pick(const wp_process_pool *pool) {
  for (uint32_t load = 0; load < pool->geometry.prefetch; load++) {
    if (pool->buckets[load].first != WP_NO_WORKER) return pool->buckets[load].first;
  }
  return WP_NO_WORKER;
}

void wp_wake_all(wp_wakes *wakes) {
  for (uint32_t i = 0; i < wakes->count; i++) wp_futex_wake(wakes->words[i], 1, WP_FUTEX_SHARED);
  wakes->count = 0;
}

/// Tells the worker how far tasks were published. Dekker with its store to `sleeping` and its load of the word.
static void signal_worker(wp_host_worker *worker, wp_wakes *wakes) {
  wp_atomic_u32 *word = &wp_channel_get_signal(&worker->channel)->word;
  wp_atomic_store(word, wp_signal_of(worker->published, false), wp_seq_cst);
  if (wp_atomic_load(&wp_channel_get_status(&worker->channel)->sleeping, wp_seq_cst) == 0) return;
  if (wakes->count == WP_BATCH) wp_wake_all(wakes);
  for (uint32_t i = 0; i < wakes->count; i++) {
    if (wakes->words[i] == word) return;
  }
  wakes->words[wakes->count++] = word;
}

void wp_dispatch_send(wp_process_pool *pool, uint32_t index, uint32_t task_index, const void *bytes, size_t length,
                      wp_wakes *wakes) {
  wp_host_worker *worker = &pool->workers[index];
  wp_task *task = &pool->tasks.tasks[task_index];
  uint32_t position = worker->published++;
  wp_request_slot *request = wp_channel_request(&worker->channel, &pool->geometry, position);
  request->function = task->function;
  request->length = length;
  request->has_options = task->options != NULL;
  if (task->options != NULL) *wp_channel_options(&worker->channel, &pool->geometry, position) = *task->options;
  void *target = request->bytes;
  if (length > WP_REQUEST_INLINE) target = wp_channel_arguments(&worker->channel, &pool->geometry, position);
  if (length > 0) memcpy(target, bytes, length);
  if (task->state == WP_TASK_PENDING) wp_task_drop_bytes(task);
  task->state = WP_TASK_SENT;
  task->worker = index;
  task->position = position;
  wp_sent *sent = sent_at(pool, worker, position);
  sent->task = task_index;
  sent->state = WP_SENT_TASK;
  wp_timers_sent(pool, sent);
  wp_reply_slot *slot = wp_channel_reply(&worker->channel, &pool->geometry, position);
  wp_atomic_store(&slot->state, wp_slot_word(position, WP_SLOT_READY), wp_release);  // edge "publish"
  signal_worker(worker, wakes);
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
  sent_at(pool, worker, task->position)->state = WP_SENT_REVOKED;
  return true;
}

/// Finds a task that stands behind another in some worker's slots and takes it back. WP_NO_TASK when there is none.
static uint32_t take_over(wp_process_pool *pool) {
  for (uint32_t load = pool->geometry.prefetch; load >= 2; load--) {
    for (uint32_t i = pool->buckets[load].first; i != WP_NO_WORKER; i = pool->workers[i].bucket_next) {
      wp_host_worker *worker = &pool->workers[i];
      if (worker->published == worker->collected) continue;
      for (uint32_t position = worker->collected + 1; position != worker->published; position++) {
        const wp_sent *sent = sent_at(pool, worker, position);
        if (sent->state == WP_SENT_TASK && wp_dispatch_revoke(pool, sent->task)) return sent->task;
      }
    }
  }
  return WP_NO_TASK;
}

void wp_dispatch_pending(wp_process_pool *pool, wp_wakes *wakes) {
  while (pool->tasks.pending.count > 0) {
    uint32_t worker = wp_dispatch_pick(pool);
    if (worker == WP_NO_WORKER) return;
    uint32_t index = pool->tasks.pending.first;
    wp_task_unlink(&pool->tasks, &pool->tasks.pending, index);
    const wp_task *task = &pool->tasks.tasks[index];
    wp_dispatch_send(pool, worker, index, wp_task_bytes(task), task->length, wakes);
  }
  while (pool->buckets[0].first != WP_NO_WORKER) {
    uint32_t task = take_over(pool);
    if (task == WP_NO_TASK) return;
    const wp_task *taken = &pool->tasks.tasks[task];
    wp_channel *from = &pool->workers[taken->worker].channel;
    // The host wrote this request and no worker can: it is still what the host knows it to be.
    const wp_request_slot *request = wp_channel_request(from, &pool->geometry, taken->position);
    const void *bytes = request->bytes;
    if (request->length > WP_REQUEST_INLINE) {
      bytes = wp_channel_arguments(from, &pool->geometry, taken->position);
    }
    wp_dispatch_send(pool, pool->buckets[0].first, task, bytes, (size_t)request->length, wakes);
  }
}
