// CPUs and NUMA nodes of this machine, and how many CPUs this process was really granted.
//
// A snapshot: read once, constant afterwards, so that any thread may use it. All files are read below
// two injectable roots, which is how the tests show it machines that they do not run on.
#ifndef WP_TOPOLOGY_H
#define WP_TOPOLOGY_H

#include "wp_base.h"

WP_BEGIN_DECLS
WP_NONNULL_BEGIN

typedef struct wp_topology wp_topology;

/// Where to read. A NULL member means the default.
typedef struct wp_topology_source {
  /// Default "/sys". Nodes are read from `<sys_root>/devices/system/node`, CPUs from `.../cpu`,
  /// and cgroup files below `<sys_root>/fs/cgroup` unless mountinfo says otherwise.
  const char *WP_NULLABLE sys_root;
  /// Default "/proc". `<proc_root>/self/cgroup` and `<proc_root>/self/mountinfo` are read. Mount points
  /// named there are taken relative to the parent folder of `proc_root` when it is not "/proc".
  const char *WP_NULLABLE proc_root;
  /// A CPU list ("0-3,8") to use in place of the affinity mask of the calling thread.
  const char *WP_NULLABLE affinity;
} wp_topology_source;

/// Reads the topology. `source` may be NULL. Malformed, missing or oversized files fall back to one node (id 0)
/// that holds every allowed CPU, to no quota, to default distances: a topology never has zero CPUs. Where the
/// mask has no CPU in common with those that /sys calls online, the mask is believed. On the machine's own
/// "/sys", libnuma has the last word on which node a CPU belongs to.
///
/// Fails with `WP_SYSTEM_CALL_FAILED` only when memory or the affinity mask cannot be had, and with
/// `WP_INVALID_ARGUMENT` when `affinity` is not a CPU list or is empty. O(CPUs·log CPUs + nodes·(CPUs + nodes)),
/// and a file read per core and three per node. Release with `wp_topology_destroy`.
wp_status wp_topology_create(const wp_topology_source *WP_NULLABLE source,
                             wp_topology *WP_NULLABLE *WP_NONNULL topology,
                             wp_error *WP_NULLABLE error);
void wp_topology_destroy(wp_topology *WP_NULLABLE topology);

/// Number of CPUs that are online and that the affinity mask allows; at least 1. This and all questions below
/// answer in O(1) unless they say otherwise.
size_t wp_topology_cpu_count(const wp_topology *topology);
/// System number of the allowed CPU at `index`, ascending; -1 when out of range.
int wp_topology_cpu_id(const wp_topology *topology, size_t index);
/// Index (not id) of the node that holds the allowed CPU at `index`.
size_t wp_topology_cpu_node(const wp_topology *topology, size_t index);
/// Whether another allowed CPU with a lower id shares this CPU's core.
bool wp_topology_cpu_is_sibling(const wp_topology *topology, size_t index);

/// Number of nodes, CPU-less and memory-less ones included; at least 1.
size_t wp_topology_node_count(const wp_topology *topology);
/// System id of the node at `index` (ids may be sparse); -1 when out of range.
int wp_topology_node_id(const wp_topology *topology, size_t index);
/// Number of allowed CPUs on the node.
size_t wp_topology_node_cpu_count(const wp_topology *topology, size_t index);
/// Total memory of the node in bytes; 0 for a memory-less node or when unknown.
uint64_t wp_topology_node_memory(const wp_topology *topology, size_t index);
/// Distance between two nodes by index, as the firmware tells it (10 is local). Unknown: 10 to itself, else 20.
unsigned wp_topology_distance(const wp_topology *topology, size_t from, size_t to);

/// CPUs that the cgroup quotas (v1 and v2, the tightest of all ancestors) allow, rounded up; 0 for no quota.
size_t wp_topology_quota(const wp_topology *topology);
/// CPUs that this process may really use: the smaller of the allowed CPUs and the quota; at least 1.
size_t wp_topology_granted(const wp_topology *topology);

/// How to place workers on CPUs.
typedef enum wp_affinity {
  /// Workers float: the kernel schedules them on any allowed CPU.
  WP_AFFINITY_NONE = 0,
  /// Fill one node before the next, physical cores before their SMT siblings.
  WP_AFFINITY_COMPACT,
  /// Round-robin over nodes, physical cores before their SMT siblings.
  WP_AFFINITY_SPREAD,
  /// The CPUs listed by the caller, round-robin.
  WP_AFFINITY_CPUS,
  /// The CPUs of one node, round-robin, physical cores before their SMT siblings.
  WP_AFFINITY_NODE,
} wp_affinity;

/// A policy and what belongs to it. Zero-initialised: workers float.
typedef struct wp_affinity_choice {
  wp_affinity policy;
  /// For `WP_AFFINITY_NODE`: the node's system id.
  int node;
  /// For `WP_AFFINITY_CPUS`: system numbers of CPUs.
  const int *WP_NULLABLE cpus;
  size_t cpu_count;
} wp_affinity_choice;

/// Where one worker goes.
typedef struct wp_placement {
  /// System CPU number to pin to, or -1 to float.
  int cpu;
  /// Node index that the worker belongs to (its injector, its victims' order).
  uint32_t node;
} wp_placement;

/// Places `worker_count` workers, writing one entry each to `placements`.
///
/// A CPU that is not allowed, or a node that is absent or has no allowed CPU, fails with `WP_INVALID_ARGUMENT`, and
/// `*refused` (if not NULL) names it; so does an empty list of CPUs, naming none. Under `WP_AFFINITY_NONE` workers are
/// still dealt to nodes in proportion to the nodes' CPUs. With more workers than CPUs the order begins again.
/// Deterministic. O(workers), and beside that O(cpu_count·log CPUs) for `WP_AFFINITY_CPUS` and O(CPUs) for
/// `WP_AFFINITY_NODE`.
wp_status wp_topology_place(const wp_topology *topology, const wp_affinity_choice *choice, size_t worker_count,
                            wp_placement *placements, int *WP_NULLABLE refused, wp_error *WP_NULLABLE error);

/// Writes the order in which a worker of node `from` looks at all nodes: itself first, then by distance, ties
/// by index. `from` is a node's index. `order` has room for `wp_topology_node_count` entries. O(nodes²).
void wp_topology_nearest_nodes(const wp_topology *topology, size_t from, uint32_t *order);

WP_NONNULL_END
WP_END_DECLS

#endif
