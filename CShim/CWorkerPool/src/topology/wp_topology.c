// The snapshot and its questions. How the files are read is in wp_sysfs.c and wp_cgroup.c.
#include "wp_topology_internal.h"

#include "../base/wp_assert.h"
#include "../base/wp_error.h"
#include "../platform/wp_affinity.h"
#include "wp_cgroup.h"

#include <errno.h>
#include <stdlib.h>

/// One block for every file that is read, never touched beyond the longest of them. It bounds mountinfo, which has a
/// line per mount: 4 MiB are some 30,000.
#define WP_TOPOLOGY_SCRATCH ((size_t)4 << 20)

/// Allowed CPUs: online and in the mask. Where these contradict each other wholly, or "online" is unreadable, the mask
/// wins: it is what the kernel enforces.
static wp_status wp_topology_allowed_cpus(const wp_topology_source *source, const char *sys_root, char *scratch,
                                          wp_cpu_set *allowed, wp_error *error) {
  wp_text text;
  wp_cpu_set online;
  if (source != NULL && source->affinity != NULL) {
    if (!wp_cpu_list_parse(wp_text_of(source->affinity), allowed) || wp_cpu_set_count(allowed) == 0) {
      return wp_fail(error, WP_INVALID_ARGUMENT, 0, "affinity", "a CPU list such as \"0-3,8\", not empty, below 32768");
    }
  } else {
    int problem = wp_affinity_get(allowed->words, WP_CPU_SET_WORDS);
    if (problem == 0 && wp_cpu_set_count(allowed) == 0) problem = ERANGE;
    if (problem != 0) return wp_fail(error, WP_SYSTEM_CALL_FAILED, problem, "sched_getaffinity", NULL);
  }
  if (wp_text_read(&text, scratch, WP_TOPOLOGY_SCRATCH, "%s/devices/system/cpu/online", sys_root) &&
      wp_cpu_list_parse(text, &online)) {
    wp_cpu_set_intersect(&online, allowed);
    if (wp_cpu_set_count(&online) > 0) *allowed = online;
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
  }
  return true;
}

static wp_status wp_topology_fill(wp_topology *topology, const wp_topology_source *source, char *scratch,
                                  wp_error *error) {
  const char *sys_root = source != NULL && source->sys_root != NULL ? source->sys_root : "/sys";
  const char *proc_root = source != NULL && source->proc_root != NULL ? source->proc_root : "/proc";
  wp_cpu_set allowed;
  wp_status status = wp_topology_allowed_cpus(source, sys_root, scratch, &allowed, error);
  if (status != WP_OK) return status;
  if (!wp_topology_list_cpus(topology, &allowed) ||
      !wp_sysfs_read(topology, &allowed, sys_root, scratch, WP_TOPOLOGY_SCRATCH) || !wp_placement_prepare(topology)) {
    return wp_fail(error, WP_SYSTEM_CALL_FAILED, ENOMEM, "malloc", NULL);
  }
  topology->quota = wp_cgroup_quota(sys_root, proc_root, scratch, WP_TOPOLOGY_SCRATCH);
  return WP_OK;
}

wp_status wp_topology_create(const wp_topology_source *source, wp_topology **topology, wp_error *error) {
  wp_topology *made = (wp_topology *)calloc(1, sizeof *made);
  char *scratch = (char *)malloc(WP_TOPOLOGY_SCRATCH);
  wp_status status = made == NULL || scratch == NULL ? wp_fail(error, WP_SYSTEM_CALL_FAILED, ENOMEM, "malloc", NULL)
                                                     : wp_topology_fill(made, source, scratch, error);
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

size_t wp_topology_node_count(const wp_topology *topology) { return topology->node_count; }

int wp_topology_node_id(const wp_topology *topology, size_t index) {
  return index < topology->node_count ? topology->nodes[index].id : -1;
}

size_t wp_topology_node_cpu_count(const wp_topology *topology, size_t index) {
  return index < topology->node_count ? topology->nodes[index].cpu_count : 0;
}

uint64_t wp_topology_node_memory(const wp_topology *topology, size_t index) {
  return index < topology->node_count ? topology->nodes[index].memory : 0;
}

unsigned wp_topology_distance(const wp_topology *topology, size_t from, size_t to) {
  if (from >= topology->node_count || to >= topology->node_count) {
    return from == to ? WP_DISTANCE_LOCAL : WP_DISTANCE_REMOTE;
  }
  return topology->distances[from * topology->node_count + to];
}

size_t wp_topology_quota(const wp_topology *topology) { return topology->quota; }

size_t wp_topology_granted(const wp_topology *topology) {
  // Neither is ever 0 when it counts: there is a CPU, and a quota is rounded up.
  bool limited = topology->quota != 0 && topology->quota < topology->cpu_count;
  return limited ? topology->quota : topology->cpu_count;
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
