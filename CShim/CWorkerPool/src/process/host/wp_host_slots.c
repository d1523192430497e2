#include "wp_host_slots.h"

#include "../../platform/wp_clock.h"
#include "wp_host_buffers.h"
#include "wp_host_share.h"

#include <string.h>

// MARK: Lists by load

static uint32_t load_of(const wp_host_worker *worker) { return worker->published - worker->collected; }

void wp_slots_unlist(wp_process_pool *pool, uint32_t index) {
  wp_host_worker *worker = &pool->workers[index];
  if (worker->bucket == WP_NO_WORKER) return;
  wp_worker_list *list = &pool->queue.buckets[worker->bucket];
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

void wp_slots_list(wp_process_pool *pool, uint32_t index) {
  wp_host_worker *worker = &pool->workers[index];
  bool usable = is_usable(pool, index);
  uint32_t bucket = usable ? load_of(worker) : WP_NO_WORKER;
  if (bucket == worker->bucket) return;
  wp_slots_unlist(pool, index);
  if (bucket == WP_NO_WORKER) return;
  WP_ASSERT(bucket <= pool->geometry.prefetch);
  wp_worker_list *list = &pool->queue.buckets[bucket];
  worker->bucket = bucket;
  // The worker that became idle last is the next to work: it may still spin, and its caches are warm.
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

// MARK: Sending

/// Prepares a slot's record for the task that is about to be sent.
static void note_sent(wp_process_pool *pool, wp_sent *sent) {
  sent->stop = WP_STOP_NONE;
  sent->fate = WP_TASK_WORKER_DIED;
  sent->sent_ns = sent->started_ns = sent->due_ns = 0;
  const wp_task *task = &pool->tasks.nodes[sent->task];
  if (!task->watched || task->options == NULL) return;
  sent->sent_ns = wp_clock_now();
  wp_bell_look_by(pool, wp_clock_after(sent->sent_ns, task->options->timeout_ns));
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
  request->argument_buffer = payload->buffer;
  request->result_buffer = wp_buffer_take(&worker->results);
  WP_ASSERT(request->result_buffer != WP_NO_BUFFER);
  wp_share_deliver(pool, index, position, task);
  if (payload->in_buffer || payload->length == 0) return;
  void *target = request->bytes;
  if (payload->length > WP_REQUEST_INLINE) {
    target = wp_channel_arguments(&worker->channel, &pool->geometry, payload->buffer);
  }
  memcpy(target, payload->bytes, payload->length);
}

void wp_slots_send(wp_process_pool *pool, uint32_t index, uint32_t task_index, const wp_payload *payload,
                   wp_wakes *wakes) {
  wp_host_worker *worker = &pool->workers[index];
  wp_task *task = &pool->tasks.nodes[task_index];
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
  note_sent(pool, sent);
  sent->argument_buffer = payload->buffer;
  sent->result_buffer = request->result_buffer;
  wp_reply_slot *slot = wp_channel_reply(&worker->channel, &pool->geometry, position);
  wp_atomic_store(&slot->state, wp_slot_word(position, WP_SLOT_READY), wp_release);  // edge "publish"
  wp_bell_worker(worker, false, wakes);
  wp_slots_list(pool, index);
}

bool wp_slots_revoke(wp_process_pool *pool, uint32_t task_index) {
  const wp_task *task = &pool->tasks.nodes[task_index];
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

void wp_slots_free_buffers(wp_host_worker *worker, wp_sent *sent) {
  wp_buffer_free(&worker->arguments, sent->argument_buffer);
  wp_buffer_free(&worker->results, sent->result_buffer);
  sent->argument_buffer = sent->result_buffer = WP_NO_BUFFER;
}

// MARK: Asking

uint32_t wp_slots_word(const wp_process_pool *pool, const wp_host_worker *worker, uint32_t position) {
  return wp_atomic_load(&wp_channel_reply(&worker->channel, &pool->geometry, position)->state, wp_acquire);
}

/// The first position that its worker has not passed, as far as it tells.
static uint32_t current_position(const wp_process_pool *pool, wp_host_worker *worker) {
  uint32_t at = worker->collected;
  for (; at != worker->published; at++) {
    uint32_t passed = wp_sent_at(pool, worker, at)->state == WP_SENT_REVOKED ? WP_SLOT_SKIPPED : WP_SLOT_DONE;
    if (wp_slots_word(pool, worker, at) != wp_slot_word(at, passed)) break;
  }
  return at;
}

bool wp_task_runs(const wp_process_pool *pool, const wp_task *task) {
  if (task->state != WP_TASK_SENT) return false;
  wp_host_worker *worker = &pool->workers[task->worker];
  return current_position(pool, worker) == task->position &&
         wp_slots_word(pool, worker, task->position) == wp_slot_word(task->position, WP_SLOT_STARTED);
}

void wp_task_ask(wp_process_pool *pool, const wp_task *task, wp_stop_reason reason) {
  wp_host_worker *worker = &pool->workers[task->worker];
  wp_sent_at(pool, worker, task->position)->stop = reason;
  wp_atomic_store(&wp_channel_get_head(&worker->channel)->stop, wp_task_mark(task->position), wp_relaxed);
}
