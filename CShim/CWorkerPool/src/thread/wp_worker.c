#include "wp_worker.h"

#include "wp_victims.h"

#include "../platform/wp_clock.h"
#include "../platform/wp_name.h"
#include "../platform/wp_thread.h"

#include <sched.h>
#include <stdlib.h>

// Jobs from outside are looked for this often per clock reading while spinning (a reading costs about 20 ns).
#define LOOKS_PER_CLOCK 8
// Pauses between two looks: the look itself touches lines that submitters write.
#define PAUSES_PER_LOOK 4
// An injector that had no more than this, and has some again at once, says that the worker runs close behind a
// submitter: every look then costs both of them the cache lines of the counter and of the cell, and every block that the
// worker frees those of the submitter's allocator. It waits so many pauses (some 2.5 µs) for a batch worth them, and again
// as long as the backlog grows by so much, until it is large: a submitter that stops does not wait for that.
#define SMALL_BACKLOG WP_REFILL_MAX
#define PAUSES_PER_STEP 96
#define GROWTH_PER_STEP 4
#define LARGE_BACKLOG 128

WP_THREAD_LOCAL wp_worker *wp_worker_of_thread;

const wp_thread_pool *wp_thread_pool_current(void) {
  const wp_worker *self = wp_worker_current();
  return self != NULL ? self->pool : NULL;
}

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

void wp_thread_pool_freed(uintptr_t code, uintptr_t block) {
  wp_worker *self = wp_worker_current();
  if (self != NULL) wp_block_trade_collect(&self->trade, &self->pool->nodes[self->node].freed, code, block);
}

// MARK: Looking for work

/// Lets a batch build up for a worker that runs close behind. False when there is nothing to wait for.
static bool let_build(wp_worker *worker, wp_injector *injector) {
  if (!worker->close_behind) return true;
  worker->close_behind = false;
  size_t before = wp_injector_backlog(injector);
  if (before == 0) return false;
  for (;;) {
    for (int i = 0; i < PAUSES_PER_STEP; i++) wp_cpu_relax();
    size_t now = wp_injector_backlog(injector);
    if (now < before + GROWTH_PER_STEP || now >= LARGE_BACKLOG) return true;
    before = now;
  }
}

/// Among how many an injector's jobs are shared out: those of its node who are awake.
static size_t count_takers(const wp_worker *worker) {
  size_t staff = wp_atomic_load(&worker->pool->nodes[worker->node].staff, wp_relaxed);
  size_t waiting = wp_event_count_waiting(worker->event_count);
  return staff > waiting ? staff - waiting : 1;
}

/// Takes a share of an injector: the first job for now, the rest into the own deque, where thieves find it.
static bool refill(wp_worker *worker, wp_injector *injector, wp_job *job) {
  wp_job batch[WP_REFILL_MAX];
  // While the pool winds down workers leave as soon as the queues look empty; jobs between two queues would then
  // be left to one worker alone.
  size_t max = is_closed(worker->pool) ? 1 : worker->refill_max;
  if (max > 1 && !let_build(worker, injector)) return false;
  size_t left = 0;
  size_t taken = wp_injector_pop(injector, batch, max, count_takers(worker), &left);
  if (taken == 0) return false;
  worker->close_behind = taken + left <= SMALL_BACKLOG;
  worker->trade.serves_others = true;
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
  if (pushed > 0) wp_event_count_notify_one(worker->event_count);
  return true;
}

WP_STATIC_ASSERT(WP_REFILL_MAX <= WP_DEQUE_MIN_CELLS, "a batch fits into an empty deque");

static const wp_job_filter any_job = {0, 0, NULL};

static bool take_oldest(wp_deque *deque, const wp_job_filter *filter, wp_job *job) {
  wp_steal steal;
  do {
    steal = wp_deque_steal_if(deque, filter, INT64_MIN, job);
  } while (steal == WP_STEAL_LOST);
  return steal == WP_STEAL_TAKEN;
}

static bool steal_from(wp_worker *worker, wp_worker *victim, const wp_job_filter *filter, wp_job *job) {
  if (!take_oldest(&victim->deque, filter, job)) return false;
  wp_count(&worker->steals[victim->node]);
  worker->trade.serves_others = true;
  return true;
}

/// What a walk along the victims is for.
typedef struct wp_hunt {
  wp_worker *worker;
  const wp_job_filter *filter;
  wp_job *job;
} wp_hunt;

static bool look_at_worker(void *context, uint32_t node, uint32_t place) {
  wp_hunt *hunt = (wp_hunt *)context;
  wp_worker *victim = hunt->worker->pool->nodes[node].workers[place];
  return victim != hunt->worker && steal_from(hunt->worker, victim, hunt->filter, hunt->job);
}

/// Spares are few and come and go: they are looked at after the workers of their node.
static bool look_at_spares(wp_hunt *hunt, uint32_t node) {
  wp_worker *worker = hunt->worker;
  wp_spares *spares = &worker->pool->spares;
  uint32_t used = wp_atomic_load(&spares->used, wp_acquire);  // edge SLOT
  for (uint32_t i = 0; i < used; i++) {
    wp_worker *spare = &spares->slots[i];
    if (spare->node == node && spare != worker && steal_from(worker, spare, hunt->filter, hunt->job)) return true;
  }
  return false;
}

static bool look_at_deques(void *context, uint32_t node) {
  wp_hunt *hunt = (wp_hunt *)context;
  wp_worker *worker = hunt->worker;
  uint32_t count = wp_atomic_load(&worker->pool->nodes[node].worker_count, wp_acquire);  // edge SLOT
  return wp_victims_look_at_workers(&worker->random, node, count, look_at_worker, context) || look_at_spares(hunt, node);
}

/// Whether the queues of another node are left alone, because one of its workers looks at them or is about to be woken. Not
/// when the pool winds down: that worker may have ended.
static bool is_left_alone(wp_thread_pool *pool, uint32_t node) {
  return wp_event_count_is_attended(&pool->nodes[node].event_count) && !is_closed(pool);
}

static bool look_at_home(wp_hunt *hunt) {
  wp_worker *worker = hunt->worker;
  wp_injector *injector = &worker->pool->nodes[worker->node].injector;
  return refill(worker, injector, hunt->job) || look_at_deques(hunt, worker->node);
}

static bool look_at_node(void *context, uint32_t node) {
  wp_hunt *hunt = (wp_hunt *)context;
  wp_worker *worker = hunt->worker;
  wp_thread_pool *pool = worker->pool;
  if (node == worker->node) return look_at_home(hunt);
  if (!wp_thread_pool_node_has_work(pool, node) || is_left_alone(pool, node)) return false;
  // The look at home is the longer ago the more nodes there are, and the thread may have stood still since.
  if (wp_thread_pool_node_has_work(pool, worker->node) && look_at_home(hunt)) return true;
  wp_injector *injector = &pool->nodes[node].injector;
  if (wp_injector_pop(injector, hunt->job, 1, 1, NULL) == 0 && !look_at_deques(context, node)) return false;
  wp_count(&worker->taken_afar);
  return true;
}

/// Looks everywhere but in the own deque, nearest node first.
static bool look_around(wp_worker *worker, wp_job *job) {
  wp_thread_pool *pool = worker->pool;
  wp_hunt hunt = {worker, &any_job, job};
  if (wp_victims_look(pool->nodes[worker->node].nearest, pool->node_count, look_at_node, &hunt)) return true;
  bool any_aside = wp_atomic_load(&pool->aside_used, wp_relaxed) != 0;
  return any_aside && wp_injector_pop(pool->aside, job, 1, 1, NULL) == 1;
}

/// Whether `look_around` would find something now, with the orders that edge ANNOUNCE asks for.
static bool sees_work(wp_worker *worker) {
  wp_thread_pool *pool = worker->pool;
  const uint32_t *nearest = pool->nodes[worker->node].nearest;
  for (uint32_t i = 0; i < pool->node_count; i++) {
    if (wp_thread_pool_node_has_work(pool, nearest[i]) && (i == 0 || !is_left_alone(pool, nearest[i]))) return true;
  }
  return wp_thread_pool_has_work_aside(pool);
}

bool wp_worker_steal_if(wp_worker *worker, const wp_job_filter *filter, wp_job *job) {
  wp_thread_pool *pool = worker->pool;
  wp_hunt hunt = {worker, filter, job};
  return wp_victims_look(pool->nodes[worker->node].nearest, pool->node_count, look_at_deques, &hunt);
}

bool wp_worker_set_aside(wp_worker *worker, wp_job job) {
  wp_thread_pool *pool = worker->pool;
  size_t accepted;
  wp_atomic_store(&pool->aside_used, 1u, wp_seq_cst);  // edge ANNOUNCE: before the job, which is before the notify
  if (wp_injector_push(pool->aside, &job, 1, &accepted) != WP_OK) return false;
  wp_event_count_notify_one(worker->event_count);
  return true;
}

static bool take_fairly(wp_worker *worker, wp_job *job) {
  wp_thread_pool *pool = worker->pool;
  // In turn with the own node those that nobody else looks at before he is idle.
  uint32_t node = pool->nodes[worker->node].nearest[worker->tick / WP_FAIR_TICKS % pool->node_count];
  if (wp_atomic_load(&pool->nodes[node].staff, wp_relaxed) != 0) node = worker->node;
  if (wp_injector_pop(&pool->nodes[node].injector, job, 1, 1, NULL) == 1) {
    if (node != worker->node) wp_count(&worker->taken_afar);
    return true;
  }
  return take_oldest(&worker->deque, &any_job, job);
}

/// Finds the next job without waiting.
static bool next_job(wp_worker *worker, wp_job *job) {
  worker->tick++;
  if (worker->tick % WP_FAIR_TICKS == 0 && take_fairly(worker, job)) return true;
  return wp_deque_take(&worker->deque, job) || look_around(worker, job);
}

// MARK: Waiting for work

/// Passes the wake on if there is more work than this worker took (I2): to the node that has it, the nearest first.
static void pass_on(wp_worker *worker) {
  uint32_t node = wp_thread_pool_find_work(worker->pool, worker->node);
  if (node != WP_NO_NODE) wp_event_count_notify_one(&worker->pool->nodes[node].event_count);
}

/// Ends a search that found something.
static void end_search(wp_worker *worker) {
  if (wp_event_count_end_search(worker->event_count)) pass_on(worker);
}

/// Spins as the searcher for the pool's budget. True with a job.
static bool spin(wp_worker *worker, wp_job *job) {
  wp_thread_pool *pool = worker->pool;
  uint64_t deadline = wp_clock_now() + pool->spin_ns;
  do {
    for (int look = 0; look < LOOKS_PER_CLOCK; look++) {
      if (wp_thread_pool_find_work(pool, worker->node) != WP_NO_NODE && look_around(worker, job)) return true;
      for (int i = 0; i < PAUSES_PER_LOOK; i++) wp_cpu_relax();
    }
  } while (wp_clock_now() < deadline && !is_closed(pool));
  return false;
}

/// How waiting for a job ended.
typedef enum wp_wait_end { WAIT_JOB, WAIT_CLOSED, WAIT_LOOK_AGAIN } wp_wait_end;

/// What a worker owes that stops to wait: to end its search, or, if it ended that in prepare and stays all the same, the
/// wake of those submitters who saw it search and stayed silent.
static void settle(wp_worker *worker, bool searching) {
  if (searching) {
    end_search(worker);
  } else {
    pass_on(worker);
  }
}

/// Waits for a job. `WAIT_CLOSED` when the pool is closed and nothing is left; a worker that may have to leave comes back
/// from its sleep with `WAIT_LOOK_AGAIN`, before it takes what those who stay were meant to find.
static wp_wait_end wait_for_job(wp_worker *worker, wp_job *job) {
  wp_thread_pool *pool = worker->pool;
  wp_event_count *event_count = worker->event_count;
  bool searching = pool->spin_ns != 0 && wp_event_count_begin_search(event_count);
  if (searching && spin(worker, job)) {
    end_search(worker);
    return WAIT_JOB;
  }
  for (;;) {
    wp_atomic_store(&worker->last_cpu, (uint32_t)sched_getcpu(), wp_relaxed);
    wp_event_count_prepare(event_count, worker->waiter, searching);
    searching = false;
    // Before the look: what was submitted between a look and the closing would be left behind.
    bool closed = is_closed(pool);
    bool sees = sees_work(worker);
    // Nothing can come any more. If this worker still stands in the stack it stays there: nobody sleeps in a
    // closed pool without waking all, so no wake is lost on it, and its waiter lives as long as the pool.
    if (!sees && closed) return WAIT_CLOSED;
    if (!sees || !wp_event_count_retract(event_count, worker->waiter)) {
      // With work in sight others stand above, so one of them gets the wake; or this worker was popped already. In a
      // closed pool those above may have ended, and nobody would wake this one.
      if (sees && closed) wp_event_count_notify_all(event_count);
      if (sees && !closed) wp_event_count_notify_one(event_count);
      searching = wp_event_count_wait(event_count, worker->waiter) == WP_WAKE_SEARCHING;
      if (wp_atomic_load(&worker->may_leave, wp_relaxed) != 0) {
        settle(worker, searching);
        return WAIT_LOOK_AGAIN;
      }
    }
    // A guest may have left something in the own deque.
    if (wp_deque_take(&worker->deque, job) || look_around(worker, job)) {
      settle(worker, searching);
      return WAIT_JOB;
    }
  }
}

/// Whether a worker that may have to leave leaves now.
static bool leaves(wp_worker *worker) {
  return worker->is_spare ? wp_spares_step_down(worker) : wp_roster_leave(worker);
}

static void run_jobs(wp_worker *worker) {
  wp_job job;
  for (;;) {
    if (wp_atomic_load(&worker->may_leave, wp_relaxed) != 0 && leaves(worker)) return;
    wp_wait_end end = next_job(worker, &job) ? WAIT_JOB : wait_for_job(worker, &job);
    if (end == WAIT_CLOSED) return;
    if (end == WAIT_LOOK_AGAIN) continue;
    wp_count(&worker->taken);
    wp_worker_run(worker, job);
  }
}

// MARK: A worker's life

bool wp_worker_init(wp_worker *worker, wp_thread_pool *pool, uint32_t node, uint32_t waiter) {
  size_t lines = (pool->node_count * sizeof *worker->steals + WP_CACHE_LINE - 1) / WP_CACHE_LINE;
  worker->steals = (wp_atomic_u64 *)aligned_alloc(WP_CACHE_LINE, lines * WP_CACHE_LINE);
  if (worker->steals == NULL) return false;
  for (uint32_t i = 0; i < pool->node_count; i++) wp_atomic_init(&worker->steals[i], (uint64_t)0);
  wp_deque_init(&worker->deque);
  worker->pool = pool;
  worker->node = node;
  worker->event_count = &pool->nodes[node].event_count;
  worker->waiter = waiter;
  worker->cpu = -1;
  worker->random = 2463534242u + waiter * 2654435769u;
  return true;
}

void wp_worker_destroy(wp_worker *worker) {
  wp_block_trade_destroy(&worker->trade);
  wp_deque_destroy(&worker->deque);
  free(worker->steals);
}

void wp_worker_number(wp_worker *worker, uint32_t index) {
  char suffix[WP_NAME_BYTES];
  worker->index = index;
  wp_name_number(suffix, index);
  wp_name_format(worker->name, worker->pool->name, suffix);
}

void *wp_worker_main(void *argument) {
  wp_worker *worker = (wp_worker *)argument;
  wp_thread_pool *pool = worker->pool;
  wp_worker_set_current(worker);
  if (pool->node_count > 1) wp_thread_settle_stack();
  wp_name_self(worker->name);
  // Here, so that it lies near the worker. A deque without a ring takes no batch.
  worker->refill_max = wp_deque_reserve(&worker->deque) ? WP_REFILL_MAX : 1;
  if (pool->hooks.worker_start != NULL) pool->hooks.worker_start(pool->hooks.context, worker->index);
  run_jobs(worker);
  if (pool->hooks.worker_stop != NULL) pool->hooks.worker_stop(pool->hooks.context, worker->index);
  wp_worker_set_current(NULL);
  if (worker->is_spare) {
    wp_spares_end(worker);
  } else {
    wp_roster_end(worker);
  }
  wp_thread_pool_unreference(pool);
  return NULL;
}
