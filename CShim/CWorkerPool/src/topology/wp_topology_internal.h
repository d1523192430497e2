// What a topology holds. Written by wp_topology_create alone, constant afterwards.
#ifndef WP_TOPOLOGY_INTERNAL_H
#define WP_TOPOLOGY_INTERNAL_H

#include "wp_cpu_list.h"
#include "wp_topology.h"

WP_BEGIN_DECLS

/// The kernel's own bound on node numbers (MAX_NUMNODES, NODES_SHIFT of 10).
#define WP_NODE_LIMIT 1024u
#define WP_DISTANCE_LOCAL 10u
#define WP_DISTANCE_REMOTE 20u

typedef struct wp_topology_cpu {
  int id;
  uint32_t node;
  /// Number of allowed CPUs with a lower id on the same core: 0 for the first thread of a core.
  uint32_t rank;
} wp_topology_cpu;

typedef struct wp_topology_node {
  int id;
  uint32_t cpu_count;
  uint64_t memory;
} wp_topology_node;

struct wp_topology {
  /// Ascending by id.
  wp_topology_cpu *cpus;
  size_t cpu_count;
  /// Ascending by id.
  wp_topology_node *nodes;
  size_t node_count;
  /// Row by row, `node_count` squared.
  uint32_t *distances;
  /// Indexes into `cpus` in the order in which workers get them; see wp_placement.c.
  uint32_t *compact_order;
  uint32_t *spread_order;
  size_t quota;
};

/// Reads nodes, cores and distances below `sys_root` into a topology whose allowed CPUs are already known, and
/// allocates what they need. False when memory is short.
bool wp_sysfs_read(wp_topology *topology, const wp_cpu_set *allowed, const char *sys_root, char *scratch,
                   size_t capacity);

/// Computes the orders of placement. False when memory is short.
bool wp_placement_prepare(wp_topology *topology);

WP_END_DECLS

#endif
