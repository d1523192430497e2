// A pool of threads on a machine of several nodes, in simulated time: discrete events, whole nanoseconds, no threads.
//
// What decides is the engine's own: the order of nodes and where in a node a walk begins (thread/wp_victims.h),
// distances and the places of workers (topology/). What stands here again, in a few lines each, is what surrounds that:
// queues, sleeping and waking as in thread/wp_worker.c and park/wp_event_count.h, with an event count for each node.
#ifndef STEAL_SIMULATION_MODEL_H
#define STEAL_SIMULATION_MODEL_H

#include "CWorkerPool.h"

#define MAX_NODES 16u
#define MAX_WORKERS 256u
#define NO_INDEX UINT32_MAX

/// What things cost, in ns. Whatever touches another worker's or node's memory is multiplied by distance / 10.
enum {
  WAKE_NS = 30000,      // from the wake to the woken worker's first look
  WAKE_CALL_NS = 1000,  // for the one who wakes
  SPIN_NS = 20000,      // a search that finds nothing
  NOTICE_NS = 100,      // until a spinning worker sees new work
  LOOK_NS = 20,         // a look at a queue
  TAKE_NS = 100,        // taking from a queue that is not the own deque
  OWN_NS = 10,          // taking from the own deque
  SUBMIT_NS = 200,      // between two batches from outside
};
/// A worker moves at most so many jobs from its own node's injector to its deque at once, as in the engine.
#define BATCH_MAX 32u

/// Whom a worker that runs out of work looks at.
typedef enum sim_policy {
  /// As the engine does.
  LOCAL_FIRST,
  /// As the engine does, but without leaving alone the queues of a node of whose workers one searches.
  LOCAL_FIRST_AT_ONCE,
  /// All deques and injectors in an order drawn anew each time, and a batch from whichever injector it is.
  RANDOM,
  POLICIES,
} sim_policy;

/// The machine, as the engine reads it.
typedef struct sim_machine {
  uint32_t node_count, worker_count;
  /// Workers are sorted by node.
  uint32_t node_of[MAX_WORKERS], first_worker[MAX_NODES], workers_of[MAX_NODES];
  uint32_t nearest[MAX_NODES][MAX_NODES];
  uint32_t distance[MAX_NODES][MAX_NODES];
} sim_machine;

typedef struct sim_task {
  /// The node that holds its data.
  uint32_t home;
  /// How long it takes at home.
  uint32_t ns;
  /// More than 1: it ends by forking two of depth - 1 and depth - 2, whose data is where it ran.
  uint32_t depth;
  /// When it was submitted or forked.
  uint64_t since;
} sim_task;

/// Jobs that come from outside, all for one node.
typedef struct sim_arrival {
  uint64_t time;
  uint32_t node;
  uint32_t first_task, task_count;
} sim_arrival;

/// Growing; `tasks` get longer as tasks fork.
typedef struct sim_load {
  sim_task *tasks;
  uint32_t task_count, task_room;
  sim_arrival *arrivals;
  uint32_t arrival_count, arrival_room;
} sim_load;

uint32_t load_add_task(sim_load *load, sim_task task);
void load_add_arrival(sim_load *load, sim_arrival arrival);

typedef struct sim_outcome {
  uint64_t finished;     // ns
  uint64_t work;         // ns of all tasks, had each run at home
  uint64_t waited;       // ns from submission to end, summed over tasks
  uint32_t run, remote;  // tasks
  /// Jobs taken from other workers' deques and other nodes' injectors, by distance.
  uint32_t taken[256];
} sim_outcome;

/// Runs a load to its end. Deterministic. `percent` of a task's time is spent on its data, and takes distance / 10
/// times as long on another node.
sim_outcome simulate(const sim_machine *machine, sim_load *load, sim_policy policy, uint32_t percent, uint32_t seed);

/// Deterministic, and never 0.
uint32_t draw(uint32_t *state);
/// Says why on stderr, and ends the program.
_Noreturn void give_up(const char *why);

#endif
