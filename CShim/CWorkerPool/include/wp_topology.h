// CPUs and NUMA nodes of this machine, and how many CPUs this process was really granted.
//
// A snapshot: read once, constant afterwards, so that any thread may use it. CPUs go offline, masks and quotas change:
// whoever wants to know reads a new one. All files are read below two injectable roots, which is how the tests show it
// machines that they do not run on.
#ifndef WP_TOPOLOGY_H
#define WP_TOPOLOGY_H

#include "wp_base.h"

WP_BEGIN_DECLS
WP_NONNULL_BEGIN

typedef struct wp_topology wp_topology;

/// Where to read, and how much. A NULL member means the default.
typedef struct wp_topology_source {
  /// Default "/sys". Nodes are read from `<sys_root>/devices/system/node`, CPUs from `.../cpu`,
  /// and cgroup files below `<sys_root>/fs/cgroup` unless mountinfo says otherwise.
  const char *WP_NULLABLE sys_root;
  /// Default "/proc". `<proc_root>/self/cgroup` and `<proc_root>/self/mountinfo` are read. Mount points
  /// named there are taken relative to the parent folder of `proc_root` when it is not "/proc".
  const char *WP_NULLABLE proc_root;
  /// A CPU list ("0-3,8") to use in place of the affinity mask of the calling thread.
  const char *WP_NULLABLE affinity;
  /// Whether to take the affinity mask of the process, which is that of its main thread, and not the calling thread's.
  bool of_process;
  /// What to take for the value of `WORKER_POOL_CPUS`; NULL for what the environment has.
  const char *WP_NULLABLE environment_cpus;
  /// Whether to read sockets, caches and kinds of cores, too: a few files more per core, which no pool needs. Without
  /// them the topology answers as if /sys had no such files.
  bool details;
} wp_topology_source;

/// Reads the topology. `source` may be NULL. Malformed, missing or oversized files fall back to one node (id 0)
/// that holds every allowed CPU, to no quota, to default distances: a topology never has zero CPUs. Where the
/// mask has no CPU in common with those that /sys calls online, the mask is believed. On the machine's own
/// "/sys", libnuma has the last word on which node a CPU belongs to.
///
/// Fails with `WP_SYSTEM_CALL_FAILED` only when memory or the affinity mask cannot be had, and with
/// `WP_INVALID_ARGUMENT` when `affinity` is not a CPU list or is empty. O(CPUs·log CPUs + nodes²), and a file read per
/// core and three per node; with `details`, also two per socket and three to ten per last-level cache. Nothing is
/// cached between calls. Release with `wp_topology_destroy`.
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

/// Number of the core that the allowed CPU at `index` belongs to. Cores are numbered from 0 in the order of their first
/// allowed CPU, over the whole machine.
size_t wp_topology_cpu_core(const wp_topology *topology, size_t index);
/// Number of allowed CPUs with a lower id on the same core: 0 for the first hardware thread, 1 for its sibling.
size_t wp_topology_cpu_thread(const wp_topology *topology, size_t index);
/// The socket (physical package) as the kernel numbers it; -1 when unknown.
int wp_topology_cpu_socket(const wp_topology *topology, size_t index);
/// Number of the group of CPUs that share a last-level cache, the data or unified cache of the highest level. Groups are
/// numbered from 0 in the order of their first allowed CPU. A core whose caches are unknown is a group of its own.
size_t wp_topology_cpu_cache(const wp_topology *topology, size_t index);

/// Which kind of core a CPU is, on a machine that has more than one.
typedef enum wp_cpu_kind {
  /// All cores are alike, or the kernel does not tell them apart.
  WP_CPU_KIND_UNIFORM = 0,
  /// One of the fastest kind.
  WP_CPU_KIND_PERFORMANCE,
  /// One of a slower kind, made to use less energy.
  WP_CPU_KIND_EFFICIENCY,
} wp_cpu_kind;

/// From /sys/devices/cpu_core and cpu_atom where there are such (Intel), else from the cores' capacities (arm64, RISC-V).
wp_cpu_kind wp_topology_cpu_kind(const wp_topology *topology, size_t index);
/// Speed of the CPU relative to the machine's fastest, which has 1024, as the kernel's scheduler sees it; 0 when unknown.
unsigned wp_topology_cpu_capacity(const wp_topology *topology, size_t index);

/// Number of CPUs that are online, allowed or not; at least `wp_topology_cpu_count`. O(nodes).
size_t wp_topology_online_count(const wp_topology *topology);

/// Number of nodes, CPU-less and memory-less ones included; at least 1.
size_t wp_topology_node_count(const wp_topology *topology);
/// System id of the node at `index` (ids may be sparse); -1 when out of range.
int wp_topology_node_id(const wp_topology *topology, size_t index);
/// Number of allowed CPUs on the node.
size_t wp_topology_node_cpu_count(const wp_topology *topology, size_t index);
/// Number of CPUs on the node that are online, allowed or not.
size_t wp_topology_node_online_count(const wp_topology *topology, size_t index);
/// Total memory of the node in bytes; 0 for a memory-less node or when unknown.
uint64_t wp_topology_node_memory(const wp_topology *topology, size_t index);
/// Whether the process may take memory from the node: whether it is in the cpuset's `mems`. True when unknown.
bool wp_topology_node_memory_is_allowed(const wp_topology *topology, size_t index);
/// Distance between two nodes by index, as the firmware tells it (10 is local). Unknown: 10 to itself, else 20.
unsigned wp_topology_distance(const wp_topology *topology, size_t from, size_t to);

/// CPUs that the cgroup quotas (v1 and v2, the tightest of all ancestors) allow, rounded up; 0 for no quota.
size_t wp_topology_quota(const wp_topology *topology);
/// The value of the environment variable `WORKER_POOL_CPUS`, the user's own bound: a whole number of at least 1. NULL
/// when it is not set, and in a program that runs with more privileges than its caller. Valid until the environment
/// changes.
const char *WP_NULLABLE wp_topology_environment_cpus(void);
/// The number in `WORKER_POOL_CPUS` when the topology was read; 0 when it was not set, or to anything else.
size_t wp_topology_override(const wp_topology *topology);
/// CPUs that this process may really use: the least of the allowed CPUs, the quota and `WORKER_POOL_CPUS`; at least 1.
/// Cpusets need no bound of their own: the kernel keeps the affinity mask within them. A value of `WORKER_POOL_CPUS`
/// that is no number does not limit.
size_t wp_topology_granted(const wp_topology *topology);
/// As `wp_topology_granted`, for those who act on it: fails with `WP_INVALID_ARGUMENT`, `call` being
/// "WORKER_POOL_CPUS", when that variable is set to anything but a whole number from 1 to 2147483647.
wp_status wp_topology_grant(const wp_topology *topology, size_t *granted, wp_error *WP_NULLABLE error);

/// Writes the topology as lines of text for people to read, of which the last ends without a newline: the grant and what
/// it is made of; each node with its memory and its cores ("0+8" is a core with two threads), those that share socket,
/// last-level cache and kind on one line; the distances. The wording may change between versions.
///
/// As `snprintf`: at most `capacity` bytes are written, the last a NUL; `buffer` may be NULL if `capacity` is 0. Returns
/// the length of the whole text without its NUL, or 0 when memory is short. O(CPUs·log CPUs + nodes²).
size_t wp_topology_describe(const wp_topology *topology, char *WP_NULLABLE buffer, size_t capacity);

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

/// Index of the node whose memory is nearest to a node, among those that the process may take memory from: its own, if it
/// has any that is known. O(nodes).
size_t wp_topology_nearest_memory(const wp_topology *topology, size_t node);

/// Writes the order in which a worker of node `from` looks at all nodes: itself first, then by distance, ties
/// by index. `from` is a node's index. `order` has room for `wp_topology_node_count` entries. O(nodes²).
void wp_topology_nearest_nodes(const wp_topology *topology, size_t from, uint32_t *order);

WP_NONNULL_END
WP_END_DECLS

#endif
