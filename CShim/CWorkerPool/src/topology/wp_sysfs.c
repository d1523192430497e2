// Nodes, cores and distances from /sys/devices/system.
//
// Formats: Documentation/ABI/stable/sysfs-devices-node (node/online, nodeN/cpulist, nodeN/distance, nodeN/meminfo) and
// Documentation/admin-guide/cputopology.rst (cpuN/topology/core_cpus_list, whose older name is thread_siblings_list).
// nodeN/distance has one number per *online* node in ascending order (drivers/base/node.c, node_read_distance), so on
// a machine with sparse node ids the column is the node's index, not its id.
//
// All or nothing: if a list of nodes, or of one node's CPUs, cannot be read, the machine counts as one node. Half a
// topology would place workers wrongly and look right. Distances, memory and siblings fall back one by one.
//
// Rejected: libnuma as the source. Its view cannot be redirected to a fixture, numa_max_node() is the highest id and
// not a count, and numa_distance() of an absent node is 0. hwloc: right, but a dependency as large as this package.
#include "wp_topology_internal.h"

#include "../platform/wp_affinity.h"

#include <stdlib.h>
#include <string.h>

/// Moves the CPUs of a set to a node. CPUs that no node names stay on the first.
static void wp_sysfs_assign_node(wp_topology *topology, const wp_cpu_set *members, size_t node) {
  for (size_t i = 0; i < topology->cpu_count; i++) {
    if (wp_cpu_set_contains(members, (size_t)topology->cpus[i].id)) topology->cpus[i].node = (uint32_t)node;
  }
}

/// Gives `node` to each of its CPUs. False when its list cannot be read.
static bool wp_sysfs_read_node_cpus(wp_topology *topology, const char *sys_root, size_t node, char *scratch,
                                    size_t capacity) {
  wp_text text;
  wp_cpu_set members;
  if (!wp_text_read(&text, scratch, capacity, "%s/devices/system/node/node%d/cpulist", sys_root,
                    topology->nodes[node].id) ||
      !wp_cpu_list_parse(text, &members)) {
    return false;
  }
  wp_sysfs_assign_node(topology, &members, node);
  return true;
}

/// "Node 0 MemTotal:       65843224 kB" in bytes, 0 if it does not stand there.
static uint64_t wp_sysfs_parse_memory(wp_text file) {
  static const char key[] = "MemTotal:";
  while (!wp_text_is_empty(file)) {
    wp_text line = wp_text_take_until(&file, '\n');
    const char *found = (const char *)memmem(line.next, wp_text_length(line), key, sizeof key - 1);
    if (found == NULL) continue;
    uint64_t kilobytes;
    line.next = found + sizeof key - 1;
    wp_text_skip_blanks(&line);
    bool valid = wp_text_take_number(&line, UINT64_MAX / 1024, &kilobytes);
    wp_text_skip_blanks(&line);
    return valid && wp_text_equals(line, "kB") ? kilobytes * 1024 : 0;
  }
  return 0;
}

/// Reads one row of distances; leaves the default row when the numbers are not one per node.
static void wp_sysfs_parse_distances(const wp_topology *topology, wp_text text, size_t from) {
  uint32_t row[WP_NODE_LIMIT];
  for (size_t to = 0; to < topology->node_count; to++) {
    uint64_t distance;
    wp_text_skip_blanks(&text);
    if (!wp_text_take_number(&text, UINT16_MAX, &distance) || distance == 0) return;
    row[to] = (uint32_t)distance;
  }
  wp_text_skip_blanks(&text);
  if (!wp_text_is_empty(text)) return;
  memcpy(topology->distances + from * topology->node_count, row, topology->node_count * sizeof *row);
}

/// Allocates `count` nodes and a default distance table.
static bool wp_sysfs_allocate_nodes(wp_topology *topology, size_t count) {
  topology->nodes = (wp_topology_node *)calloc(count, sizeof *topology->nodes);
  topology->distances = (uint32_t *)calloc(count * count, sizeof *topology->distances);
  if (topology->nodes == NULL || topology->distances == NULL) return false;
  topology->node_count = count;
  for (size_t from = 0; from < count; from++) {
    for (size_t to = 0; to < count; to++) {
      topology->distances[from * count + to] = from == to ? WP_DISTANCE_LOCAL : WP_DISTANCE_REMOTE;
    }
  }
  return true;
}

/// Makes the machine one node. The arrays are large enough already when there are any.
static bool wp_sysfs_collapse(wp_topology *topology) {
  if (topology->nodes == NULL && !wp_sysfs_allocate_nodes(topology, 1)) return false;
  memset(topology->nodes, 0, sizeof *topology->nodes);
  topology->distances[0] = WP_DISTANCE_LOCAL;
  topology->node_count = 1;
  for (size_t i = 0; i < topology->cpu_count; i++) topology->cpus[i].node = 0;
  return true;
}

static bool wp_sysfs_read_nodes(wp_topology *topology, const char *sys_root, char *scratch, size_t capacity) {
  wp_text text;
  wp_cpu_set online;
  if (!wp_text_read(&text, scratch, capacity, "%s/devices/system/node/online", sys_root) ||
      !wp_cpu_list_parse(text, &online)) {
    return wp_sysfs_collapse(topology);
  }
  size_t count = wp_cpu_set_count(&online);
  if (count == 0 || count != wp_cpu_set_count_below(&online, WP_NODE_LIMIT)) return wp_sysfs_collapse(topology);
  if (!wp_sysfs_allocate_nodes(topology, count)) return false;
  size_t id = 0;
  for (size_t node = 0; node < count; node++, id++) {
    id = wp_cpu_set_next(&online, id);
    topology->nodes[node].id = (int)id;
    if (!wp_sysfs_read_node_cpus(topology, sys_root, node, scratch, capacity)) return wp_sysfs_collapse(topology);
    if (wp_text_read(&text, scratch, capacity, "%s/devices/system/node/node%zu/meminfo", sys_root, id)) {
      topology->nodes[node].memory = wp_sysfs_parse_memory(text);
    }
    if (wp_text_read(&text, scratch, capacity, "%s/devices/system/node/node%zu/distance", sys_root, id)) {
      wp_sysfs_parse_distances(topology, text, node);
    }
  }
  return true;
}

/// Numbers the threads of each core. One file serves all threads of its core. A CPU without a readable list, or that
/// is not in its own list, counts as a core.
static void wp_sysfs_read_siblings(wp_topology *topology, const wp_cpu_set *allowed, const char *sys_root,
                                   char *scratch, size_t capacity) {
  static const char *const names[] = {"thread_siblings_list", "core_cpus_list"};
  wp_cpu_set done, siblings;
  memset(&done, 0, sizeof done);
  for (size_t i = 0; i < topology->cpu_count; i++) {
    size_t id = (size_t)topology->cpus[i].id;
    wp_text text;
    bool found = false;
    if (wp_cpu_set_contains(&done, id)) continue;
    for (size_t name = 0; name < 2 && !found; name++) {
      found = wp_text_read(&text, scratch, capacity, "%s/devices/system/cpu/cpu%zu/topology/%s", sys_root, id,
                           names[name]) &&
              wp_cpu_list_parse(text, &siblings) && wp_cpu_set_contains(&siblings, id);
    }
    if (!found) continue;
    wp_cpu_set_intersect(&siblings, allowed);
    uint32_t rank = 0;
    for (size_t cpu = wp_cpu_set_next(&siblings, 0); cpu < WP_CPU_LIMIT; cpu = wp_cpu_set_next(&siblings, cpu + 1)) {
      size_t index = wp_cpu_set_count_below(allowed, cpu);
      if (!wp_cpu_set_contains(&done, cpu)) topology->cpus[index].rank = rank++;
      done.words[cpu / 64] |= (uint64_t)1 << (cpu % 64);
    }
  }
}

/// Pinning goes through libnuma, so where it places a CPU on another of our nodes, that is where the CPU belongs.
/// Asked per present node: for an absent one, as numa_node_of_cpu would ask, libnuma may warn on stderr. Where it
/// cannot read a node it claims every CPU for it; such an answer, in which nodes overlap, is not heeded at all.
static void wp_sysfs_heed_libnuma(wp_topology *topology) {
  wp_cpu_set members, seen;
  if (topology->node_count < 2 || !wp_numa_works()) return;
  memset(&seen, 0, sizeof seen);
  for (size_t node = 0; node < topology->node_count; node++) {
    if (!wp_numa_node_cpus(topology->nodes[node].id, members.words, WP_CPU_SET_WORDS)) return;
    for (size_t word = 0; word < WP_CPU_SET_WORDS; word++) {
      if ((seen.words[word] & members.words[word]) != 0) return;
      seen.words[word] |= members.words[word];
    }
  }
  for (size_t node = 0; node < topology->node_count; node++) {
    if (wp_numa_node_cpus(topology->nodes[node].id, members.words, WP_CPU_SET_WORDS)) {
      wp_sysfs_assign_node(topology, &members, node);
    }
  }
}

bool wp_sysfs_read(wp_topology *topology, const wp_cpu_set *allowed, const char *sys_root, char *scratch,
                   size_t capacity) {
  if (!wp_sysfs_read_nodes(topology, sys_root, scratch, capacity)) return false;
  wp_sysfs_read_siblings(topology, allowed, sys_root, scratch, capacity);
  if (strcmp(sys_root, "/sys") == 0) wp_sysfs_heed_libnuma(topology);
  for (size_t i = 0; i < topology->cpu_count; i++) topology->nodes[topology->cpus[i].node].cpu_count++;
  return true;
}
