#include "wp_host_timers.h"

#include "../../platform/wp_clock.h"
#include "wp_host_bell.h"
#include "wp_host_ends.h"
#include "wp_host_kill.h"
#include "wp_host_reply.h"
#include "wp_host_slots.h"

/// How soon to look again for the start of a task whose worker has not begun it, at the least.
#define WP_BEGIN_LOOK_NS ((uint64_t)1000000)
/// A worker that has nothing else to do and does not begin a task for so long is replaced: somebody has stopped it.
#define WP_BEGIN_PATIENCE_NS ((uint64_t)1000000000)

/// How often that happens to one task before it counts as one that ran for too long.
#define WP_BEGIN_ATTEMPTS 3

static uint64_t larger(uint64_t first, uint64_t second) { return first > second ? first : second; }
static uint64_t smaller(uint64_t first, uint64_t second) { return first < second ? first : second; }

/// Kills the worker at `position`, unless it has come further meanwhile. What it has not begun runs elsewhere: what stands behind
/// that position, and with `unbegun` what stands there.
static void end_worker(wp_process_pool *pool, uint32_t index, uint32_t position, bool unbegun) {
  wp_host_worker *worker = &pool->workers[index];
  uint32_t from = unbegun ? position : position + 1;
  // Newest first, each put in front of the pending, which keeps their order.
  for (uint32_t at = worker->published; at-- != from;) {
    const wp_sent *sent = wp_sent_at(pool, worker, at);
    if (sent->state == WP_SENT_REVOKED) continue;
    if (wp_slots_revoke(pool, sent->task)) {
      wp_task_put_back(pool, worker, at);
    } else if (at == position || wp_slots_word(pool, worker, position) == wp_slot_word(position, WP_SLOT_DONE)) {
      return;
    }
    // Else it says to have begun what stands behind a task that it has not ended. That is a lie, which saves nobody.
  }
  if (worker->pidfd < 0) return;
  wp_kill_worker(pool, index);
}

// MARK: Checking

/// The task at `position` is the worker's next and was not begun. Returns when to look again.
static uint64_t await_begin(wp_process_pool *pool, uint32_t index, uint32_t position, uint64_t now) {
  wp_sent *sent = wp_sent_at(pool, &pool->workers[index], position);
  const wp_task_options *options = pool->tasks.nodes[sent->task].options;
  if (options == NULL || options->timeout_ns == 0) return UINT64_MAX;
  uint64_t patience = larger(wp_clock_after(options->timeout_ns, options->grace_ns), WP_BEGIN_PATIENCE_NS);
  if (sent->due_ns == 0) sent->due_ns = wp_clock_after(now, patience);
  if (now < sent->due_ns) {
    return smaller(sent->due_ns, wp_clock_after(now, larger(options->timeout_ns, WP_BEGIN_LOOK_NS)));
  }
  // One that says for ever that it has not begun, on whichever worker, is not sent round for ever.
  wp_task *task = &pool->tasks.nodes[sent->task];
  bool unbegun = ++task->unbegun < WP_BEGIN_ATTEMPTS;
  if (!unbegun) sent->fate = WP_TASK_TIMED_OUT;
  end_worker(pool, index, position, unbegun);
  return UINT64_MAX;
}

/// When the task began: asked of the worker once, and not believed beyond what is possible.
static void note_start(wp_sent *sent, wp_reply_slot *slot, const wp_task_options *options, uint64_t now) {
  uint64_t claimed = wp_reply_claimed_start(slot);
  sent->started_ns = smaller(larger(claimed, sent->sent_ns), now);
  bool limited = options != NULL && options->timeout_ns != 0;
  sent->due_ns = !limited ? UINT64_MAX : wp_clock_after(sent->started_ns, options->timeout_ns);
}

/// The task at `position` runs. Does what is due and returns when to look again.
static uint64_t watch(wp_process_pool *pool, uint32_t index, uint32_t position, uint64_t now) {
  wp_host_worker *worker = &pool->workers[index];
  wp_sent *sent = wp_sent_at(pool, worker, position);
  const wp_task *task = &pool->tasks.nodes[sent->task];
  if (sent->started_ns == 0) {
    note_start(sent, wp_channel_reply(&worker->channel, &pool->geometry, position), task->options, now);
  }
  if (sent->fate == WP_TASK_WORKER_DIED) {
    if (now < sent->due_ns) return sent->due_ns;
    if (sent->stop != WP_STOP_TIMED_OUT) {
      wp_task_ask(pool, task, WP_STOP_TIMED_OUT);
      sent->due_ns = wp_clock_after(now, task->options->grace_ns);
      if (now < sent->due_ns) return sent->due_ns;
    }
    sent->fate = WP_TASK_TIMED_OUT;
  }
  end_worker(pool, index, position, false);
  return UINT64_MAX;
}

/// The position of the one task that the worker may be running, if it is a watched one.
static bool find_watched(const wp_process_pool *pool, wp_host_worker *worker, uint32_t *position) {
  if (worker->state != WP_WORKER_LIVE || worker->condemned) return false;
  uint32_t at = worker->collected;
  while (at != worker->published && wp_sent_at(pool, worker, at)->state == WP_SENT_REVOKED) at++;
  *position = at;
  return at != worker->published && pool->tasks.nodes[wp_sent_at(pool, worker, at)->task].watched;
}

void wp_timers_moved_on(wp_process_pool *pool, uint32_t index) {
  wp_host_worker *worker = &pool->workers[index];
  uint32_t position;
  if (pool->tasks.watched == 0 || !find_watched(pool, worker, &position)) return;
  const wp_task_options *options = pool->tasks.nodes[wp_sent_at(pool, worker, position)->task].options;
  if (options == NULL || options->timeout_ns == 0) return;
  wp_bell_look_by(pool, wp_clock_after(wp_clock_now(), options->timeout_ns));
}

static uint64_t check_worker(wp_process_pool *pool, uint32_t index, uint64_t now) {
  wp_host_worker *worker = &pool->workers[index];
  uint32_t position;
  if (!find_watched(pool, worker, &position)) return UINT64_MAX;
  const wp_sent *sent = wp_sent_at(pool, worker, position);
  uint32_t word = wp_slots_word(pool, worker, position);
  if (word == wp_slot_word(position, WP_SLOT_DONE)) return UINT64_MAX;  // the next round takes its result
  bool begun = word == wp_slot_word(position, WP_SLOT_STARTED) || wp_sent_begun(sent);
  return begun ? watch(pool, index, position, now) : await_begin(pool, index, position, now);
}

void wp_timers_check(wp_process_pool *pool) {
  uint64_t look = wp_atomic_load(&pool->bells.look_ns, wp_relaxed);
  if (pool->tasks.watched == 0 && look == UINT64_MAX) return;
  uint64_t now = wp_clock_now();
  uint64_t next = UINT64_MAX;
  for (uint32_t i = 0; pool->tasks.watched > 0 && i < pool->size.bound; i++) {
    next = smaller(next, check_worker(pool, i, now));
  }
  if (next < look || look <= now) wp_atomic_store(&pool->bells.look_ns, next, wp_seq_cst);
}
