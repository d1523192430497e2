#include "wp_host_collect.h"

#include "wp_host_advance.h"
#include "wp_host_affinity.h"
#include "wp_host_bell.h"
#include "wp_host_buffers.h"
#include "wp_host_death.h"
#include "wp_host_ends.h"
#include "wp_host_kill.h"
#include "wp_host_queue.h"
#include "wp_host_reply.h"
#include "wp_host_size.h"
#include "wp_host_slots.h"
#include "wp_host_spawn.h"
#include "wp_host_supervise.h"
#include "wp_host_tidy.h"
#include "wp_host_timers.h"

#include <stdlib.h>
#include <string.h>

__thread const wp_process_pool *wp_calling_back;

// MARK: Gathering

/// The next record of the batch, cleared.
static wp_completion *new_completion(wp_process_pool *pool, uint32_t task) {
  wp_completion *record = &pool->batch.records[pool->batch.count++];
  memset(record, 0, offsetof(wp_completion, bytes));
  record->pool = pool;
  const wp_task *ended = &pool->tasks.nodes[task];
  record->token = ended->token;
  record->outcome.function = ended->function;
  record->outcome.timeout_ns = ended->options == NULL ? 0 : ended->options->timeout_ns;
  record->outcome.workers_lost = ended->workers_lost;
  record->worker = WP_NO_WORKER;
  record->argument_buffer = record->result_buffer = WP_NO_BUFFER;
  return record;
}

static void gather_ended(wp_process_pool *pool) {
  while (pool->batch.count < WP_BATCH && pool->tasks.ended.count > 0) {
    uint32_t index = pool->tasks.ended.first;
    wp_completion *record = new_completion(pool, index);
    const wp_task_loss *loss = &pool->tasks.nodes[index].body.loss;
    record->outcome.end = loss->end;
    record->outcome.reason = loss->reason;
    record->outcome.worker_pid = loss->process;
    record->outcome.wait_status = loss->wait_status;
    record->outcome.forbidden_call = loss->forbidden_call;
    record->outcome.run_ns = loss->run_ns;
    record->death = loss->death;
    wp_death_tell(loss->death, &record->outcome);
    record->outcome.stop = loss->stop;
    pool->queue.terminated += loss->end == WP_TASK_TERMINATED;
    pool->queue.discarded += loss->end == WP_TASK_DISCARDED;
    wp_task_unlink(&pool->tasks, &pool->tasks.ended, index);
    wp_task_remove(&pool->tasks, index);
  }
}

/// Takes the result at `worker->collected`.
static void take_reply(wp_process_pool *pool, uint32_t index, wp_reply_slot *slot, uint32_t task) {
  wp_host_worker *worker = &pool->workers[index];
  uint32_t position = worker->collected++;
  wp_sent *sent = wp_sent_at(pool, worker, position);
  wp_completion *record = new_completion(pool, task);
  record->outcome.stop = sent->stop;
  wp_task_remove(&pool->tasks, task);
  size_t limit = pool->geometry.max_payload;
  const wp_reply reply = wp_reply_read(slot, limit);
  record->outcome.end = reply.is_there ? WP_TASK_REPLIED : WP_TASK_REPLY_TOO_LARGE;
  record->outcome.reply_code = reply.code;
  record->outcome.length = reply.length > SIZE_MAX ? SIZE_MAX : (size_t)reply.length;
  record->outcome.limit = limit;
  record->outcome.worker_pid = worker->process;
  record->outcome.run_ns = reply.run_ns;
  wp_queue_adapt(pool, reply.run_ns);
  unsigned char *buffer = (unsigned char *)wp_channel_results(&worker->channel, &pool->geometry, sent->result_buffer);
  if (reply.length <= WP_REPLY_INLINE) {
    memcpy(record->bytes, slot->bytes, (size_t)reply.length);
    record->outcome.bytes = record->bytes;
  } else if (reply.is_there) {
    record->outcome.bytes = buffer + reply.offset;
  }
  if (reply.touched > 0) {
    record->outcome.buffer = buffer;
    record->outcome.buffer_length = reply.touched;
    record->outcome.lender = record;
  }
  size_t arguments = (size_t)wp_channel_request(&worker->channel, &pool->geometry, position)->length;
  pool->idle.warm = pool->idle.warm || reply.touched > 0 || sent->argument_buffer != WP_NO_BUFFER;
  if (reply.touched == 0 && arguments <= WP_KEEP_WARM) {
    wp_slots_free_buffers(worker, sent);
    return;
  }
  record->worker = index;
  record->argument_buffer = sent->argument_buffer;
  record->result_buffer = sent->result_buffer;
  record->touched_arguments = arguments;
  record->touched_results = reply.touched;
}

/// Whether the worker has something to collect. Seq_cst: it is also the collector's recheck before it sleeps.
static bool shows_result(const wp_process_pool *pool, const wp_host_worker *worker) {
  wp_reply_slot *slot = wp_channel_reply(&worker->channel, &pool->geometry, worker->collected);
  uint32_t word = wp_atomic_load(&slot->state, wp_seq_cst);
  return word == wp_slot_word(worker->collected, WP_SLOT_DONE) ||
         word == wp_slot_word(worker->collected, WP_SLOT_SKIPPED);
}

/// Whether `word` is one that a well-behaved worker can show at a position in use.
static bool plausible(uint32_t word, uint32_t position, wp_sent_state sent) {
  if (sent == WP_SENT_REVOKED) return word == wp_slot_word(position, WP_SLOT_REVOKED);
  return word == wp_slot_word(position, WP_SLOT_READY) || word == wp_slot_word(position, WP_SLOT_STARTED);
}

/// Takes what worker `index` has finished, as far as the batch has room.
static void gather_worker(wp_process_pool *pool, uint32_t index) {
  wp_host_worker *worker = &pool->workers[index];
  bool sound = true;
  uint32_t before = pool->batch.count;
  uint32_t first = worker->collected;
  while (pool->batch.count < WP_BATCH && worker->collected != worker->published) {
    uint32_t position = worker->collected;
    wp_sent *sent = wp_sent_at(pool, worker, position);
    wp_reply_slot *slot = wp_channel_reply(&worker->channel, &pool->geometry, position);
    uint32_t word = wp_atomic_load(&slot->state, wp_acquire);  // edge "reply"
    if (sent->state == WP_SENT_TASK && word == wp_slot_word(position, WP_SLOT_DONE)) {
      take_reply(pool, index, slot, sent->task);
    } else if (sent->state == WP_SENT_REVOKED && word == wp_slot_word(position, WP_SLOT_SKIPPED)) {
      pool->idle.warm = pool->idle.warm || sent->argument_buffer != WP_NO_BUFFER;
      wp_slots_free_buffers(worker, sent);
      worker->collected++;
    } else {
      sound = plausible(word, position, sent->state);
      break;
    }
  }
  if (worker->collected == worker->published) sound = !shows_result(pool, worker);  // of a task it was never sent
  if (worker->collected != first) wp_timers_moved_on(pool, index);
  if (pool->batch.count == WP_BATCH) return;
  if (worker->state == WP_WORKER_ENDED) {
    // Not while its last results are being read: the worker that follows may write there.
    if (pool->batch.count != before) return;
    wp_supervise_ended(pool, index);
    wp_worker_clear(pool, index);
    return;
  }
  if (!sound && !worker->condemned && worker->pidfd >= 0) {
    wp_kill_worker(pool, index);  // a task has overwritten its worker's slots; its death is handled like any other
  }
  wp_slots_list(pool, index);
}

static void see_ready(wp_process_pool *pool, uint32_t index) {
  wp_host_worker *worker = &pool->workers[index];
  if (worker->state != WP_WORKER_SPAWNING) return;
  wp_channel_status *status = wp_channel_get_status(&worker->channel);
  if (wp_atomic_load(&status->ready, wp_acquire) != worker->generation) return;
  // Not before SPAWNED has told its process id; that report is already on its way.
  if (worker->process == 0) return;
  worker->state = WP_WORKER_LIVE;
  if (worker->condemned) return;  // it was turned away
  wp_supervise_ready(pool, index);
  wp_places_note(pool, index);
  wp_slots_list(pool, index);
}

/// Under the lock: fills the batch.
static void gather(wp_process_pool *pool) {
  gather_ended(pool);
  for (uint32_t i = 0; i < pool->size.bound; i++) {
    see_ready(pool, i);
    if (pool->workers[i].state >= WP_WORKER_LIVE) gather_worker(pool, i);
  }
  gather_ended(pool);
}

// MARK: Calling back

static void settle(wp_process_pool *pool) {
  pool->queue.unfinished -= pool->batch.count;
  pool->batch.count = 0;
}

/// Frees the buffers that a callback used, at once: the next task gets the same, which is warm in the caches.
static void let_go(wp_process_pool *pool, const wp_completion *record) {
  wp_host_worker *worker = &pool->workers[record->worker];
  if (record->argument_buffer != WP_NO_BUFFER) {
    wp_buffer_trim(wp_channel_arguments(&worker->channel, &pool->geometry, record->argument_buffer),
                   record->touched_arguments);
    size_t *populated = &worker->populated[record->argument_buffer];
    if (*populated > WP_KEEP_WARM) *populated = WP_KEEP_WARM;
  }
  if (record->result_buffer != WP_NO_BUFFER) {
    wp_buffer_trim(wp_channel_results(&worker->channel, &pool->geometry, record->result_buffer), record->touched_results);
  }
  pthread_mutex_lock(&pool->lock);
  wp_buffer_free(&worker->arguments, record->argument_buffer);
  wp_buffer_free(&worker->results, record->result_buffer);
  pthread_mutex_unlock(&pool->lock);
}

static void call_back(wp_process_pool *pool, bool leading) {
  const wp_process_pool_hooks *hooks = &pool->settings.hooks;
  const wp_process_pool *outer = wp_calling_back;
  wp_calling_back = pool;
  for (uint32_t i = 0; i < pool->batch.count; i++) {
    wp_completion *record = &pool->batch.records[i];
    record->outcome.on_waiting_thread = leading;
    if (hooks->completed != NULL) hooks->completed(hooks->context, record->token, &record->outcome);
    free(record->death);
    record->death = NULL;
    if (record->worker != WP_NO_WORKER) let_go(pool, record);
  }
  wp_calling_back = outer;
}

void wp_collect_call_left(wp_process_pool *pool) {
  if (wp_atomic_load(&pool->bells.call_due, wp_relaxed) == 0) return;
  wp_atomic_store(&pool->bells.call_due, 0u, wp_relaxed);  // before the call, which sees what was left by then
  if (pool->settings.hooks.called != NULL) pool->settings.hooks.called(pool->settings.hooks.context);
}

// MARK: Rounds

/// On a leader, under the lock: what follows when no task is left is the business of the collector's thread.
static void leave_to_collector(wp_process_pool *pool) {
  if (wp_size_is_due(pool)) wp_bell_collector(pool);
  if (pool->queue.unfinished > 0) return;
  wp_task_table_trim(&pool->tasks);
  wp_tidy_later(pool);
  if (pool->users.closed || pool->life.phase != WP_POOL_RUNNING) wp_bell_collector(pool);
}

bool wp_collect_results(wp_process_pool *pool) {
  wp_wakes wakes;
  wakes.count = 0;
  pthread_mutex_lock(&pool->lock);
  settle(pool);
  gather(pool);
  wp_queue_send(pool, &wakes);
  pool->batch.busy = pool->queue.unfinished > pool->batch.count;
  leave_to_collector(pool);
  pthread_mutex_unlock(&pool->lock);
  wp_bell_wake_all(&wakes);
  call_back(pool, true);
  return wp_atomic_load(&pool->bells.call_due, wp_relaxed) == 0;
}

void wp_collect_settle(wp_process_pool *pool) {
  if (pool->batch.count == 0) return;
  wp_wakes wakes;
  wakes.count = 0;
  pthread_mutex_lock(&pool->lock);
  settle(pool);
  wp_queue_send(pool, &wakes);
  pool->batch.busy = pool->queue.unfinished > 0;
  leave_to_collector(pool);
  pthread_mutex_unlock(&pool->lock);
  wp_bell_wake_all(&wakes);
}

/// Under the lock: whether there is something to say, and what.
static bool take_notices(wp_process_pool *pool, wp_pending_notices *taken) {
  wp_pending_notices *notices = &pool->notices;
  if (!notices->floats && !notices->elsewhere && !notices->not_started && !notices->reexecuted) return false;
  *taken = *notices;
  notices->floats = notices->elsewhere = notices->not_started = notices->reexecuted = false;
  return true;
}

static void give_notices(const wp_pending_notices *notices) {
  wp_places_give_notice(notices);
  wp_supervise_give_notice(notices);
}

bool wp_collect_round(wp_process_pool *pool) {
  wp_wakes wakes;
  wakes.count = 0;
  pthread_mutex_lock(&pool->lock);
  bool settled = pool->batch.count > 0;
  settle(pool);
  gather(pool);
  wp_timers_check(pool);
  wp_advance(pool, &wakes);
  wp_queue_send(pool, &wakes);
  pool->batch.busy = pool->queue.unfinished > pool->batch.count;
  if (pool->queue.unfinished == 0) wp_task_table_trim(&pool->tasks);
  bool tidy = wp_tidy_is_due(pool);
  wp_pending_notices notices;
  bool noted = take_notices(pool, &notices);
  pthread_mutex_unlock(&pool->lock);
  wp_bell_wake_all(&wakes);
  wp_spawn_send_orders(pool);
  if (noted) give_notices(&notices);
  if (tidy) wp_tidy_now(pool);
  wp_collect_call_left(pool);  // of earlier results than these
  call_back(pool, false);
  return settled || noted || tidy || pool->batch.count > 0;  // a task may wait for a buffer that was being tidied
}

bool wp_collect_has_news(const wp_process_pool *pool) {
  if (pool->tasks.ended.count > 0) return true;  // lost since the last round; only the holder of the role adds to them
  for (uint32_t i = 0; i < pool->size.bound; i++) {
    const wp_host_worker *worker = &pool->workers[i];
    if (worker->state == WP_WORKER_ENDED) return true;
    if (worker->state == WP_WORKER_SPAWNING && worker->process != 0) {
      wp_channel_status *status = wp_channel_get_status(&worker->channel);
      if (wp_atomic_load(&status->ready, wp_seq_cst) == worker->generation) return true;
    }
    if (worker->state == WP_WORKER_LIVE && !worker->condemned && shows_result(pool, worker)) return true;
  }
  return false;
}
