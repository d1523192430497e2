#include "wp_worker.h"

#include "../platform/wp_clock.h"
#include "../platform/wp_name.h"
#include "../platform/wp_thread.h"

// Jobs from outside are looked for this often per clock reading while spinning (a reading costs about 20 ns).
#define LOOKS_PER_CLOCK 8
// Pauses between two looks: the look itself touches lines that submitters write.
#define PAUSES_PER_LOOK 4
// An injector that had no more than this, and has some again at once, says that the worker runs close behind a
// submitter: every look then costs both of them the cache lines of the counter and of the cell. It waits so many pauses
// (some 0.8 µs) for a batch worth them.
#define SMALL_BACKLOG WP_REFILL_MAX
#define PAUSES_PER_BATCH 32

static WP_THREAD_LOCAL wp_worker *current_worker;

wp_worker *wp_worker_current(void) { return current_worker; }

const wp_thread_pool *wp_thread_pool_current(void) { return current_worker != NULL ? current_worker->pool : NULL; }

static bool is_closed(wp_thread_pool *pool) { return wp_atomic_load(&pool->closed, wp_seq_cst) != 0; }

void wp_worker_discard(wp_thread_pool *pool, wp_job job) {
  if (pool->hooks.discard != NULL) pool->hooks.discard(pool->hooks.context, job);
}

void wp_worker_run(wp_worker *worker, wp_job job) {
  wp_thread_pool *pool = worker->pool;
  bool foreign = (job.code & WP_JOB_FOREIGN) != 0;
  if (!foreign && (job.code & WP_JOB_ENGINE) != 0) {
    ((wp_job_function)(job.code & ~WP_JOB_TAGS))(job.argument);
  } else if (wp_atomic_load(&pool->discarding, wp_relaxed) != 0) {
    wp_worker_discard(pool, job);
  } else if (foreign) {
    pool->hooks.run_foreign(pool->hooks.context, job);
  } else {
    ((wp_job_function)job.code)(job.argument);
  }
}

// MARK: Looking for work

/// xorshift32 (G. Marsaglia, 2003): where to begin among equally near victims.
static uint32_t next_random(wp_worker *worker) {
  uint32_t x = worker->random;
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  return worker->random = x;
}

/// Lets a batch build up for a worker that runs close behind. False when there is nothing to wait for.
static bool let_build(wp_worker *worker, wp_injector *injector) {
  if (!worker->close_behind) return true;
  worker->close_behind = false;
  if (wp_injector_is_empty(injector)) return false;
  for (int i = 0; i < PAUSES_PER_BATCH; i++) wp_cpu_relax();
  return true;
}

/// Takes a share of an injector: the first job for now, the rest into the own deque, where thieves find it.
static bool refill(wp_worker *worker, wp_injector *injector, wp_job *job) {
  wp_job batch[WP_REFILL_MAX];
  // While the pool winds down workers leave as soon as the queues look empty; jobs between two queues would then
  // be left to one worker alone.
  size_t max = is_closed(worker->pool) ? 1 : WP_REFILL_MAX;
  if (max > 1 && !let_build(worker, injector)) return false;
  size_t left = 0;
  size_t taken = wp_injector_pop(injector, batch, max, worker->pool->worker_count, &left);
  if (taken == 0) return false;
  worker->close_behind = taken + left <= SMALL_BACKLOG;
  *job = batch[0];
  // The own deque gives the newest back first: turned round, the batch runs in the order of its submission.
  for (size_t i = 1, j = taken - 1; i < j; i++, j--) {
    wp_job swapped = batch[i];
    batch[i] = batch[j];
    batch[j] = swapped;
  }
  // The deque is empty here, or nearly so: a batch always fits.
  size_t pushed = wp_deque_push(&worker->deque, batch + 1, taken - 1);
  WP_ASSERT(pushed == taken - 1);
  // While the rest was in neither queue others may have looked, found nothing and slept: they were woken for it once,
  // and a job that blocks would keep it from them. (ANNOUNCE: push stores `bottom`, notify loads the word.)
  if (pushed > 0) wp_event_count_notify_one(&worker->pool->event_count);
  return true;
}

static const wp_job_filter any_job = {0, 0, NULL};

static bool steal_from(wp_deque *victim, const wp_job_filter *filter, wp_job *job) {
  wp_steal steal;
  do {
    steal = wp_deque_steal_if(victim, filter, INT64_MIN, job);
  } while (steal == WP_STEAL_LOST);
  return steal == WP_STEAL_TAKEN;
}

static bool steal_from_node(wp_worker *worker, const wp_pool_node *node, const wp_job_filter *filter, wp_job *job) {
  if (node->worker_count == 0) return false;
  uint32_t start = next_random(worker) % node->worker_count;
  for (uint32_t i = 0; i < node->worker_count; i++) {
    wp_worker *victim = &worker->pool->workers[node->first_worker + (start + i) % node->worker_count];
    if (victim != worker && steal_from(&victim->deque, filter, job)) return true;
  }
  return false;
}

/// Spares are few and come and go: they are looked at last, wherever they run.
static bool steal_from_spares(wp_worker *worker, const wp_job_filter *filter, wp_job *job) {
  wp_spares *spares = &worker->pool->spares;
  uint32_t used = wp_atomic_load(&spares->used, wp_acquire);  // edge SLOT
  for (uint32_t i = 0; i < used; i++) {
    if (&spares->slots[i] != worker && steal_from(&spares->slots[i].deque, filter, job)) return true;
  }
  return false;
}

/// Looks everywhere but in the own deque, nearest node first.
static bool look_around(wp_worker *worker, wp_job *job) {
  wp_thread_pool *pool = worker->pool;
  const uint32_t *nearest = pool->nodes[worker->node].nearest;
  for (uint32_t i = 0; i < pool->node_count; i++) {
    wp_pool_node *node = &pool->nodes[nearest[i]];
    if (refill(worker, &node->injector, job) || steal_from_node(worker, node, &any_job, job)) return true;
  }
  bool any_aside = wp_atomic_load(&pool->aside_used, wp_relaxed) != 0;
  if (any_aside && wp_injector_pop(pool->aside, job, 1, 1, NULL) == 1) return true;
  return steal_from_spares(worker, &any_job, job);
}

bool wp_worker_steal_if(wp_worker *worker, const wp_job_filter *filter, wp_job *job) {
  wp_thread_pool *pool = worker->pool;
  const uint32_t *nearest = pool->nodes[worker->node].nearest;
  for (uint32_t i = 0; i < pool->node_count; i++) {
    if (steal_from_node(worker, &pool->nodes[nearest[i]], filter, job)) return true;
  }
  return steal_from_spares(worker, filter, job);
}

bool wp_worker_set_aside(wp_worker *worker, wp_job job) {
  wp_thread_pool *pool = worker->pool;
  size_t accepted;
  wp_atomic_store(&pool->aside_used, 1u, wp_seq_cst);  // edge ANNOUNCE: before the job, which is before the notify
  if (wp_injector_push(pool->aside, &job, 1, &accepted) != WP_OK) return false;
  wp_event_count_notify_one(&pool->event_count);
  return true;
}

static bool take_fairly(wp_worker *worker, wp_job *job) {
  wp_thread_pool *pool = worker->pool;
  // One node after the other: a node's own workers, if it has any, may all be blocked.
  uint32_t node = worker->tick / WP_FAIR_TICKS % pool->node_count;
  if (wp_injector_pop(&pool->nodes[node].injector, job, 1, 1, NULL) == 1) return true;
  return steal_from(&worker->deque, &any_job, job);
}

/// Finds the next job without waiting.
static bool next_job(wp_worker *worker, wp_job *job) {
  worker->tick++;
  if (worker->tick % WP_FAIR_TICKS == 0 && take_fairly(worker, job)) return true;
  return wp_deque_take(&worker->deque, job) || look_around(worker, job);
}

// MARK: Waiting for work

/// Passes the wake on if there is more work than this worker took (I2).
static void pass_on(wp_thread_pool *pool) {
  if (wp_thread_pool_has_work(pool)) wp_event_count_notify_one(&pool->event_count);
}

/// Ends a search that found something.
static void end_search(wp_thread_pool *pool) {
  if (wp_event_count_end_search(&pool->event_count)) pass_on(pool);
}

/// Spins as the searcher for the pool's budget. True with a job.
static bool spin(wp_worker *worker, wp_job *job) {
  wp_thread_pool *pool = worker->pool;
  uint64_t deadline = wp_clock_now() + pool->spin_ns;
  do {
    for (int look = 0; look < LOOKS_PER_CLOCK; look++) {
      if (wp_thread_pool_has_work(pool) && look_around(worker, job)) return true;
      for (int i = 0; i < PAUSES_PER_LOOK; i++) wp_cpu_relax();
    }
  } while (wp_clock_now() < deadline && !is_closed(pool));
  return false;
}

/// How waiting for a job ended.
typedef enum wp_wait_end { WAIT_JOB, WAIT_CLOSED, WAIT_LOOK_AGAIN } wp_wait_end;

/// Waits for a job. `WAIT_CLOSED` when the pool is closed and nothing is left; a spare that was woken and found nothing
/// comes back with `WAIT_LOOK_AGAIN`, in case it is not needed any more.
static wp_wait_end wait_for_job(wp_worker *worker, wp_job *job) {
  wp_thread_pool *pool = worker->pool;
  wp_event_count *event_count = &pool->event_count;
  bool searching = pool->spin_ns != 0 && wp_event_count_begin_search(event_count);
  if (searching && spin(worker, job)) {
    end_search(pool);
    return WAIT_JOB;
  }
  for (;;) {
    wp_event_count_prepare(event_count, worker->index, searching);
    searching = false;
    // Before the look: what was submitted between a look and the closing would be left behind.
    bool closed = is_closed(pool);
    if (wp_thread_pool_has_work(pool)) {
      if (!wp_event_count_retract(event_count, worker->index)) {
        // Others stand above, so one of them gets the wake; or this worker was popped already. In a closed pool
        // those above may have ended, and nobody would wake this one.
        if (closed) {
          wp_event_count_notify_all(event_count);
        } else {
          wp_event_count_notify_one(event_count);
        }
        searching = wp_event_count_wait(event_count, worker->index) == WP_WAKE_SEARCHING;
      }
    } else if (closed) {
      // Nothing can come any more. If this worker still stands in the stack it stays there: nobody sleeps in a
      // closed pool without waking all, so no wake is lost on it, and its waiter lives as long as the pool.
      return WAIT_CLOSED;
    } else {
      searching = wp_event_count_wait(event_count, worker->index) == WP_WAKE_SEARCHING;
    }
    bool found = look_around(worker, job);
    if (found || worker->is_spare) {
      // A worker that ended its search in prepare and found work after all owes the wake of those submitters who
      // saw it search and stayed silent.
      if (searching) {
        end_search(pool);
      } else {
        pass_on(pool);
      }
    }
    if (found) return WAIT_JOB;
    if (worker->is_spare) return WAIT_LOOK_AGAIN;
  }
}

static void run_jobs(wp_worker *worker) {
  wp_job job;
  for (;;) {
    if (worker->is_spare && wp_spares_step_down(worker)) return;
    wp_wait_end end = next_job(worker, &job) ? WAIT_JOB : wait_for_job(worker, &job);
    if (end == WAIT_CLOSED) return;
    if (end == WAIT_JOB) wp_worker_run(worker, job);
  }
}

void wp_worker_format_name(wp_worker *worker, const char *prefix) {
  char suffix[WP_NAME_BYTES];
  wp_name_number(suffix, worker->index);
  wp_name_format(worker->name, prefix, suffix);
}

void *wp_worker_main(void *argument) {
  wp_worker *worker = (wp_worker *)argument;
  wp_thread_pool *pool = worker->pool;
  current_worker = worker;
  if (pool->node_count > 1) wp_thread_settle_stack();
  wp_name_self(worker->name);
  if (pool->hooks.worker_start != NULL) pool->hooks.worker_start(pool->hooks.context, worker->index);
  run_jobs(worker);
  if (pool->hooks.worker_stop != NULL) pool->hooks.worker_stop(pool->hooks.context, worker->index);
  current_worker = NULL;
  if (worker->is_spare) wp_spares_end(worker);
  wp_thread_pool_unreference(pool);
  return NULL;
}
