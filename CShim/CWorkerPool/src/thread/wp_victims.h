// Where a worker looks for work that is not its own, and in which order: nearest node first, the queues of a farther
// node only when those of all nearer ones were found empty.
//
// Stands apart from the queues, so that the simulation of stealing (Tests/StealSimulation) decides by the same code as
// the pool does. All of it is inlined into its caller.
//
// Within a node the victims are equally near; each walk begins at a random one, so that thieves do not queue up at the
// first (R. Blumofe and C. Leiserson, "Scheduling multithreaded computations by work stealing", 1999). Between nodes
// the order is fixed.
#ifndef WP_VICTIMS_H
#define WP_VICTIMS_H

#include <stdbool.h>
#include <stdint.h>

/// xorshift32 (G. Marsaglia, 2003). The state must not be 0, and never becomes it.
static inline uint32_t wp_victims_random(uint32_t *state) {
  uint32_t x = *state;
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  return *state = x;
}

/// Looks at the queues of one node. True with a job.
typedef bool (*wp_look_at_node)(void *context, uint32_t node);
/// Looks at the deque of one worker of a node, by its place there. True with a job.
typedef bool (*wp_look_at_worker)(void *context, uint32_t node, uint32_t place);

/// Looks at the nodes in the order `nearest`, the worker's own first (`wp_topology_nearest_nodes`), until a look
/// succeeds.
static inline bool wp_victims_look(const uint32_t *nearest, uint32_t node_count, wp_look_at_node look, void *context) {
  for (uint32_t i = 0; i < node_count; i++) {
    if (look(context, nearest[i])) return true;
  }
  return false;
}

/// Looks at the `count` workers of a node, from a random one on, until a look succeeds.
static inline bool wp_victims_look_at_workers(uint32_t *random, uint32_t node, uint32_t count, wp_look_at_worker look,
                                              void *context) {
  if (count == 0) return false;
  uint32_t start = wp_victims_random(random) % count;
  for (uint32_t i = 0; i < count; i++) {
    uint32_t place = start + i < count ? start + i : start + i - count;
    if (look(context, node, place)) return true;
  }
  return false;
}

#endif
