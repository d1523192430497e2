// The collector: one thread per pool that completes tasks and looks after the processes.
//
// It spins a bounded time while tasks are out, then sleeps in ppoll(2) on the workers' doorbell, the control socket and
// the template's pidfd. Workers ring only while `host_sleeping` is set. An idle pool makes no system call.
#include "wp_process_state.h"

#include "../platform/wp_clock.h"
#include "../platform/wp_event.h"
#include "../platform/wp_name.h"
#include "../platform/wp_process.h"
#include "../platform/wp_signals.h"
#include "../platform/wp_shared_memory.h"

#include <poll.h>
#include <unistd.h>

/// A busy collector looks at its descriptors this often.
#define WP_ROUNDS_BETWEEN_POLLS 16u

__thread const wp_process_pool *wp_calling_back;

void wp_pool_poke(wp_process_pool *pool) {
  if (pool->doorbell >= 0) wp_event_ring(pool->doorbell);
}

static bool spin(const wp_process_pool *pool) {
  if (!pool->busy || pool->spin_ns == 0) return false;
  uint64_t end = wp_clock_now() + pool->spin_ns;
  do {
    for (int i = 0; i < 16; i++) {
      wp_cpu_relax();
      if (wp_process_has_news(pool)) return true;
    }
  } while (wp_clock_now() < end);
  return false;
}

/// How long the collector may sleep; NULL for ever.
static const struct timespec *time_to_sleep(const wp_process_pool *pool, struct timespec *time) {
  uint64_t deadline = wp_lifecycle_deadline(pool);
  uint64_t timers = wp_timers_deadline(pool);
  if (timers < deadline) deadline = timers;
  if (deadline == UINT64_MAX) return NULL;
  uint64_t now = wp_clock_now();
  uint64_t left = deadline <= now ? 0 : deadline - now;
  time->tv_sec = (time_t)(left / 1000000000u);
  time->tv_nsec = (long)(left % 1000000000u);
  return time;
}

/// Looks at the descriptors, waiting for them when there is nothing else to do.
static void look(wp_process_pool *pool, bool may_sleep) {
  struct pollfd events[3];
  events[0].fd = pool->doorbell;
  events[1].fd = pool->control;
  events[2].fd = pool->template_pidfd;
  for (int i = 0; i < 3; i++) {
    events[i].events = POLLIN;
    events[i].revents = 0;
  }
  struct timespec time = {0, 0};
  const struct timespec *timeout = &time;
  if (may_sleep) {
    // Prepare, recheck, commit. Dekker with a worker's store of DONE and its load of `host_sleeping`, all seq_cst.
    wp_atomic_store(&pool->head->host_sleeping, 1u, wp_seq_cst);
    if (!wp_process_has_news(pool)) timeout = time_to_sleep(pool, &time);
  }
  int ready = ppoll(events, 3, timeout, NULL);
  if (may_sleep) wp_atomic_store(&pool->head->host_sleeping, 0u, wp_relaxed);
  if (ready <= 0) return;
  if (events[0].revents != 0) wp_event_clear(pool->doorbell);
  if (events[1].revents != 0 || events[2].revents != 0) wp_template_listen(pool);
  if (events[2].revents != 0) wp_template_lost(pool);  // a no-op when the end of the stream told already
}

static bool nothing_live(wp_process_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  bool nothing = pool->live == 0;
  pthread_mutex_unlock(&pool->lock);
  return nothing;
}

static void replace_template(wp_process_pool *pool) {
  wp_error error;
  if (wp_template_start(pool, &error) == WP_OK) return;
  pthread_mutex_lock(&pool->lock);
  wp_pool_break(pool, "the template process ended and a new one could not be started");
  pthread_mutex_unlock(&pool->lock);
}

/// What waits or starts processes, and so happens without the lock. True when the pool is over.
static bool follow_phase(wp_process_pool *pool) {
  switch (pool->phase) {
  case WP_POOL_LEAVING:
    if (!wp_workers_absent(pool) && wp_clock_now() < pool->leave_by) return false;
    wp_processes_end(pool);
    return true;
  case WP_POOL_BROKEN:
  case WP_POOL_FAILED:
    if (pool->template_pidfd >= 0) wp_processes_end(pool);
    return wp_workers_absent(pool) && pool->batch_count == 0 && nothing_live(pool);
  case WP_POOL_RUNNING:
    if (pool->template_pidfd < 0 && wp_workers_absent(pool)) replace_template(pool);
    return false;
  default: return false;
  }
}

void wp_pool_tear_down(wp_process_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  wp_pool_head *head = pool->head;
  int doorbell = pool->doorbell;
  pool->head = NULL;
  pool->doorbell = -1;
  pthread_mutex_unlock(&pool->lock);
  wp_memory_unmap(head, (size_t)pool->geometry.total);
  if (doorbell >= 0) close(doorbell);
  if (pool->memory >= 0) close(pool->memory);
  pool->memory = -1;
}

static void finish(wp_process_pool *pool) {
  wp_pool_tear_down(pool);
  pthread_mutex_lock(&pool->lock);
  while (pool->phase == WP_POOL_BROKEN && !pool->closed) pthread_cond_wait(&pool->changed, &pool->lock);
  pool->finished = true;
  pthread_cond_broadcast(&pool->changed);
  pthread_mutex_unlock(&pool->lock);
}

void *wp_collector_main(void *argument) {
  wp_process_pool *pool = (wp_process_pool *)argument;
  char name[WP_NAME_BYTES];
  wp_name_format(name, pool->head->prefix, "-collect");
  wp_name_self(name);
  wp_calling_back = pool;
  pthread_mutex_lock(&pool->lock);
  pool->collector_thread = wp_thread_id();
  pthread_mutex_unlock(&pool->lock);
  uint32_t rounds = 0;
  for (;;) {
    bool progress = wp_process_collect(pool);
    if (follow_phase(pool)) break;
    if (progress && ++rounds % WP_ROUNDS_BETWEEN_POLLS != 0) continue;
    look(pool, !progress && !spin(pool));
  }
  finish(pool);
  wp_pool_drop(pool);
  return NULL;
}
