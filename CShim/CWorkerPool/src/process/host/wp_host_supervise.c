#include "wp_host_supervise.h"

#include "../../base/wp_notice_once.h"
#include "../../platform/wp_clock.h"
#include "../shared/wp_process_message.h"
#include "wp_host_death.h"
#include "wp_host_ends.h"
#include "wp_host_failure.h"
#include "wp_host_kill.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define WP_MILLISECOND ((uint64_t)1000000)
#define WP_FIRST_PAUSE_NS (10 * WP_MILLISECOND)
#define WP_LONGEST_PAUSE_NS (5000 * WP_MILLISECOND)
/// A worker that has lived for so long was of use, if it has ended no task.
#define WP_PROVEN_NS (10000 * WP_MILLISECOND)
#define WP_READY_TIMEOUT_NS (60000 * WP_MILLISECOND)

static uint64_t smaller(uint64_t first, uint64_t second) { return first < second ? first : second; }

// MARK: Pauses

/// Marsaglia's xorshift: good enough to keep many pools from trying at the same moments.
static uint32_t next_random(uint32_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 17;
  *state ^= *state << 5;
  return *state;
}

/// The pause after the last of so many failures: between three and five quarters of what doubles with each.
static uint64_t pause_after(wp_process_pool *pool, uint32_t failures) {
  if (failures == 0) return 0;
  uint32_t doublings = failures > 16 ? 16 : failures - 1;
  uint64_t pause = smaller(WP_FIRST_PAUSE_NS << doublings, WP_LONGEST_PAUSE_NS);
  return pause / 4 * 3 + pause / 2 * (next_random(&pool->outage.random) % 1024) / 1024;
}

// MARK: Outages

static bool is_supervised(const wp_process_pool *pool) {
  return pool->life.phase == WP_POOL_STARTING || pool->life.phase == WP_POOL_RUNNING;
}

static bool some_live(const wp_process_pool *pool) {
  for (uint32_t i = 0; i < pool->size.bound; i++) {
    const wp_host_worker *worker = &pool->workers[i];
    if (worker->state == WP_WORKER_LIVE && !worker->condemned && wp_is_wanted(pool, i)) return true;
  }
  return false;
}

/// Whether a worker, or a template for one, is starting: that has a time of its own.
static bool some_start(const wp_process_pool *pool) {
  if (pool->forker.pidfd >= 0 && !pool->forker.ready) return true;
  for (uint32_t i = 0; i < pool->size.bound; i++) {
    const wp_host_worker *worker = &pool->workers[i];
    if (worker->state != WP_WORKER_SPAWNING || worker->condemned || !wp_is_wanted(pool, i)) continue;
    if (worker->process != 0 || !pool->forker.silent) return true;
  }
  return false;
}

static void begin_outage(wp_process_pool *pool) {
  if (pool->outage.since == 0) pool->outage.since = wp_clock_now();
}

static void end_outage(wp_process_pool *pool) {
  pool->outage.since = pool->outage.before = 0;
  pool->outage.final = false;
}

static uint64_t outage_end(const wp_process_pool *pool) {
  if (pool->outage.final) return 0;
  uint64_t limit = pool->settings.outage_limit_ns;
  uint64_t before = pool->outage.before;
  return wp_clock_after(pool->outage.since, limit == UINT64_MAX ? limit : limit - smaller(before, limit));
}

void wp_supervise_init(wp_process_pool *pool, const wp_process_pool_config *config) {
  pool->settings.on_template_loss = config->on_template_loss;
  pool->settings.outage_limit_ns = config->outage_limit_ns == 0 ? WP_OUTAGE_LIMIT_DEFAULT_NS : config->outage_limit_ns;
  pool->outage.random = (uint32_t)wp_clock_now() | 1u;
}

// MARK: Failures

/// Whether the same would happen again at any time.
static bool is_final(const wp_start_failure *failure) {
  if (wp_call_rule(failure->call) != NULL || failure->call == WP_CALL_HANDLER) return true;
  int number = failure->number;
  return number == EPERM || number == EACCES || number == EINVAL || number == ENOSYS;
}

static void note(wp_process_pool *pool, uint32_t index, const wp_start_failure *failure, const char *call) {
  wp_pending_notices *notices = &pool->notices;
  if (notices->not_started) return;
  notices->not_started = true;
  notices->unstarted = index;
  notices->unstarted_why = failure->reason;
  notices->unstarted_call = call;
  notices->unstarted_errno = call == NULL ? 0 : failure->number;
  notices->unstarted_for_good = is_final(failure);
}

/// A worker, or with WP_NO_WORKER the template, did not start or did not last. `call` NULL: no call failed.
static void fail(wp_process_pool *pool, uint32_t index, const wp_start_failure *failure, const char *call) {
  bool final = is_final(failure);
  wp_attempts *starts = index == WP_NO_WORKER ? &pool->forker.starts : &pool->workers[index].starts;
  starts->failures++;
  starts->next_at = wp_clock_now() + (final ? WP_LONGEST_PAUSE_NS : pause_after(pool, starts->failures));
  // One that lived, and was killed before it was of use, is no news; what fails with the pool's creation that tells.
  bool lived = index != WP_NO_WORKER && pool->workers[index].ready_at != 0;
  if (lived ? starts->failures > 1 : pool->life.phase == WP_POOL_RUNNING) note(pool, index, failure, call);
  if (pool->life.phase == WP_POOL_RUNNING && some_live(pool)) return;
  begin_outage(pool);
  pool->outage.final = final;
  pool->outage.reason = failure->reason;
  const wp_process_breakage known = {
      .reason = failure->reason, .call = call, .system_errno = failure->number, .is_final = final};
  wp_breakage_note(pool, index == WP_NO_WORKER ? NULL : &pool->workers[index], &known);
}

/// Why a worker that was not ready is gone.
static const char *why_not_ready(const wp_host_worker *worker, uint32_t call) {
  const wp_channel_status *status = wp_channel_get_status(&worker->channel);
  bool killed = WIFSIGNALED(worker->wait_status) && WTERMSIG(worker->wait_status) == SIGKILL;
  if (call == WP_CALL_INITIALIZER) return "a worker's initializer failed";
  if (worker->out_of_memory) return "a worker passed its limit of memory before it was ready";
  if (call == WP_CALL_FORK || call == WP_CALL_PIPE || call == WP_CALL_SENDMSG) return "no worker could be forked";
  if (call == WP_CALL_RECVMSG) return "the program had no descriptor left for a worker";
  if (call == WP_CALL_NONE && !killed && wp_atomic_load(&status->initializing, wp_relaxed) != 0) {
    return "a worker ended in its initializer";
  }
  return "a worker ended before it was ready";
}

/// The pool that is being made fails with its first start.
static void fail_creation(wp_process_pool *pool, const wp_start_failure *failure) {
  const char *rule = wp_call_rule(failure->call);
  const char *call = wp_call_name(failure->call);
  if (rule != NULL) wp_failure_start(pool, WP_INVALID_ARGUMENT, 0, call, rule);
  else if (failure->number == 0) wp_failure_start(pool, WP_BROKEN, 0, NULL, failure->reason);
  else wp_failure_start(pool, WP_SYSTEM_CALL_FAILED, failure->number, call, NULL);
}

static void fail_unready(wp_process_pool *pool, uint32_t index) {
  wp_host_worker *worker = &pool->workers[index];
  wp_start_failure failure = worker->failure;
  if (failure.reason == NULL) failure.reason = why_not_ready(worker, failure.call);
  bool in_call = failure.call != WP_CALL_NONE && failure.call != WP_CALL_INITIALIZER;
  if (!in_call) failure.number = 0;
  fail(pool, index, &failure, in_call ? wp_call_name(failure.call) : NULL);
  fail_creation(pool, &failure);
}

// MARK: What happens

void wp_supervise_begins(wp_process_pool *pool, uint32_t index) {
  pool->workers[index].ready_by = wp_clock_now() + WP_READY_TIMEOUT_NS;
}

void wp_supervise_ready(wp_process_pool *pool, uint32_t index) {
  uint64_t now = wp_clock_now();
  pool->workers[index].ready_at = now;
  if (pool->outage.since == 0) return;
  pool->outage.before = wp_clock_after(pool->outage.before, now - pool->outage.since);
  pool->outage.since = 0;
}

/// Whether it was ready, seen or not, and could be reached.
static bool was_ready(const wp_host_worker *worker) {
  if (worker->failure.call != WP_CALL_NONE || worker->failure.reason != NULL) return false;
  const wp_channel_status *status = wp_channel_get_status(&worker->channel);
  return worker->ready_at != 0 || wp_atomic_load(&status->ready, wp_relaxed) == worker->generation;
}

/// Whether it has ended a task, or lived for a while.
static bool was_of_use(const wp_host_worker *worker) {
  if (worker->collected != 0) return true;
  return worker->ready_at != 0 && wp_clock_now() - worker->ready_at >= WP_PROVEN_NS;
}

void wp_supervise_ended(wp_process_pool *pool, uint32_t index) {
  wp_host_worker *worker = &pool->workers[index];
  bool of_use = was_of_use(worker);
  bool begun = wp_worker_had_begun(pool, worker);
  if (of_use) pool->forker.proved = true;
  if (of_use || begun) end_outage(pool);
  if (of_use || !wp_is_wanted(pool, index) || worker->leaving) worker->starts = (wp_attempts){0, 0};
  if (!is_supervised(pool) || !pool->forker.ready) return;  // it went with the template, whose failure it is
  if (!wp_is_wanted(pool, index) || worker->leaving || of_use) return;
  if (!was_ready(worker)) {
    fail_unready(pool, index);
  } else if (begun) {
    worker->starts.next_at = wp_clock_now() + pause_after(pool, worker->starts.failures);
  } else {
    const wp_start_failure failure = {"workers end as soon as they are ready", WP_CALL_NONE, 0};
    fail(pool, index, &failure, NULL);
  }
}

void wp_supervise_template_lost(wp_process_pool *pool) {
  bool proved = pool->forker.proved;
  for (uint32_t i = 0; i < pool->size.bound; i++) proved = proved || was_of_use(&pool->workers[i]);
  wp_start_failure failure = pool->forker.failure;
  if (failure.reason == NULL) failure.reason = "the template process ended before a worker of it was of use";
  if (proved) pool->forker.starts = (wp_attempts){0, 0};
  else fail(pool, WP_NO_WORKER, &failure, failure.number == 0 ? NULL : wp_call_name(failure.call));
}

void wp_supervise_template_failed(wp_process_pool *pool, const wp_error *error) {
  const wp_start_failure failure = {"a new template process could not be started", WP_CALL_NONE, error->system_errno};
  fail(pool, WP_NO_WORKER, &failure, error->call);
}

void wp_supervise_template_silent(wp_process_pool *pool) {
  pool->forker.silent = true;
  if (some_live(pool)) return;
  begin_outage(pool);
  pool->outage.reason = "the template process does not answer";
}

// MARK: What is due

/// When the worker is killed that does not get ready, UINT64_MAX for never.
static uint64_t patience_end(const wp_host_worker *worker) {
  if (worker->state != WP_WORKER_SPAWNING || worker->ready_by == 0 || worker->condemned) return UINT64_MAX;
  const wp_channel_status *status = wp_channel_get_status(&worker->channel);
  bool takes_its_time = wp_atomic_load(&status->initializing, wp_relaxed) != 0 || worker->pidfd < 0;
  return takes_its_time ? UINT64_MAX : worker->ready_by;
}

static void end_what_is_late(wp_process_pool *pool) {
  for (uint32_t i = 0; i < pool->size.bound; i++) {
    wp_host_worker *worker = &pool->workers[i];
    uint64_t end = patience_end(worker);
    if (end == UINT64_MAX || wp_clock_now() < end) continue;
    worker->failure.reason = "a worker was not ready within 60 seconds";
    wp_kill_worker(pool, i);
  }
}

void wp_supervise_advance(wp_process_pool *pool) {
  if (!is_supervised(pool)) return;
  end_what_is_late(pool);
  if (pool->outage.since == 0 || some_start(pool) || wp_clock_now() < outage_end(pool)) return;
  wp_failure_start(pool, WP_BROKEN, 0, NULL, pool->outage.reason);
  wp_failure_break(pool, pool->outage.reason);
}

uint64_t wp_supervise_deadline(const wp_process_pool *pool) {
  if (!is_supervised(pool)) return UINT64_MAX;
  uint64_t deadline = UINT64_MAX;
  if (pool->outage.since != 0 && !some_start(pool)) deadline = outage_end(pool);
  for (uint32_t i = 0; i < pool->size.bound; i++) deadline = smaller(deadline, patience_end(&pool->workers[i]));
  return deadline;
}

void wp_supervise_give_notice(const wp_pending_notices *notices) {
  if (notices->reexecuted) {
    wp_notice_once(WP_NOTICE_TEMPLATE_REEXECUTED, 0,
                   "the template process was lost, and the pool goes on with workers of the program started anew");
  }
  if (!notices->not_started) return;
  const char *outlook = notices->unstarted_for_good ? "which no time cures" : "which is tried again";
  const char *call = notices->unstarted_call == NULL ? "" : notices->unstarted_call;
  wp_notice_once(WP_NOTICE_WORKER_NOT_STARTED, notices->unstarted_errno, "%s, %s%s%s", notices->unstarted_why, outlook,
                 notices->unstarted_errno == 0 ? "" : "; ", call);
}
