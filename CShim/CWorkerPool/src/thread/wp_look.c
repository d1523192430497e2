#include "wp_look.h"

#include "wp_node.h"
#include "wp_victims.h"

#include "../platform/wp_clock.h"

// Where a job belongs. A job belongs to the node in whose queues it stands. A worker looks into the queues of another node
// only when those of all nearer ones are empty, or in a fair turn, and takes one job at a time there, where it moves a batch
// from its own injector: what it left behind stays near its data. It leaves a node alone of which a worker searches or
// sleeps: that one is about to look, or to be woken.

// An injector that had no more than this, and has some again at once, says that the worker runs close behind a
// submitter: every look then costs both of them the cache lines of the counter and of the cell, and every block that the
// worker frees those of the submitter's allocator. It waits so many pauses (some 2.5 µs) for a batch worth them, and again
// as long as the backlog grows by so much, until it is large: a submitter that stops does not wait for that.
#define SMALL_BACKLOG WP_REFILL_MAX
#define PAUSES_PER_STEP 96
#define GROWTH_PER_STEP 4
#define LARGE_BACKLOG 128

WP_STATIC_ASSERT(WP_REFILL_MAX <= WP_DEQUE_MIN_CELLS, "a batch fits into an empty deque");
WP_STATIC_ASSERT(WP_FAIR_TAKE <= WP_REFILL_MAX, "a turn takes no more than a batch");

static const wp_job_filter any_job = {0, 0, NULL};
/// All but forks, and foreign jobs that happen to have the same bit.
static const wp_job_filter no_fork = {WP_JOB_FORK & ~WP_JOB_ENGINE, 0, NULL};

// MARK: Injectors

/// Lets a batch build up for a worker that runs close behind. False when there is nothing to wait for.
static bool let_build(wp_worker *worker, wp_pool_node *node) {
  if (!worker->close_behind || wp_putback_count(&node->putback) != 0) return true;
  wp_injector *injector = &node->injector;
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
  size_t wanted = wp_atomic_load(&wp_node_of(worker)->counts.wanted, wp_relaxed);
  size_t waiting = wp_event_count_waiting(worker->event_count);
  return wanted > waiting ? wanted - waiting : 1;
}

/// How many jobs the worker may take at once.
static size_t batch_limit(const wp_worker *worker) {
  // While the pool drains, workers leave as soon as the queues look empty; jobs between two queues would then be left to
  // one worker alone.
  if (!worker->has_ring || wp_pool_is_draining(worker->pool)) return 1;
  return worker->pace.limit == 0 ? 1 : worker->pace.limit;
}

/// Keeps the rest of a batch, from the second job on, in the own deque, where thieves find it.
static void keep_rest(wp_worker *worker, const wp_job *rest, size_t count, uint64_t ticket) {
  worker->batch_position = wp_deque_position(&worker->deque);
  size_t pushed = wp_deque_push_reversed(&worker->deque, rest, count);
  WP_ASSERT(pushed == count);
  worker->batch_is_timed = true;
  wp_fairness_stop_after(&worker->fairness, 1);
  worker->batch_rest = (uint16_t)pushed;
  worker->batch_ticket = ticket;
  worker->batch_taken = worker->batch_clear = wp_atomic_load(&worker->taken, wp_relaxed) + 1;
  // While the rest was in neither queue others may have looked, found nothing and slept: they were woken for it once,
  // and a job that blocks would keep it from them. (ANNOUNCE: push stores `bottom`, notify loads the word.)
  wp_event_count_notify_one(worker->event_count);
}

/// Ends the batch at hand, if its time is taken. Returns the time, 0 if it was not asked for.
static uint64_t end_batch(wp_worker *worker) {
  if (worker->pace.began == 0) return 0;
  uint64_t now = wp_clock_now();
  wp_pace_end_batch(&worker->pace, now, wp_atomic_load(&worker->taken, wp_relaxed), WP_REFILL_MAX);
  return now;
}

/// Takes a share of the own node's queue: the first job for now, the rest into the own deque.
static bool refill(wp_worker *worker, wp_pool_node *node, wp_job *job) {
  wp_job batch[WP_REFILL_MAX];
  uint64_t now = end_batch(worker);
  size_t max = batch_limit(worker);
  if (worker->close_behind) now = 0;  // what it waits now is no job's time
  if (max > 1 && !let_build(worker, node)) return false;
  wp_popped popped;
  size_t taken = wp_node_pop(node, batch, max, max > 1 ? count_takers(worker) : 1, &popped);
  if (taken == 0) return false;
  worker->close_behind = max > 1 && taken + popped.left <= SMALL_BACKLOG;
  worker->trade.serves_others = true;
  // One job of a short kind that comes alone has no order to lose: then the clock is left alone, too.
  if (taken > 1 || max < WP_REFILL_MAX) {
    wp_pace_begin_batch(&worker->pace, now != 0 ? now : wp_clock_now(), wp_atomic_load(&worker->taken, wp_relaxed));
  }
  *job = batch[0];
  worker->batch_rest = 0;
  if (taken > 1) keep_rest(worker, batch + 1, taken - 1, popped.ticket + 1);
  return true;
}

/// Returns how long it took since the last look in the batch at hand.
static uint64_t look_at_clock(wp_worker *worker) {
  return wp_pace_look(&worker->pace, wp_clock_now(), wp_atomic_load(&worker->taken, wp_relaxed));
}

/// How many jobs of the batch at hand are left, if nothing stands above them: what a job has submitted belongs where it is.
static uint16_t count_rest(wp_worker *worker) {
  uint64_t taken = wp_atomic_load(&worker->taken, wp_relaxed);
  uint64_t run = taken - worker->batch_taken;
  int64_t left = wp_deque_position(&worker->deque) - worker->batch_position;
  if (taken < worker->batch_clear) return 0;
  // Each job that is run lowers the position by one, and each that is submitted raises it.
  if (run >= worker->batch_rest || left != worker->batch_rest - (int64_t)run) worker->batch_rest = 0;
  return worker->batch_rest == 0 ? 0 : (uint16_t)left;
}

/// Puts the rest of a batch back where it came from, if the job that was timed was long.
static void look_after_timed(wp_worker *worker) {
  worker->batch_is_timed = false;
  size_t left = count_rest(worker);
  if (look_at_clock(worker) < WP_PACE_LONG_NS || left == 0) return;
  wp_job rest[WP_REFILL_MAX];
  size_t count = 0;
  while (count < left && wp_deque_take(&worker->deque, &rest[count])) count++;
  if (count == 0) return;
  wp_pool_node *node = wp_node_of(worker);
  uint64_t ticket = worker->batch_ticket + worker->batch_rest - left;
  if (!wp_putback_put(&node->putback, ticket, rest, count)) {
    wp_deque_push_reversed(&worker->deque, rest, count);  // without memory: into the cells that they came from
  }
  worker->batch_rest = 0;
  wp_pace_begin_anew(&worker->pace);
  wp_event_count_notify_one(worker->event_count);
}

/// Has the next job of a batch timed alone, if those since the last look took as long as one that is long. Whether it does.
static bool look_at_batch(wp_worker *worker) {
  if (count_rest(worker) == 0 || look_at_clock(worker) < WP_PACE_LONG_NS) return false;
  worker->batch_is_timed = true;
  return true;
}

// MARK: Deques

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
  wp_job *job;
} wp_hunt;

static bool look_at_worker(void *context, uint32_t node, uint32_t place) {
  wp_hunt *hunt = (wp_hunt *)context;
  wp_worker *victim = hunt->worker->pool->nodes[node].workers[place];
  return victim != hunt->worker && steal_from(hunt->worker, victim, &any_job, hunt->job);
}

/// Spares are few and come and go: they are looked at after the workers of their node.
static bool look_at_spares(wp_hunt *hunt, uint32_t node) {
  wp_worker *worker = hunt->worker;
  wp_spares *spares = &worker->pool->spares;
  uint32_t used = wp_atomic_load(&spares->used, wp_acquire);  // edge SLOT
  for (uint32_t i = 0; i < used; i++) {
    wp_worker *spare = &spares->slots[i];
    if (spare->node == node && spare != worker && steal_from(worker, spare, &any_job, hunt->job)) return true;
  }
  return false;
}

static bool look_at_deques(void *context, uint32_t node) {
  wp_hunt *hunt = (wp_hunt *)context;
  wp_worker *worker = hunt->worker;
  uint32_t count = wp_atomic_load(&worker->pool->nodes[node].worker_count, wp_acquire);  // edge SLOT
  return wp_victims_look_at_workers(&worker->random, node, count, look_at_worker, context) || look_at_spares(hunt, node);
}

// MARK: The order

/// Whether the queues of another node are left alone, because one of its workers looks at them or is about to be woken.
static bool is_left_alone(wp_thread_pool *pool, uint32_t node) {
  return wp_event_count_is_attended(&pool->nodes[node].event_count) && !wp_pool_is_draining(pool);
}

static bool look_at_home(wp_hunt *hunt) {
  wp_worker *worker = hunt->worker;
  return refill(worker, wp_node_of(worker), hunt->job) || look_at_deques(hunt, worker->node);
}

/// Takes one job of another node's queue.
static bool pop_afar(wp_worker *worker, uint32_t node, wp_job *job) {
  wp_popped popped;
  if (wp_node_pop(&worker->pool->nodes[node], job, 1, 1, &popped) == 0) return false;
  wp_count(&worker->taken_afar);
  return true;
}

static bool look_at_node(void *context, uint32_t node) {
  wp_hunt *hunt = (wp_hunt *)context;
  wp_worker *worker = hunt->worker;
  wp_thread_pool *pool = worker->pool;
  if (node == worker->node) return look_at_home(hunt);
  if (!wp_node_has_work(pool, node) || is_left_alone(pool, node)) return false;
  // The look at home is the longer ago the more nodes there are, and the thread may have stood still since.
  if (wp_node_has_work(pool, worker->node) && look_at_home(hunt)) return true;
  if (pop_afar(worker, node, hunt->job)) return true;
  if (!look_at_deques(context, node)) return false;
  wp_count(&worker->taken_afar);
  return true;
}

static bool look_aside(wp_thread_pool *pool, wp_job *job) {
  return wp_atomic_load(&pool->aside_used, wp_relaxed) != 0 && wp_injector_pop(pool->aside, job, 1, 1, NULL) == 1;
}

bool wp_look_around(wp_worker *worker, wp_job *job) {
  wp_thread_pool *pool = worker->pool;
  wp_hunt hunt = {worker, job};
  return wp_victims_look(wp_node_of(worker)->nearest, pool->node_count, look_at_node, &hunt) || look_aside(pool, job);
}

bool wp_look_sees_work(wp_worker *worker) {
  wp_thread_pool *pool = worker->pool;
  const uint32_t *nearest = wp_node_of(worker)->nearest;
  for (uint32_t i = 0; i < pool->node_count; i++) {
    if (wp_node_has_work(pool, nearest[i]) && (i == 0 || !is_left_alone(pool, nearest[i]))) return true;
  }
  return wp_pool_has_work_aside(pool);
}

bool wp_look_set_aside(wp_worker *worker, wp_job job) {
  wp_thread_pool *pool = worker->pool;
  size_t accepted;
  wp_atomic_store(&pool->aside_used, 1u, wp_seq_cst);  // edge ANNOUNCE: before the job, which is before the notify
  if (wp_injector_push(pool->aside, &job, 1, &accepted) != WP_OK) return false;
  wp_event_count_notify_one(worker->event_count);
  return true;
}

// MARK: Fair turns

/// One job of the own node's queue, and every other time of another node's.
static bool turn_to_injectors(wp_worker *worker, wp_job *job) {
  wp_thread_pool *pool = worker->pool;
  uint32_t round = worker->fairness.turns / WP_TURNS;
  if (pool->node_count > 1 && round % 2 == 1) {
    uint32_t node = wp_node_of(worker)->nearest[round / 2 % pool->node_count];
    if (node != worker->node && pop_afar(worker, node, job)) return true;
  }
  wp_popped popped;
  return wp_node_pop(wp_node_of(worker), job, 1, 1, &popped) == 1;
}

/// The worker at a place in the row of all deques: nodes' workers first, spares after them. NULL behind the end.
static wp_worker *owner_at(wp_thread_pool *pool, uint32_t place) {
  for (uint32_t n = 0; n < pool->node_count; n++) {
    uint32_t count = wp_atomic_load(&pool->nodes[n].worker_count, wp_acquire);  // edge SLOT
    if (place < count) return pool->nodes[n].workers[place];
    place -= count;
  }
  return place < wp_atomic_load(&pool->spares.used, wp_acquire) ? &pool->spares.slots[place] : NULL;  // edge SLOT
}

/// Takes some of the oldest jobs of a deque whose owner may be long in coming. Of forks none but the first, which is run at
/// once: one that stood in this worker's deque behind a long job would be out of reach for its owner, who waits for it.
static bool take_some(wp_worker *worker, wp_worker *victim, wp_job *job) {
  wp_job some[WP_FAIR_TAKE];
  size_t max = wp_pace_is_long(&worker->pace) || wp_pool_is_draining(worker->pool) ? 1 : WP_FAIR_TAKE;
  size_t room = 1 + wp_deque_room(&worker->deque);
  size_t there = wp_deque_count(&victim->deque);
  size_t half = (there + 1) / 2;
  if (max > WP_FAIR_TAKE_FEW && there < WP_REFILL_MAX) max = WP_FAIR_TAKE_FEW;
  if (max > room) max = room;
  if (max > half) max = half;
  size_t count = 0;
  while (count < max && steal_from(worker, victim, count == 0 ? &any_job : &no_fork, &some[count])) count++;
  if (count == 0) return false;
  *job = some[0];
  size_t pushed = wp_deque_push_reversed(&worker->deque, some + 1, count - 1);
  WP_ASSERT(pushed == count - 1);
  if (pushed > 0) wp_event_count_notify_one(worker->event_count);
  return true;
}

static bool turn_to_deques(wp_worker *worker, wp_job *job) {
  wp_thread_pool *pool = worker->pool;
  for (uint32_t look = 0; look < WP_FAIR_LOOKS; look++) {
    wp_worker *victim = owner_at(pool, worker->fairness.next_deque);
    if (victim == NULL) {
      worker->fairness.next_deque = 0;
      if (look > 0) break;
      victim = owner_at(pool, 0);
    }
    worker->fairness.next_deque++;
    if (victim != NULL && victim != worker && take_some(worker, victim, job)) return true;
  }
  return false;
}

/// Takes the worker's next turn, or the next but one and so on, as far as their places are empty.
static bool look_in_turn(wp_worker *worker, wp_job *job) {
  wp_fairness *fairness = &worker->fairness;
  for (uint32_t i = 0; i < WP_TURNS; i++) {
    bool found = false;
    switch ((wp_turn)(fairness->turns++ % WP_TURNS)) {
    case WP_TURN_INJECTORS: found = turn_to_injectors(worker, job); break;
    case WP_TURN_OWN_OLDEST: found = take_oldest(&worker->deque, &any_job, job); break;
    case WP_TURN_DEQUES: found = turn_to_deques(worker, job); break;
    case WP_TURN_ASIDE: found = look_aside(worker->pool, job); break;
    case WP_TURNS: break;
    }
    if (found) return true;
  }
  return false;
}

/// Takes a turn, if it is time for one.
static bool take_turn(wp_worker *worker, bool is_long, wp_job *job) {
  if (!wp_fairness_is_turn(&worker->fairness, is_long ? WP_FAIR_INTERVAL_LONG : WP_FAIR_INTERVAL)) return false;
  int64_t before = wp_deque_position(&worker->deque);
  if (!look_in_turn(worker, job)) return false;
  // These are none of the batch at hand.
  uint64_t found = 1 + (uint64_t)(wp_deque_position(&worker->deque) - before);
  worker->batch_taken += found;
  worker->batch_clear = wp_atomic_load(&worker->taken, wp_relaxed) + found;
  return true;
}

bool wp_look_at_stop(wp_worker *worker, wp_job *job) {
  if (worker->batch_is_timed) {
    look_after_timed(worker);
  } else if (worker->batch_rest != 0 && look_at_batch(worker)) {
    wp_fairness_stop_after(&worker->fairness, 1);
    return false;  // the next job is the batch's
  }
  bool is_long = wp_pace_is_long(&worker->pace);
  wp_fairness_stop_after(&worker->fairness, is_long ? WP_FAIR_INTERVAL_LONG : WP_FAIR_STRETCH);
  return take_turn(worker, is_long, job);
}
