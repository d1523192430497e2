// Timeouts, and the end of tasks that are told to end.
//
// No thread and no periodic wake-up: every round of the collector looks at the task that each worker may be running, if
// it is a watched one (a pool without watched tasks pays for one comparison), and `look_ns` says when a collector that
// sleeps has to make a round for their sake. Whoever sends a watched task, or takes the result of the one before it,
// moves it forward; only the check, once it has passed, moves it back. So a stream of tasks with the same timeout wakes
// the collector once in that time at most.
//
//     begun ───timeout───▶ asked to stop ───grace───▶ worker killed ──▶ WP_TASK_TIMED_OUT
//       └──terminate──────────────────────────────▶ worker killed ──▶ WP_TASK_TERMINATED
//
// A worker can lie about a start, but it is asked only once, and what it says is put between our sending and now.
//
// Killing must not cost a task that the worker begins between our decision and its death. So first everything behind
// the victim is taken back; when that fails, the next task was begun, hence the victim has ended, and is left alone.
#include "wp_process_state.h"

#include "../platform/wp_clock.h"
#include "../platform/wp_process.h"
#include "../platform/wp_thread.h"

#include <signal.h>

/// How soon to look again for the start of a task whose worker has not begun it, at the least.
#define WP_BEGIN_LOOK_NS ((uint64_t)1000000)
/// A worker that has nothing else to do and does not begin a task for so long is replaced: somebody has stopped it.
#define WP_BEGIN_PATIENCE_NS ((uint64_t)1000000000)

static uint64_t add(uint64_t time, uint64_t length) { return time > UINT64_MAX - length ? UINT64_MAX : time + length; }
static uint64_t larger(uint64_t first, uint64_t second) { return first > second ? first : second; }
static uint64_t smaller(uint64_t first, uint64_t second) { return first < second ? first : second; }

void wp_timers_look_by(wp_process_pool *pool, uint64_t time) {
  // Dekker with the collector thread's store to `collector_sleeps` and its load in `wp_timers_deadline`, all seq_cst.
  if (time >= wp_atomic_load(&pool->look_ns, wp_relaxed)) return;
  wp_atomic_store(&pool->look_ns, time, wp_seq_cst);
  if (wp_atomic_load(&pool->collector_sleeps, wp_seq_cst) != 0) wp_pool_poke(pool);
}

uint64_t wp_timers_deadline(const wp_process_pool *pool) { return wp_atomic_load(&pool->look_ns, wp_seq_cst); }

void wp_timers_sent(wp_process_pool *pool, wp_sent *sent) {
  sent->stop = WP_STOP_NONE;
  sent->fate = WP_TASK_WORKER_DIED;
  sent->sent_ns = sent->started_ns = sent->due_ns = 0;
  const wp_task *task = &pool->tasks.tasks[sent->task];
  if (!task->watched || task->options == NULL) return;
  sent->sent_ns = wp_clock_now();
  wp_timers_look_by(pool, add(sent->sent_ns, task->options->timeout_ns));
}

// MARK: Asking and killing

static uint32_t slot_word(const wp_process_pool *pool, const wp_host_worker *worker, uint32_t position) {
  return wp_atomic_load(&wp_channel_reply(&worker->channel, &pool->geometry, position)->state, wp_acquire);
}

bool wp_task_runs(const wp_process_pool *pool, const wp_task *task) {
  if (task->state != WP_TASK_SENT) return false;
  return slot_word(pool, &pool->workers[task->worker], task->position) == wp_slot_word(task->position, WP_SLOT_STARTED);
}

void wp_task_ask(wp_process_pool *pool, const wp_task *task, wp_stop_reason reason) {
  wp_host_worker *worker = &pool->workers[task->worker];
  wp_sent_at(pool, worker, task->position)->stop = reason;
  wp_atomic_store(&wp_channel_get_head(&worker->channel)->stop, wp_task_mark(task->position), wp_relaxed);
}

/// Kills the worker if it can have begun nothing from position `from` on. What stands there runs elsewhere.
static void end_worker(wp_process_pool *pool, uint32_t index, uint32_t from) {
  wp_host_worker *worker = &pool->workers[index];
  // Newest first, each put in front of the pending, which keeps their order.
  for (uint32_t position = worker->published; position-- != from;) {
    const wp_sent *sent = wp_sent_at(pool, worker, position);
    if (sent->state == WP_SENT_REVOKED) continue;
    if (!wp_dispatch_revoke(pool, sent->task)) return;
    wp_process_put_back(pool, worker, position);
  }
  if (worker->pidfd < 0) return;
  worker->condemned = true;  // it gets no more tasks
  wp_dispatch_forget(pool, index);
  wp_pidfd_kill(worker->pidfd, SIGKILL);
}

// MARK: Checking

/// The task at `position` is the worker's next and was not begun. Returns when to look again.
static uint64_t await_begin(wp_process_pool *pool, uint32_t index, uint32_t position, uint64_t now) {
  wp_sent *sent = wp_sent_at(pool, &pool->workers[index], position);
  const wp_task_options *options = pool->tasks.tasks[sent->task].options;
  if (options == NULL || options->timeout_ns == 0) return UINT64_MAX;
  uint64_t patience = larger(add(options->timeout_ns, options->grace_ns), WP_BEGIN_PATIENCE_NS);
  if (sent->due_ns == 0) sent->due_ns = add(now, patience);
  if (now < sent->due_ns) {
    return smaller(sent->due_ns, add(now, larger(options->timeout_ns, WP_BEGIN_LOOK_NS)));
  }
  end_worker(pool, index, position);
  return UINT64_MAX;
}

/// When the task began: asked of the worker once, and not believed beyond what is possible.
static void note_start(wp_sent *sent, wp_reply_slot *slot, const wp_task_options *options, uint64_t now) {
  uint64_t claimed = wp_atomic_load(&slot->started_ns, wp_relaxed);
  sent->started_ns = smaller(larger(claimed, sent->sent_ns), now);
  sent->due_ns = options == NULL || options->timeout_ns == 0 ? UINT64_MAX : add(sent->started_ns, options->timeout_ns);
}

/// The task at `position` runs. Does what is due and returns when to look again.
static uint64_t watch(wp_process_pool *pool, uint32_t index, uint32_t position, uint64_t now) {
  wp_host_worker *worker = &pool->workers[index];
  wp_sent *sent = wp_sent_at(pool, worker, position);
  const wp_task *task = &pool->tasks.tasks[sent->task];
  if (sent->started_ns == 0) {
    note_start(sent, wp_channel_reply(&worker->channel, &pool->geometry, position), task->options, now);
  }
  if (sent->fate == WP_TASK_WORKER_DIED) {
    if (now < sent->due_ns) return sent->due_ns;
    if (sent->stop != WP_STOP_TIMED_OUT) {
      wp_task_ask(pool, task, WP_STOP_TIMED_OUT);
      sent->due_ns = add(now, task->options->grace_ns);
      if (now < sent->due_ns) return sent->due_ns;
    }
    sent->fate = WP_TASK_TIMED_OUT;
  }
  end_worker(pool, index, position + 1);
  return UINT64_MAX;
}

/// The position of the one task that the worker may be running, if it is a watched one.
static bool find_watched(const wp_process_pool *pool, wp_host_worker *worker, uint32_t *position) {
  if (worker->state != WP_WORKER_LIVE || worker->condemned) return false;
  uint32_t at = worker->collected;
  while (at != worker->published && wp_sent_at(pool, worker, at)->state == WP_SENT_REVOKED) at++;
  *position = at;
  return at != worker->published && pool->tasks.tasks[wp_sent_at(pool, worker, at)->task].watched;
}

void wp_timers_moved_on(wp_process_pool *pool, uint32_t index) {
  wp_host_worker *worker = &pool->workers[index];
  uint32_t position;
  if (pool->tasks.watched == 0 || !find_watched(pool, worker, &position)) return;
  const wp_task_options *options = pool->tasks.tasks[wp_sent_at(pool, worker, position)->task].options;
  if (options == NULL || options->timeout_ns == 0) return;
  wp_timers_look_by(pool, add(wp_clock_now(), options->timeout_ns));
}

static uint64_t check_worker(wp_process_pool *pool, uint32_t index, uint64_t now) {
  wp_host_worker *worker = &pool->workers[index];
  uint32_t position;
  if (!find_watched(pool, worker, &position)) return UINT64_MAX;
  const wp_sent *sent = wp_sent_at(pool, worker, position);
  uint32_t word = slot_word(pool, worker, position);
  if (word == wp_slot_word(position, WP_SLOT_DONE)) return UINT64_MAX;  // the next round takes its result
  bool begun = word == wp_slot_word(position, WP_SLOT_STARTED) || wp_sent_begun(sent);
  return begun ? watch(pool, index, position, now) : await_begin(pool, index, position, now);
}

void wp_timers_check(wp_process_pool *pool) {
  uint64_t look = wp_atomic_load(&pool->look_ns, wp_relaxed);
  if (pool->tasks.watched == 0 && look == UINT64_MAX) return;
  uint64_t now = wp_clock_now();
  uint64_t next = UINT64_MAX;
  for (uint32_t i = 0; pool->tasks.watched > 0 && i < pool->in_use; i++) {
    next = smaller(next, check_worker(pool, i, now));
  }
  if (next < look || look <= now) wp_atomic_store(&pool->look_ns, next, wp_seq_cst);
}

// MARK: Told by others

/// Under the lock: leaves it to the collector, which alone writes what a kill changes.
static bool terminate(wp_process_pool *pool, uint32_t index) {
  const wp_task *task = &pool->tasks.tasks[index];
  wp_sent *sent = wp_sent_at(pool, &pool->workers[task->worker], task->position);
  if (sent->fate == WP_TASK_WORKER_DIED) sent->fate = WP_TASK_TERMINATED;
  wp_task_watch(&pool->tasks, index);
  wp_timers_look_by(pool, 0);
  return true;
}

bool wp_process_pool_terminate(wp_process_pool *pool, uint64_t ticket) {
  if (pool->fork_generation != wp_fork_generation()) return false;
  pthread_mutex_lock(&pool->lock);
  uint32_t index = wp_task_find(&pool->tasks, ticket);
  bool runs = index != WP_NO_TASK && wp_task_runs(pool, &pool->tasks.tasks[index]) && terminate(pool, index);
  pthread_mutex_unlock(&pool->lock);
  return runs;
}

/// Under the lock: calls `act` with each task that runs. Returns how often that said true.
static size_t each_running(wp_process_pool *pool, bool (*act)(wp_process_pool *, uint32_t)) {
  size_t count = 0;
  for (uint32_t i = 0; i < pool->in_use; i++) {
    wp_host_worker *worker = &pool->workers[i];
    for (uint32_t position = worker->collected; position != worker->published; position++) {
      const wp_sent *sent = wp_sent_at(pool, worker, position);
      if (sent->state == WP_SENT_REVOKED || !wp_task_runs(pool, &pool->tasks.tasks[sent->task])) continue;
      count += act(pool, sent->task);
    }
  }
  return count;
}

/// False when that was done before; a timeout that has struck stays the reason.
static bool ask_to_end(wp_process_pool *pool, uint32_t index) {
  const wp_task *task = &pool->tasks.tasks[index];
  const wp_sent *sent = wp_sent_at(pool, &pool->workers[task->worker], task->position);
  if (sent->stop == WP_STOP_SHUT_DOWN || sent->stop == WP_STOP_TIMED_OUT) return false;
  wp_task_ask(pool, task, WP_STOP_SHUT_DOWN);
  return true;
}

size_t wp_process_pool_stop_running(wp_process_pool *pool) {
  if (pool->fork_generation != wp_fork_generation()) return 0;
  pthread_mutex_lock(&pool->lock);
  pool->stopping = true;
  size_t count = each_running(pool, ask_to_end);
  pthread_mutex_unlock(&pool->lock);
  return count;
}

size_t wp_process_pool_terminate_running(wp_process_pool *pool) {
  if (pool->fork_generation != wp_fork_generation()) return 0;
  pthread_mutex_lock(&pool->lock);
  pool->stopping = true;
  size_t count = each_running(pool, terminate);
  pthread_mutex_unlock(&pool->lock);
  return count;
}

wp_process_task_counts wp_process_pool_task_counts(wp_process_pool *pool) {
  wp_process_task_counts counts = {0, 0, 0};
  if (pool->fork_generation != wp_fork_generation()) return counts;
  pthread_mutex_lock(&pool->lock);
  counts.unfinished = pool->live;
  counts.discarded = pool->discarded;
  counts.terminated = pool->terminated;
  pthread_mutex_unlock(&pool->lock);
  return counts;
}
