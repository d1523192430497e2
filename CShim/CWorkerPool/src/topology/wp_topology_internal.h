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
  /// Cores and groups of CPUs with a last-level cache are numbered without gaps.
  uint32_t core;
  uint32_t cache;
  int socket;
  uint16_t capacity;
  uint8_t kind;
} wp_topology_cpu;

typedef struct wp_topology_node {
  int id;
  uint32_t cpu_count;
  /// CPUs that are online but not allowed.
  uint32_t other_count;
  uint64_t memory;
  /// Whether a cpuset keeps this process from its memory.
  bool memory_denied;
} wp_topology_node;

struct wp_topology {
  /// Ascending by id.
  wp_topology_cpu *cpus;
  size_t cpu_count;
  size_t core_count;
  /// Whether the file of any cache could be read.
  bool knows_caches;
  /// Ascending by id.
  wp_topology_node *nodes;
  size_t node_count;
  /// Row by row, `node_count` squared.
  uint32_t *distances;
  /// Indexes into `cpus` in the order in which workers get them; see wp_placement.c.
  uint32_t *compact_order;
  uint32_t *spread_order;
  size_t quota;
  /// 0 for none, or none that makes sense; then `override_problem` is the rule that it breaks.
  size_t override_cpus;
  const char *override_problem;
};

/// What is left to read of a machine: where it stands, room for a file, and which CPUs there are.
typedef struct wp_sysfs {
  const char *root;
  char *scratch;
  size_t capacity;
  wp_cpu_set allowed;
  /// Online but not allowed.
  wp_cpu_set others;
} wp_sysfs;

/// Reads nodes and distances into a topology whose allowed CPUs are already listed, and allocates what they need. False
/// when memory is short.
bool wp_sysfs_read_nodes(wp_topology *topology, const wp_sysfs *sysfs);

/// Notes which nodes' memory this process may not take. Where that is unreadable, or leaves nothing, it may take all.
void wp_sysfs_read_allowed_memory(wp_topology *topology, const wp_sysfs *sysfs, const char *proc_root);

/// Numbers the cores and their threads. One file serves all threads of its core. Without a readable list of its core, or
/// one that it is in itself, a CPU counts as a core.
void wp_sysfs_read_cores(wp_topology *topology, const wp_sysfs *sysfs);

/// Reads sockets, last-level caches and kinds of cores. False when memory is short.
bool wp_sysfs_read_details(wp_topology *topology, const wp_sysfs *sysfs);

/// Reads the environment's bound; `value` is NULL when there is none.
void wp_grant_read_override(wp_topology *topology, const char *value);

/// Computes the orders of placement. False when memory is short.
bool wp_placement_prepare(wp_topology *topology);

WP_END_DECLS

#endif
