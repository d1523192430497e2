#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../CShim/CWorkerPool/src/thread/wp_victims.h"

/// Indices of tasks; both ends are used.
typedef struct sim_queue {
  uint32_t *items;
  uint32_t head, tail, room;
} sim_queue;

typedef enum sim_state { ASLEEP, WAKING, SPINNING, PREPARING, RUNNING } sim_state;

typedef struct sim_worker {
  uint32_t index, node;
  sim_state state;
  /// Counts in its node's word.
  bool searching;
  uint32_t random;
  uint32_t task;
  /// The one event that it waits for.
  uint64_t due, order;
  uint64_t spin_end;
  sim_queue deque;
} sim_worker;

/// A node's injector and event count. At most one worker of a node searches.
typedef struct sim_node {
  sim_queue injector;
  uint32_t searcher;
  uint32_t asleep[MAX_WORKERS];
  uint32_t asleep_count;
} sim_node;

typedef struct sim_pool {
  const sim_machine *machine;
  sim_load *load;
  sim_policy policy;
  uint32_t percent;
  uint64_t order;
  sim_worker workers[MAX_WORKERS];
  sim_node nodes[MAX_NODES];
  sim_outcome outcome;
} sim_pool;

/// A worker's turn: what it took, and what it has cost so far.
typedef struct sim_turn {
  sim_pool *pool;
  sim_worker *worker;
  uint64_t now;
  uint32_t task;
} sim_turn;

_Noreturn void give_up(const char *why) {
  fprintf(stderr, "steal-simulation: %s\n", why);
  exit(1);
}

uint32_t draw(uint32_t *state) { return wp_victims_random(state); }

static void *grow(void *items, uint32_t *room, size_t size) {
  *room = *room == 0 ? 64 : *room * 2;
  void *grown = realloc(items, *room * size);
  if (grown == NULL) give_up("out of memory");
  return grown;
}

uint32_t load_add_task(sim_load *load, sim_task task) {
  if (load->task_count == load->task_room) load->tasks = grow(load->tasks, &load->task_room, sizeof(load->tasks[0]));
  load->tasks[load->task_count] = task;
  return load->task_count++;
}

void load_add_arrival(sim_load *load, sim_arrival arrival) {
  if (load->arrival_count == load->arrival_room) {
    load->arrivals = grow(load->arrivals, &load->arrival_room, sizeof(load->arrivals[0]));
  }
  load->arrivals[load->arrival_count++] = arrival;
}

// MARK: Queues

static bool is_empty(const sim_queue *queue) { return queue->head == queue->tail; }

static void push(sim_queue *queue, uint32_t item) {
  if (queue->tail == queue->room) queue->items = grow(queue->items, &queue->room, sizeof(queue->items[0]));
  queue->items[queue->tail++] = item;
}

static uint32_t take_oldest(sim_queue *queue) { return queue->items[queue->head++]; }

static uint32_t take_newest(sim_queue *queue) { return queue->items[--queue->tail]; }

// MARK: Waking

static uint32_t distance(const sim_pool *pool, uint32_t from, uint32_t to) { return pool->machine->distance[from][to]; }

static void schedule(sim_pool *pool, sim_worker *worker, uint64_t time) {
  worker->due = time;
  worker->order = pool->order++;
}

/// A spinning worker sees whatever changes.
static void notice(sim_pool *pool, uint32_t home, uint64_t now) {
  for (uint32_t i = 0; i < pool->machine->node_count; i++) {
    if (pool->nodes[i].searcher == NO_INDEX) continue;
    sim_worker *searcher = &pool->workers[pool->nodes[i].searcher];
    uint64_t then = now + NOTICE_NS * (uint64_t)distance(pool, i, home) / 10;
    if (searcher->state == SPINNING && then < searcher->due) schedule(pool, searcher, then);
  }
}

/// Finds somebody for work on node `home`: wakes the nearest that sleeps, unless one searches that is as near.
static void notify(sim_pool *pool, uint32_t home, uint64_t *now) {
  for (uint32_t i = 0; i < pool->machine->node_count; i++) {
    uint32_t at = pool->machine->nearest[home][i];
    sim_node *node = &pool->nodes[at];
    if (node->searcher != NO_INDEX) break;
    if (node->asleep_count == 0) continue;
    sim_worker *woken = &pool->workers[node->asleep[--node->asleep_count]];
    woken->state = WAKING;
    woken->searching = true;
    node->searcher = woken->index;
    *now += WAKE_CALL_NS;
    schedule(pool, woken, *now + WAKE_NS);
    break;
  }
  notice(pool, home, *now);
}

static bool has_work(const sim_pool *pool, uint32_t at) {
  bool any = !is_empty(&pool->nodes[at].injector);
  for (uint32_t i = 0; !any && i < pool->machine->workers_of[at]; i++) {
    any = !is_empty(&pool->workers[pool->machine->first_worker[at] + i].deque);
  }
  return any;
}

static void pass_on(sim_pool *pool, const sim_worker *worker, uint64_t *now) {
  for (uint32_t i = 0; i < pool->machine->node_count; i++) {
    uint32_t at = pool->machine->nearest[worker->node][i];
    if (!has_work(pool, at)) continue;
    notify(pool, at, now);
    return;
  }
}

static void stop_searching(sim_pool *pool, sim_worker *worker, uint64_t now) {
  if (!worker->searching) return;
  worker->searching = false;
  pool->nodes[worker->node].searcher = NO_INDEX;
  notice(pool, worker->node, now);  // others leave this node's queues alone no more
}

// MARK: Looking for work

/// Takes jobs from an injector: one to run, the rest into the own deque, so that they run in their order.
static bool take_from_injector(sim_turn *turn, uint32_t at, bool batch) {
  sim_pool *pool = turn->pool;
  sim_worker *worker = turn->worker;
  sim_queue *injector = &pool->nodes[at].injector;
  uint32_t away = distance(pool, worker->node, at);
  turn->now += LOOK_NS * (uint64_t)away / 10;
  if (is_empty(injector)) return false;
  turn->now += TAKE_NS * (uint64_t)away / 10;
  uint32_t share = pool->machine->worker_count;
  uint32_t count = batch ? (injector->tail - injector->head + share - 1) / share : 1;
  if (count > BATCH_MAX) count = BATCH_MAX;
  if (at != worker->node) pool->outcome.taken[away] += count;
  turn->task = take_oldest(injector);
  injector->head += count - 1;
  for (uint32_t i = 1; i < count; i++) push(&worker->deque, injector->items[injector->head - i]);
  if (count > 1) notify(pool, worker->node, &turn->now);
  return true;
}

static bool look_at_worker(void *context, uint32_t at, uint32_t place) {
  sim_turn *turn = context;
  sim_pool *pool = turn->pool;
  sim_worker *victim = &pool->workers[pool->machine->first_worker[at] + place];
  if (victim == turn->worker) return false;
  uint32_t away = distance(pool, turn->worker->node, at);
  turn->now += LOOK_NS * (uint64_t)away / 10;
  if (is_empty(&victim->deque)) return false;
  turn->now += TAKE_NS * (uint64_t)away / 10;
  turn->task = take_oldest(&victim->deque);
  pool->outcome.taken[away]++;
  return true;
}

static bool look_at_node(void *context, uint32_t at) {
  sim_turn *turn = context;
  sim_pool *pool = turn->pool;
  bool own = at == turn->worker->node;
  if (!own && pool->policy == LOCAL_FIRST && pool->nodes[at].searcher != NO_INDEX) return false;
  return take_from_injector(turn, at, own) ||
         wp_victims_look_at_workers(&turn->worker->random, at, pool->machine->workers_of[at], look_at_worker, turn);
}

/// All queues but the own deque, in an order drawn without replacement.
static bool look_at_random(sim_turn *turn) {
  const sim_machine *machine = turn->pool->machine;
  uint32_t order[MAX_WORKERS + MAX_NODES];
  uint32_t count = machine->worker_count + machine->node_count;
  for (uint32_t i = 0; i < count; i++) order[i] = i;
  for (uint32_t i = 0; i < count; i++) {
    uint32_t other = i + wp_victims_random(&turn->worker->random) % (count - i);
    uint32_t victim = order[other];
    order[other] = order[i];
    if (victim >= machine->worker_count) {
      if (take_from_injector(turn, victim - machine->worker_count, true)) return true;
    } else {
      uint32_t at = machine->node_of[victim];
      if (look_at_worker(turn, at, victim - machine->first_worker[at])) return true;
    }
  }
  return false;
}

static bool look_around(sim_turn *turn) {
  const sim_pool *pool = turn->pool;
  if (pool->policy == RANDOM) return look_at_random(turn);
  return wp_victims_look(pool->machine->nearest[turn->worker->node], pool->machine->node_count, look_at_node, turn);
}

// MARK: A worker's turns

static void run(sim_turn *turn) {
  sim_pool *pool = turn->pool;
  sim_worker *worker = turn->worker;
  const sim_task *task = &pool->load->tasks[turn->task];
  uint64_t on_data = (uint64_t)task->ns * pool->percent / 100;
  uint64_t far = on_data * distance(pool, worker->node, task->home) / 10;
  worker->state = RUNNING;
  worker->task = turn->task;
  schedule(pool, worker, turn->now + task->ns - on_data + far);
  pool->outcome.waited += worker->due - task->since;
  pool->outcome.run++;
  pool->outcome.remote += worker->node != task->home;
  pool->outcome.work += task->ns;
}

/// Looks for work, having none. Without any it spins, if it may, or prepares to sleep, or sleeps.
static void look(sim_turn *turn) {
  sim_pool *pool = turn->pool;
  sim_worker *worker = turn->worker;
  uint64_t began = turn->now;
  sim_state before = worker->state;
  if (before == PREPARING) stop_searching(pool, worker, turn->now);
  if (look_around(turn)) {
    bool owes = worker->searching || before == PREPARING;
    stop_searching(pool, worker, turn->now);
    if (owes) pass_on(pool, worker, &turn->now);
    run(turn);
  } else if (before == SPINNING && began < worker->spin_end) {
    schedule(pool, worker, worker->spin_end);
  } else if (before == RUNNING && pool->nodes[worker->node].searcher == NO_INDEX) {
    worker->state = SPINNING;
    worker->searching = true;
    pool->nodes[worker->node].searcher = worker->index;
    worker->spin_end = turn->now + SPIN_NS;
    schedule(pool, worker, turn->now);  // what came while it looked
  } else if (before != PREPARING) {
    worker->state = PREPARING;
    schedule(pool, worker, turn->now);
  } else {
    sim_node *node = &pool->nodes[worker->node];
    worker->state = ASLEEP;
    worker->due = UINT64_MAX;
    node->asleep[node->asleep_count++] = worker->index;
  }
}

/// A task's end: its forks go to the own deque, each with a wake.
static void fork_children(sim_turn *turn) {
  sim_pool *pool = turn->pool;
  sim_worker *worker = turn->worker;
  sim_task parent = pool->load->tasks[worker->task];
  for (uint32_t i = 1; i <= 2 && parent.depth > 1; i++) {
    sim_task child = {worker->node, parent.ns, parent.depth - i, turn->now};
    push(&worker->deque, load_add_task(pool->load, child));
    turn->now += OWN_NS;
    notify(pool, worker->node, &turn->now);
  }
}

static void take_turn(sim_pool *pool, sim_worker *worker) {
  sim_turn turn = {pool, worker, worker->due, NO_INDEX};
  if (worker->state == RUNNING) {
    if (worker->due > pool->outcome.finished) pool->outcome.finished = worker->due;
    fork_children(&turn);
    if (!is_empty(&worker->deque)) {
      turn.task = take_newest(&worker->deque);
      turn.now += OWN_NS;
      run(&turn);
      return;
    }
  }
  look(&turn);
}

// MARK: The whole

static void pool_begin(sim_pool *pool, uint32_t seed) {
  const sim_machine *machine = pool->machine;
  for (uint32_t i = 0; i < machine->node_count; i++) pool->nodes[i].searcher = NO_INDEX;
  for (uint32_t i = 0; i < machine->worker_count; i++) {
    sim_worker *worker = &pool->workers[i];
    sim_node *node = &pool->nodes[machine->node_of[i]];
    worker->index = i;
    worker->node = machine->node_of[i];
    worker->random = (2463534242u * seed + i * 2654435769u) | 1;
    worker->state = ASLEEP;
    worker->due = UINT64_MAX;
    node->asleep[node->asleep_count++] = i;
  }
}

static sim_worker *next_worker(sim_pool *pool) {
  sim_worker *next = &pool->workers[0];
  for (uint32_t i = 1; i < pool->machine->worker_count; i++) {
    sim_worker *worker = &pool->workers[i];
    if (worker->due < next->due || (worker->due == next->due && worker->order < next->order)) next = worker;
  }
  return next;
}

static void submit(sim_pool *pool, const sim_arrival *arrival) {
  for (uint32_t i = 0; i < arrival->task_count; i++) {
    pool->load->tasks[arrival->first_task + i].since = arrival->time;
    push(&pool->nodes[arrival->node].injector, arrival->first_task + i);
  }
  uint64_t now = arrival->time;
  notify(pool, arrival->node, &now);
}

sim_outcome simulate(const sim_machine *machine, sim_load *load, sim_policy policy, uint32_t percent, uint32_t seed) {
  sim_pool *pool = calloc(1, sizeof *pool);
  if (pool == NULL) give_up("out of memory");
  pool->machine = machine;
  pool->load = load;
  pool->policy = policy;
  pool->percent = percent;
  pool_begin(pool, seed);
  for (uint32_t arrived = 0;;) {
    sim_worker *next = next_worker(pool);
    if (arrived < load->arrival_count && load->arrivals[arrived].time <= next->due) {
      submit(pool, &load->arrivals[arrived++]);
    } else if (next->due != UINT64_MAX) {
      take_turn(pool, next);
    } else {
      break;
    }
  }
  // The model itself must not lose a wake.
  if (pool->outcome.run != load->task_count) give_up("all workers sleep, and there is work left");
  sim_outcome outcome = pool->outcome;
  for (uint32_t i = 0; i < machine->worker_count; i++) free(pool->workers[i].deque.items);
  for (uint32_t i = 0; i < machine->node_count; i++) free(pool->nodes[i].injector.items);
  free(pool);
  return outcome;
}
