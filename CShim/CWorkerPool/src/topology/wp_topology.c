// The snapshot and its questions. How the files are read is in wp_sysfs.c, wp_sysfs_cpus.c and wp_cgroup.c.
#include "wp_topology_internal.h"

#include "../base/wp_assert.h"
#include "../base/wp_error.h"
#include "../platform/wp_affinity.h"
#include "wp_cgroup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/// One block for every file that is read, never touched beyond the longest of them. It bounds mountinfo, which has a
/// line per mount: 4 MiB are some 30,000. A fuzzer has smaller files, and no time for large blocks.
#ifndef WP_TOPOLOGY_SCRATCH
#define WP_TOPOLOGY_SCRATCH ((size_t)4 << 20)
#endif

/// Allowed CPUs: online and in the mask. Where these contradict each other wholly, or "online" is unreadable, the mask
/// wins: it is what the kernel enforces.
static wp_status wp_topology_find_cpus(const wp_topology_source *source, wp_sysfs *sysfs, wp_error *error) {
  wp_text text;
  wp_cpu_set online;
  wp_cpu_set *allowed = &sysfs->allowed;
  if (source->affinity != NULL) {
    if (!wp_cpu_list_parse(wp_text_of(source->affinity), allowed) || wp_cpu_set_count(allowed) == 0) {
      return wp_fail(error, WP_INVALID_ARGUMENT, 0, "affinity", "a CPU list such as \"0-3,8\", not empty, below 32768");
    }
  } else {
    int problem = wp_affinity_get(source->of_process, allowed->words, WP_CPU_SET_WORDS);
    if (problem == 0 && wp_cpu_set_count(allowed) == 0) problem = ERANGE;
    if (problem != 0) return wp_fail(error, WP_SYSTEM_CALL_FAILED, problem, "sched_getaffinity", NULL);
  }
  memset(&sysfs->others, 0, sizeof sysfs->others);
  if (wp_text_read(&text, sysfs->scratch, sysfs->capacity, "%s/devices/system/cpu/online", sysfs->root) &&
      wp_cpu_list_parse(text, &online)) {
    wp_cpu_set both = online;
    wp_cpu_set_intersect(&both, allowed);
    if (wp_cpu_set_count(&both) == 0) return WP_OK;
    *allowed = both;
    sysfs->others = online;
    wp_cpu_set_subtract(&sysfs->others, allowed);
  }
  return WP_OK;
}

static bool wp_topology_list_cpus(wp_topology *topology, const wp_cpu_set *allowed) {
  topology->cpu_count = wp_cpu_set_count(allowed);
  topology->cpus = (wp_topology_cpu *)calloc(topology->cpu_count, sizeof *topology->cpus);
  if (topology->cpus == NULL) return false;
  size_t id = 0;
  for (size_t i = 0; i < topology->cpu_count; i++, id++) {
    id = wp_cpu_set_next(allowed, id);
    topology->cpus[i].id = (int)id;
    topology->cpus[i].socket = -1;
  }
  return true;
}

static wp_status wp_topology_fill(wp_topology *topology, const wp_topology_source *source, char *scratch,
                                  wp_error *error) {
  const char *proc_root = source->proc_root != NULL ? source->proc_root : "/proc";
  wp_sysfs sysfs;
  sysfs.root = source->sys_root != NULL ? source->sys_root : "/sys";
  sysfs.scratch = scratch;
  sysfs.capacity = WP_TOPOLOGY_SCRATCH;
  wp_status status = wp_topology_find_cpus(source, &sysfs, error);
  if (status != WP_OK) return status;
  bool complete = wp_topology_list_cpus(topology, &sysfs.allowed) && wp_sysfs_read_nodes(topology, &sysfs);
  if (complete) wp_sysfs_read_allowed_memory(topology, &sysfs, proc_root);
  if (complete) wp_sysfs_read_cores(topology, &sysfs);
  if (complete && source->details) complete = wp_sysfs_read_details(topology, &sysfs);
  if (!complete || !wp_placement_prepare(topology)) {
    return wp_fail(error, WP_SYSTEM_CALL_FAILED, ENOMEM, "malloc", NULL);
  }
  topology->quota = wp_cgroup_quota(sysfs.root, proc_root, scratch, WP_TOPOLOGY_SCRATCH);
  const char *value = source->environment_cpus;
  wp_grant_read_override(topology, value != NULL ? value : wp_topology_environment_cpus());
  return WP_OK;
}

wp_status wp_topology_create(const wp_topology_source *source, wp_topology **topology, wp_error *error) {
  static const wp_topology_source defaults;
  wp_topology *made = (wp_topology *)calloc(1, sizeof *made);
  char *scratch = (char *)malloc(WP_TOPOLOGY_SCRATCH);
  wp_status status = made == NULL || scratch == NULL ? wp_fail(error, WP_SYSTEM_CALL_FAILED, ENOMEM, "malloc", NULL)
                                                     : wp_topology_fill(made, source != NULL ? source : &defaults,
                                                                        scratch, error);
  free(scratch);
  if (status == WP_OK) {
    *topology = made;
  } else {
    wp_topology_destroy(made);
  }
  return status;
}

void wp_topology_destroy(wp_topology *topology) {
  if (topology == NULL) return;
  free(topology->cpus);
  free(topology->nodes);
  free(topology->distances);
  free(topology->compact_order);
  free(topology->spread_order);
  free(topology);
}

size_t wp_topology_cpu_count(const wp_topology *topology) { return topology->cpu_count; }

int wp_topology_cpu_id(const wp_topology *topology, size_t index) {
  return index < topology->cpu_count ? topology->cpus[index].id : -1;
}

size_t wp_topology_cpu_node(const wp_topology *topology, size_t index) {
  return index < topology->cpu_count ? topology->cpus[index].node : 0;
}

bool wp_topology_cpu_is_sibling(const wp_topology *topology, size_t index) {
  return index < topology->cpu_count && topology->cpus[index].rank > 0;
}

size_t wp_topology_cpu_core(const wp_topology *topology, size_t index) {
  return index < topology->cpu_count ? topology->cpus[index].core : 0;
}

size_t wp_topology_cpu_thread(const wp_topology *topology, size_t index) {
  return index < topology->cpu_count ? topology->cpus[index].rank : 0;
}

int wp_topology_cpu_socket(const wp_topology *topology, size_t index) {
  return index < topology->cpu_count ? topology->cpus[index].socket : -1;
}

size_t wp_topology_cpu_cache(const wp_topology *topology, size_t index) {
  return index < topology->cpu_count ? topology->cpus[index].cache : 0;
}

wp_cpu_kind wp_topology_cpu_kind(const wp_topology *topology, size_t index) {
  return index < topology->cpu_count ? (wp_cpu_kind)topology->cpus[index].kind : WP_CPU_KIND_UNIFORM;
}

unsigned wp_topology_cpu_capacity(const wp_topology *topology, size_t index) {
  return index < topology->cpu_count ? topology->cpus[index].capacity : 0;
}

size_t wp_topology_online_count(const wp_topology *topology) {
  size_t count = topology->cpu_count;
  for (size_t node = 0; node < topology->node_count; node++) count += topology->nodes[node].other_count;
  return count;
}

size_t wp_topology_node_count(const wp_topology *topology) { return topology->node_count; }

int wp_topology_node_id(const wp_topology *topology, size_t index) {
  return index < topology->node_count ? topology->nodes[index].id : -1;
}

size_t wp_topology_node_cpu_count(const wp_topology *topology, size_t index) {
  return index < topology->node_count ? topology->nodes[index].cpu_count : 0;
}

size_t wp_topology_node_online_count(const wp_topology *topology, size_t index) {
  if (index >= topology->node_count) return 0;
  return (size_t)topology->nodes[index].cpu_count + topology->nodes[index].other_count;
}

uint64_t wp_topology_node_memory(const wp_topology *topology, size_t index) {
  return index < topology->node_count ? topology->nodes[index].memory : 0;
}

bool wp_topology_node_memory_is_allowed(const wp_topology *topology, size_t index) {
  return index < topology->node_count && !topology->nodes[index].memory_denied;
}

unsigned wp_topology_distance(const wp_topology *topology, size_t from, size_t to) {
  if (from >= topology->node_count || to >= topology->node_count) {
    return from == to ? WP_DISTANCE_LOCAL : WP_DISTANCE_REMOTE;
  }
  return topology->distances[from * topology->node_count + to];
}

static bool has_memory(const wp_topology *topology, size_t node) {
  return wp_topology_node_memory(topology, node) != 0 && wp_topology_node_memory_is_allowed(topology, node);
}

size_t wp_topology_nearest_memory(const wp_topology *topology, size_t node) {
  // Its own, even where the firmware calls another one nearer.
  if (has_memory(topology, node)) return node;
  size_t nearest = node;
  for (size_t i = 0; i < topology->node_count; i++) {
    if (!has_memory(topology, i)) continue;
    bool nearer = wp_topology_distance(topology, node, i) < wp_topology_distance(topology, node, nearest);
    if (nearer || nearest == node) nearest = i;
  }
  return nearest;
}

void wp_topology_nearest_nodes(const wp_topology *topology, size_t from, uint32_t *order) {
  WP_ASSERT(from < topology->node_count);
  // Insertion, which is stable: ties stay by index.
  for (size_t node = 0; node < topology->node_count; node++) {
    unsigned distance = wp_topology_distance(topology, from, node);
    size_t place = node;
    while (place > 0 && order[place - 1] != from &&
           (node == from || distance < wp_topology_distance(topology, from, order[place - 1]))) {
      order[place] = order[place - 1];
      place--;
    }
    order[place] = (uint32_t)node;
  }
}
