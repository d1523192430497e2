// Nodes and distances from /sys/devices/system/node, and which nodes' memory a cpuset leaves from /proc/self/status.
//
// Formats: Documentation/ABI/stable/sysfs-devices-node (node/online, nodeN/cpulist, nodeN/distance, nodeN/meminfo).
// nodeN/distance has one number per *online* node in ascending order (drivers/base/node.c, node_read_distance), so on
// a machine with sparse node ids the column is the node's index, not its id.
//
// All or nothing: if a list of nodes, or of one node's CPUs, cannot be read, the machine counts as one node. Half a
// topology would place workers wrongly and look right. Distances and memory fall back one by one.
//
// Rejected: libnuma as the source. Its view cannot be redirected to a fixture, numa_max_node() is the highest id and
// not a count, and numa_distance() of an absent node is 0. hwloc: right, but a dependency as large as this package.
#include "wp_topology_internal.h"

#include "../platform/wp_affinity.h"

#include <stdlib.h>
#include <string.h>

/// Gives a node those of its CPUs that no node before it has named. Each CPU is moved once, however hostile the files.
static void wp_sysfs_assign_node(wp_topology *topology, const wp_cpu_set *members, size_t node, const wp_sysfs *sysfs,
                                 wp_cpu_set *unnamed) {
  wp_cpu_set named = *members;
  wp_cpu_set_intersect(&named, unnamed);
  wp_cpu_set_subtract(unnamed, &named);
  wp_cpu_set others = named;
  wp_cpu_set_intersect(&others, &sysfs->others);
  topology->nodes[node].other_count += (uint32_t)wp_cpu_set_count(&others);
  wp_cpu_set_intersect(&named, &sysfs->allowed);
  for (size_t cpu = wp_cpu_set_next(&named, 0); cpu < WP_CPU_LIMIT; cpu = wp_cpu_set_next(&named, cpu + 1)) {
    topology->cpus[wp_cpu_set_count_below(&sysfs->allowed, cpu)].node = (uint32_t)node;
  }
}

/// Gives `node` its CPUs. False when its list cannot be read.
static bool wp_sysfs_read_node_cpus(wp_topology *topology, const wp_sysfs *sysfs, size_t node, wp_cpu_set *unnamed) {
  wp_text text;
  wp_cpu_set members;
  if (!wp_text_read(&text, sysfs->scratch, sysfs->capacity, "%s/devices/system/node/node%d/cpulist", sysfs->root,
                    topology->nodes[node].id) ||
      !wp_cpu_list_parse(text, &members)) {
    return false;
  }
  wp_sysfs_assign_node(topology, &members, node, sysfs, unnamed);
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
static bool wp_sysfs_collapse(wp_topology *topology, const wp_sysfs *sysfs) {
  if (topology->nodes == NULL && !wp_sysfs_allocate_nodes(topology, 1)) return false;
  memset(topology->nodes, 0, sizeof *topology->nodes);
  topology->nodes[0].other_count = (uint32_t)wp_cpu_set_count(&sysfs->others);
  topology->distances[0] = WP_DISTANCE_LOCAL;
  topology->node_count = 1;
  for (size_t i = 0; i < topology->cpu_count; i++) topology->cpus[i].node = 0;
  return true;
}

/// Reads what the files say. CPUs that no node names go to the first.
static bool wp_sysfs_read_node_files(wp_topology *topology, const wp_sysfs *sysfs) {
  wp_text text;
  wp_cpu_set online, unnamed;
  if (!wp_text_read(&text, sysfs->scratch, sysfs->capacity, "%s/devices/system/node/online", sysfs->root) ||
      !wp_cpu_list_parse(text, &online)) {
    return wp_sysfs_collapse(topology, sysfs);
  }
  size_t count = wp_cpu_set_count(&online);
  if (count == 0 || count != wp_cpu_set_count_below(&online, WP_NODE_LIMIT)) return wp_sysfs_collapse(topology, sysfs);
  if (!wp_sysfs_allocate_nodes(topology, count)) return false;
  memset(&unnamed, 0xff, sizeof unnamed);
  size_t id = 0;
  for (size_t node = 0; node < count; node++, id++) {
    id = wp_cpu_set_next(&online, id);
    topology->nodes[node].id = (int)id;
    if (!wp_sysfs_read_node_cpus(topology, sysfs, node, &unnamed)) return wp_sysfs_collapse(topology, sysfs);
    if (wp_text_read(&text, sysfs->scratch, sysfs->capacity, "%s/devices/system/node/node%zu/meminfo", sysfs->root, id)) {
      topology->nodes[node].memory = wp_sysfs_parse_memory(text);
    }
    if (wp_text_read(&text, sysfs->scratch, sysfs->capacity, "%s/devices/system/node/node%zu/distance", sysfs->root,
                     id)) {
      wp_sysfs_parse_distances(topology, text, node);
    }
  }
  wp_cpu_set_intersect(&unnamed, &sysfs->others);
  topology->nodes[0].other_count += (uint32_t)wp_cpu_set_count(&unnamed);
  return true;
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
    if (!wp_numa_node_cpus(topology->nodes[node].id, members.words, WP_CPU_SET_WORDS)) continue;
    for (size_t i = 0; i < topology->cpu_count; i++) {
      if (wp_cpu_set_contains(&members, (size_t)topology->cpus[i].id)) topology->cpus[i].node = (uint32_t)node;
    }
  }
}

/// "Mems_allowed_list:\t0-1,3" among the lines of /proc/self/status (proc(5)).
static bool wp_sysfs_find_allowed_memory(wp_text status, wp_cpu_set *nodes) {
  static const char key[] = "Mems_allowed_list:";
  while (!wp_text_is_empty(status)) {
    wp_text line = wp_text_take_until(&status, '\n');
    if (wp_text_length(line) < sizeof key - 1 || memcmp(line.next, key, sizeof key - 1) != 0) continue;
    line.next += sizeof key - 1;
    return wp_cpu_list_parse(line, nodes);
  }
  return false;
}

void wp_sysfs_read_allowed_memory(wp_topology *topology, const wp_sysfs *sysfs, const char *proc_root) {
  wp_text text;
  wp_cpu_set nodes;
  if (!wp_text_read(&text, sysfs->scratch, sysfs->capacity, "%s/self/status", proc_root) ||
      !wp_sysfs_find_allowed_memory(text, &nodes)) {
    return;
  }
  bool any = false;
  for (size_t i = 0; i < topology->node_count; i++) {
    any = any || (topology->nodes[i].memory != 0 && wp_cpu_set_contains(&nodes, (size_t)topology->nodes[i].id));
  }
  for (size_t i = 0; any && i < topology->node_count; i++) {
    wp_topology_node *node = &topology->nodes[i];
    node->memory_denied = node->memory != 0 && !wp_cpu_set_contains(&nodes, (size_t)node->id);
  }
}

bool wp_sysfs_read_nodes(wp_topology *topology, const wp_sysfs *sysfs) {
  if (!wp_sysfs_read_node_files(topology, sysfs)) return false;
  if (strcmp(sysfs->root, "/sys") == 0) wp_sysfs_heed_libnuma(topology);
  for (size_t i = 0; i < topology->cpu_count; i++) topology->nodes[topology->cpus[i].node].cpu_count++;
  return true;
}
