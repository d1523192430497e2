#include "wp_host_collector.h"

#include "../../platform/wp_clock.h"
#include "../../platform/wp_event.h"
#include "../../platform/wp_name.h"
#include "../../platform/wp_poll.h"
#include "../../platform/wp_process.h"
#include "wp_host_advance.h"
#include "wp_host_bell.h"
#include "wp_host_buffers.h"
#include "wp_host_cgroup.h"
#include "wp_host_collect.h"
#include "wp_host_role.h"
#include "wp_host_room.h"
#include "wp_host_supervise.h"
#include "wp_host_witness.h"
#include "wp_host_workers.h"

#include <unistd.h>

/// A busy collector looks at its descriptors this often.
#define WP_ROUNDS_BETWEEN_POLLS 16u

static bool spin(wp_process_pool *pool) {
  if (!pool->batch.busy || pool->settings.spin_ns == 0) return false;
  uint64_t end = wp_clock_now() + pool->settings.spin_ns;
  do {
    for (int i = 0; i < 16; i++) {
      wp_cpu_relax();
      if (wp_collect_has_news(pool)) return true;
    }
    if (wp_atomic_exchange(&pool->role.leader_waits, 0u, wp_relaxed) != 0) return false;
  } while (wp_clock_now() < end);
  return false;
}

/// When there is something to do that no descriptor tells of.
static uint64_t next_deadline(const wp_process_pool *pool) {
  uint64_t lifecycle = wp_advance_deadline(pool);
  uint64_t timers = wp_bell_deadline(pool);
  return lifecycle < timers ? lifecycle : timers;
}

/// Sleeps in poll without the role, until there is something for this thread to do. Returns with the role.
static void sleep_until_wanted(wp_process_pool *pool, struct pollfd events[3]) {
  wp_atomic_store(&pool->bells.asleep, 1u, wp_seq_cst);  // Dekker: see look_by in wp_host_bell.c
  uint64_t deadline = next_deadline(pool);
  wp_role_give_up(pool);
  for (;;) {
    int ready = wp_poll(events, 3, deadline);
    if (ready == 0) break;  // something is due
    if (ready < 0) continue;
    if (events[0].revents != 0) wp_event_clear(pool->bells.collector.hear);
    if (wp_atomic_exchange(&pool->bells.attention, 0u, wp_acquire) != 0) break;
    if (events[1].revents != 0 || events[2].revents != 0) break;
    // A worker rang: for us, unless a leader has taken over.
    uint32_t sleeper = wp_atomic_load(&pool->memory.head->host_sleeping, wp_seq_cst);
    if ((sleeper & WP_SLEEPER) == WP_COLLECTOR_SLEEPS) break;
  }
  wp_role_take_back(pool);
  wp_atomic_store(&pool->bells.asleep, 0u, wp_relaxed);
}

/// Looks at the descriptors, waiting for them when there is nothing else to do.
static void look(wp_process_pool *pool, bool may_sleep) {
  struct pollfd events[3];
  events[0].fd = pool->bells.collector.hear;
  events[1].fd = pool->forker.socket;
  events[2].fd = pool->forker.ends;
  for (int i = 0; i < 3; i++) {
    events[i].events = POLLIN;
    events[i].revents = 0;
  }
  bool sleeps = false;
  if (may_sleep) {
    // Prepare, recheck, commit. Dekker with a worker's store of DONE and its load of `host_sleeping`, all seq_cst.
    wp_role_announce_sleep(pool, WP_COLLECTOR_SLEEPS);
    sleeps = !wp_collect_has_news(pool);
  }
  if (sleeps) sleep_until_wanted(pool, events);
  else if (wp_poll(events, 3, 0) > 0 && events[0].revents != 0) wp_event_clear(pool->bells.collector.hear);
  if (may_sleep) wp_atomic_store(&pool->memory.head->host_sleeping, (uint32_t)WP_NOBODY_SLEEPS, wp_relaxed);
  if (events[1].revents != 0 || events[2].revents != 0) wp_workers_listen(pool);
  // After the reports, which say more. The end of the stream may have told already.
  if (events[2].revents != 0 && wp_witness_look(pool)) wp_workers_lose_template(pool);
}

static bool all_finished(wp_process_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  bool finished = pool->queue.unfinished == 0;
  pthread_mutex_unlock(&pool->lock);
  return finished;
}

static void replace_template(wp_process_pool *pool) {
  uint64_t next_at = pool->forker.starts.next_at;
  if ((next_at != 0 && wp_clock_now() < next_at) || !wp_workers_are_absent(pool)) return;
  wp_error error;
  if (wp_workers_start_template(pool, &error) == WP_OK) return;
  pthread_mutex_lock(&pool->lock);
  wp_supervise_template_failed(pool, &error);
  pthread_mutex_unlock(&pool->lock);
}

/// A template that was restarted, and does not say hello in time.
static bool is_template_late(const wp_process_pool *pool) {
  return pool->forker.pidfd >= 0 && !pool->forker.ready && wp_clock_now() >= pool->forker.deadline;
}

/// Once, to a pool's hook.
static void tell_of_break(wp_process_pool *pool) {
  if (pool->life.told) return;
  pool->life.told = true;
  const wp_process_pool_hooks *hooks = &pool->settings.hooks;
  if (hooks->broken != NULL) hooks->broken(hooks->context, &pool->life.breakage);
}

/// What waits or starts processes, and so happens without the lock. True when the pool is over.
static bool follow_phase(wp_process_pool *pool) {
  switch (pool->life.phase) {
  case WP_POOL_LEAVING:
    if (!wp_workers_are_absent(pool) && wp_clock_now() < pool->life.leave_by) return false;
    wp_workers_end(pool);
    return true;
  case WP_POOL_BROKEN:
    tell_of_break(pool);
    // fallthrough
  case WP_POOL_FAILED:
    if (pool->forker.pidfd >= 0) wp_workers_end(pool);
    return wp_workers_are_absent(pool) && pool->batch.count == 0 && all_finished(pool);
  case WP_POOL_RUNNING:
    if (is_template_late(pool)) {
      pool->forker.failure.reason = "a new template process did not answer within 60 seconds";
      wp_workers_lose_template(pool);
    }
    if (pool->forker.pidfd < 0) replace_template(pool);
    return false;
  default: return false;
  }
}

void wp_collector_tear_down(wp_process_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  wp_pool_head *head = pool->memory.head;
  wp_event bells[2] = {pool->bells.collector, pool->bells.leader};
  wp_memory_cgroups *cgroups = pool->memory.cgroups;
  pool->memory.cgroups = NULL;
  bool lent = wp_buffers_keep_lent(pool);
  pool->memory.lent = lent ? head : NULL;
  pool->memory.head = NULL;
  pool->bells.collector = pool->bells.leader = (wp_event){-1, -1};
  wp_room_close(pool);
  pthread_mutex_unlock(&pool->lock);
  if (!lent) wp_room_unmap(pool, head);
  for (int i = 0; i < 2; i++) wp_event_destroy(&bells[i]);
  wp_memory_cgroups_destroy(cgroups);
  wp_origin_destroy(pool->settings.origin);
  pool->settings.origin = NULL;
}

static void finish(wp_process_pool *pool) {
  wp_collect_call_left(pool);
  wp_collector_tear_down(pool);
  pthread_mutex_lock(&pool->lock);
  while (pool->life.phase == WP_POOL_BROKEN && !pool->users.closed) pthread_cond_wait(&pool->changed, &pool->lock);
  pool->users.finished = true;
  pthread_cond_broadcast(&pool->changed);
  pthread_mutex_unlock(&pool->lock);
}

/// Whose collector this thread is.
static WP_THREAD_LOCAL const wp_process_pool *collects_for;

bool wp_process_pool_wait_deadlocks(const wp_process_pool *pool) { return collects_for == pool; }

void wp_collector_run(wp_process_pool *pool) {
  collects_for = pool;
  char name[WP_NAME_BYTES];
  wp_name_format(name, pool->memory.head->prefix, "-collect");
  wp_name_self(name);
  wp_calling_back = pool;
  pthread_mutex_lock(&pool->lock);
  pool->users.collector_thread = wp_thread_id();
  pthread_mutex_unlock(&pool->lock);
  uint32_t rounds = 0;
  for (;;) {
    bool progress = wp_collect_round(pool);
    if (follow_phase(pool)) break;
    if (progress && ++rounds % WP_ROUNDS_BETWEEN_POLLS != 0) continue;
    look(pool, !progress && !spin(pool));
  }
  finish(pool);
}
