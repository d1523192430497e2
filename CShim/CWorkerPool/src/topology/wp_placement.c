// Which worker goes on which CPU.
//
// The orders depend on the machine alone, so they are computed once with the topology; placing is then a walk along
// one of them and needs no memory. "Compact" sorts by (node, rank, id), "spread" by (rank, turn, node), where a CPU's
// rank is its place among the threads of its core and its turn its place among the CPUs of that rank on its node.
//
// Source of the idea: OMP_PLACES=cores with OMP_PROC_BIND=close and spread (OpenMP 5.0, 2.6.2). Rejected: filling both
// threads of a core before the next core, which is what "compact" means to KMP_AFFINITY: two busy threads of one core
// share its execution units while another core idles.
#include "wp_topology_internal.h"

#include "../base/wp_error.h"

#include <stdlib.h>

/// A CPU with what the orders compare, most significant first.
typedef struct wp_placement_key {
  uint32_t first, second, third;
  uint32_t cpu;
} wp_placement_key;

static int wp_placement_compare_numbers(uint32_t left, uint32_t right) { return (left > right) - (left < right); }

static int wp_placement_compare(const void *left_key, const void *right_key) {
  const wp_placement_key *left = (const wp_placement_key *)left_key;
  const wp_placement_key *right = (const wp_placement_key *)right_key;
  int result = wp_placement_compare_numbers(left->first, right->first);
  if (result == 0) result = wp_placement_compare_numbers(left->second, right->second);
  if (result == 0) result = wp_placement_compare_numbers(left->third, right->third);
  return result;
}

bool wp_placement_prepare(wp_topology *topology) {
  size_t count = topology->cpu_count;
  topology->compact_order = (uint32_t *)calloc(count, sizeof(uint32_t));
  topology->spread_order = (uint32_t *)calloc(count, sizeof(uint32_t));
  wp_placement_key *keys = (wp_placement_key *)calloc(count, sizeof *keys);
  if (topology->compact_order == NULL || topology->spread_order == NULL || keys == NULL) {
    free(keys);
    return false;
  }
  for (size_t i = 0; i < count; i++) {
    const wp_topology_cpu *cpu = &topology->cpus[i];
    wp_placement_key key = {cpu->node, cpu->rank, (uint32_t)i, (uint32_t)i};
    keys[i] = key;
  }
  qsort(keys, count, sizeof *keys, wp_placement_compare);
  uint32_t turn = 0;
  uint32_t previous_node = 0, previous_rank = 0;
  for (size_t i = 0; i < count; i++) {
    uint32_t node = keys[i].first, rank = keys[i].second;
    turn = i > 0 && node == previous_node && rank == previous_rank ? turn + 1 : 0;
    previous_node = node;
    previous_rank = rank;
    topology->compact_order[i] = keys[i].cpu;
    keys[i].first = rank;
    keys[i].second = turn;
    keys[i].third = node;
  }
  qsort(keys, count, sizeof *keys, wp_placement_compare);
  for (size_t i = 0; i < count; i++) topology->spread_order[i] = keys[i].cpu;
  free(keys);
  return true;
}

/// Index of an allowed CPU, `SIZE_MAX` if it is not.
static size_t wp_placement_find_cpu(const wp_topology *topology, int id) {
  size_t low = 0, high = topology->cpu_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (topology->cpus[middle].id < id) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < topology->cpu_count && topology->cpus[low].id == id ? low : SIZE_MAX;
}

static wp_placement wp_placement_on(const wp_topology *topology, size_t cpu) {
  wp_placement placement = {topology->cpus[cpu].id, topology->cpus[cpu].node};
  return placement;
}

static wp_status wp_placement_refuse(int number, int *refused, wp_error *error, const char *argument,
                                     const char *rule) {
  wp_fail(error, WP_INVALID_ARGUMENT, 0, argument, rule);
  if (error != NULL) error->refused = number;
  if (refused != NULL) *refused = number;
  return WP_INVALID_ARGUMENT;
}

static wp_status wp_placement_on_listed(const wp_topology *topology, const wp_affinity_choice *choice,
                                        size_t worker_count, wp_placement *placements, int *refused, wp_error *error) {
  size_t count = choice->cpu_count;
  if (choice->cpus == NULL || count == 0) return wp_fail(error, WP_INVALID_ARGUMENT, 0, "cpus", "must name a CPU");
  for (size_t i = 0; i < count; i++) {
    if (wp_placement_find_cpu(topology, choice->cpus[i]) == SIZE_MAX) {
      return wp_placement_refuse(choice->cpus[i], refused, error, "cpus",
                                 "each CPU must be online and in the affinity mask");
    }
  }
  for (size_t i = 0; i < worker_count; i++) {
    placements[i] = i < count ? wp_placement_on(topology, wp_placement_find_cpu(topology, choice->cpus[i]))
                              : placements[i - count];
  }
  return WP_OK;
}

static wp_status wp_placement_on_node(const wp_topology *topology, int node, size_t worker_count,
                                      wp_placement *placements, int *refused, wp_error *error) {
  // In the compact order the CPUs of a node stand together.
  size_t first = 0;
  while (first < topology->cpu_count && topology->nodes[topology->cpus[topology->compact_order[first]].node].id != node) {
    first++;
  }
  if (first == topology->cpu_count) {
    return wp_placement_refuse(node, refused, error, "node",
                               "must be online, with a CPU that is in the affinity mask");
  }
  size_t count = topology->nodes[topology->cpus[topology->compact_order[first]].node].cpu_count;
  for (size_t i = 0; i < worker_count; i++) {
    placements[i] = wp_placement_on(topology, topology->compact_order[first + i % count]);
  }
  return WP_OK;
}

/// Worker `i` of `n` floats near the CPU in the middle of its `1/n` share of all CPUs, so that no node is ever more
/// than one worker away from its proportion.
static void wp_placement_float(const wp_topology *topology, size_t worker_count, wp_placement *placements) {
  for (size_t i = 0; i < worker_count; i++) {
    uint64_t middle = ((2 * (uint64_t)i + 1) * topology->cpu_count - 1) / (2 * (uint64_t)worker_count);
    placements[i].cpu = -1;
    placements[i].node = topology->cpus[topology->compact_order[middle]].node;
  }
}

wp_status wp_topology_place(const wp_topology *topology, const wp_affinity_choice *choice, size_t worker_count,
                            wp_placement *placements, int *refused, wp_error *error) {
  const uint32_t *order;
  switch (choice->policy) {
  case WP_AFFINITY_NONE: wp_placement_float(topology, worker_count, placements); return WP_OK;
  case WP_AFFINITY_COMPACT: order = topology->compact_order; break;
  case WP_AFFINITY_SPREAD: order = topology->spread_order; break;
  case WP_AFFINITY_CPUS: return wp_placement_on_listed(topology, choice, worker_count, placements, refused, error);
  case WP_AFFINITY_NODE: return wp_placement_on_node(topology, choice->node, worker_count, placements, refused, error);
  default: return wp_fail(error, WP_INVALID_ARGUMENT, 0, "affinity", "must be a known policy");
  }
  for (size_t i = 0; i < worker_count; i++) placements[i] = wp_placement_on(topology, order[i % topology->cpu_count]);
  return WP_OK;
}
