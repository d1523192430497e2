#include "wp_host_ends.h"

#include "../../platform/wp_clock.h"
#include "wp_host_bell.h"
#include "wp_host_buffers.h"
#include "wp_host_death.h"
#include "wp_host_payload.h"
#include "wp_host_reply.h"
#include "wp_host_room.h"
#include "wp_host_slots.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

void wp_task_lose(wp_process_pool *pool, uint32_t index, const wp_task_loss *loss) {
  wp_task *task = &pool->tasks.nodes[index];
  if (task->state == WP_TASK_PENDING) wp_payload_drop(pool, index);
  task->state = WP_TASK_ENDED;
  task->body.loss = *loss;
  wp_task_append(&pool->tasks, &pool->tasks.ended, index);
}

void wp_task_retire(wp_process_pool *pool, size_t count) {
  pool->queue.unfinished -= count;
  if (pool->queue.unfinished == 0 && (pool->users.closed || pool->life.phase == WP_POOL_BROKEN)) wp_bell_collector(pool);
}

/// Queues a task again that the worker at this position had not begun, or may begin again. A long argument stays where it
/// is, in a buffer of that worker.
void wp_task_put_back(wp_process_pool *pool, wp_host_worker *worker, uint32_t position) {
  wp_sent *sent = wp_sent_at(pool, worker, position);
  wp_task *task = &pool->tasks.nodes[sent->task];
  uint32_t owner = wp_room_index(pool, worker);
  wp_task_loss loss;
  memset(&loss, 0, sizeof loss);
  loss.end = WP_TASK_DISCARDED;
  if (!pool->queue.stopping) {
    wp_payload payload = wp_payload_of_sent(pool, owner, position);
    bool kept = payload.buffer != WP_NO_BUFFER;
    if (kept) {
      wp_payload_wait(pool, sent->task, owner, payload.buffer, payload.length);
      sent->argument_buffer = WP_NO_BUFFER;
    }
    if (kept || wp_task_set_bytes(task, payload.bytes, payload.length)) {
      task->state = WP_TASK_PENDING;
      wp_task_prepend(&pool->tasks, &pool->tasks.pending, sent->task);
      return;
    }
    loss.end = WP_TASK_NO_MEMORY;
    loss.reason = "no memory to queue the task again for another worker";
  }
  wp_task_lose(pool, sent->task, &loss);
}

// MARK: What a dead worker leaves

/// Whether a task whose worker died may be begun again.
static bool retries(const wp_process_pool *pool, const wp_sent *sent, const wp_task *task) {
  if (sent->fate != WP_TASK_WORKER_DIED || sent->stop != WP_STOP_NONE || pool->queue.stopping) return false;
  return task->options != NULL && task->workers_lost <= task->options->retries;
}

/// How a task ends whose worker died by itself, or by our hand.
static wp_task_end end_of_begun(const wp_host_worker *worker, const wp_sent *sent) {
  bool killed = WIFSIGNALED(worker->wait_status) && WTERMSIG(worker->wait_status) == SIGKILL;
  return killed ? sent->fate : WP_TASK_WORKER_DIED;
}

/// What it had passed was collected, so it can have begun the next one and none behind that, whatever their words say.
static bool had_begun(const wp_process_pool *pool, wp_host_worker *worker, uint32_t position) {
  wp_reply_slot *slot = wp_channel_reply(&worker->channel, &pool->geometry, position);
  uint32_t word = wp_atomic_load(&slot->state, wp_acquire);
  // STARTED, or overwritten by a task run wild.
  bool shows_begun = position == worker->collected && word != wp_slot_word(position, WP_SLOT_READY);
  return shows_begun || wp_sent_begun(wp_sent_at(pool, worker, position));
}

bool wp_worker_had_begun(const wp_process_pool *pool, wp_host_worker *worker) {
  for (uint32_t position = worker->collected; position != worker->published; position++) {
    if (wp_sent_at(pool, worker, position)->state != WP_SENT_REVOKED && had_begun(pool, worker, position)) return true;
  }
  return false;
}

/// Fails the task that a dead worker had begun; all of its tasks when the pool is broken.
static void lose_begun(wp_process_pool *pool, wp_host_worker *worker) {
  bool broken = pool->life.phase == WP_POOL_BROKEN;
  uint64_t now = wp_clock_now();
  for (uint32_t position = worker->collected; position != worker->published; position++) {
    wp_sent *sent = wp_sent_at(pool, worker, position);
    if (sent->state == WP_SENT_REVOKED) continue;
    bool begun = had_begun(pool, worker, position);
    if (!begun && !broken) continue;
    if (begun) pool->tasks.nodes[sent->task].workers_lost++;
    if (!broken && retries(pool, sent, &pool->tasks.nodes[sent->task])) continue;
    uint64_t started = sent->started_ns;
    if (started == 0) started = wp_reply_claimed_start(wp_channel_reply(&worker->channel, &pool->geometry, position));
    wp_task_loss loss;
    memset(&loss, 0, sizeof loss);
    loss.end = broken ? WP_TASK_POOL_BROKEN : end_of_begun(worker, sent);
    loss.stop = sent->stop;
    loss.reason = broken ? pool->life.broken_reason : worker->loss;
    if (begun) {
      loss.process = worker->process;
      loss.wait_status = worker->wait_status;
      loss.forbidden_call = worker->forbidden_call;
      loss.run_ns = now > started ? now - started : 0;
      if (!broken) loss.death = wp_death_describe(pool, worker, &pool->tasks.nodes[sent->task]);
    }
    wp_task_lose(pool, sent->task, &loss);
    sent->state = WP_SENT_REVOKED;
  }
}

/// Queues what it had not begun in front of everything else, in the old order: newest first, each to the front.
static void queue_again(wp_process_pool *pool, wp_host_worker *worker) {
  for (uint32_t position = worker->published; position-- != worker->collected;) {
    if (wp_sent_at(pool, worker, position)->state == WP_SENT_TASK) wp_task_put_back(pool, worker, position);
  }
}

void wp_worker_clear(wp_process_pool *pool, uint32_t index) {
  wp_host_worker *worker = &pool->workers[index];
  lose_begun(pool, worker);
  queue_again(pool, worker);
  for (uint32_t position = worker->collected; position != worker->published; position++) {
    wp_slots_free_buffers(worker, wp_sent_at(pool, worker, position));
  }
  wp_buffers_clear(pool, index);
  worker->published = worker->collected = 0;
  worker->process = 0;
  worker->state = WP_WORKER_ABSENT;
}
