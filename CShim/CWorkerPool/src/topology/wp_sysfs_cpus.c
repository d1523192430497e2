// Cores, sockets, last-level caches and kinds of cores from /sys/devices/system/cpu and its neighbours.
//
// Formats: Documentation/admin-guide/cputopology.rst (cpuN/topology/core_cpus_list and package_cpus_list, whose older
// names are thread_siblings_list and core_siblings_list, and physical_package_id, -1 where unknown), and
// Documentation/ABI/testing/sysfs-devices-system-cpu (cpuN/cache/indexK/{level,type,shared_cpu_list}, the indexes without
// gaps; cpuN/cpu_capacity, on arm64 and RISC-V). Hybrid CPUs of Intel have a PMU for each kind of core, whose "cpus" is
// a list of its CPUs: cpu_core, cpu_atom, and cpu_lowpower for those outside of the last-level cache.
//
// Every file of a core, a socket or a cache says the same for all CPUs of its group, so it is read for one of them. A
// CPU that more than one file claims stays where the first put it, and what cannot be read falls back CPU by CPU.
//
// core_id is not used: it is unique within a socket only, and with gaps.
#include "wp_topology_internal.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/// Linux has indexes 0 to 3 or 4; a tree that goes on and on is none of its.
#define WP_CACHE_INDEXES 16u

/// Reads the list of allowed CPUs in a group of which `cpu` has to be one, by the first of two names that gives one.
static bool wp_sysfs_read_group(const wp_sysfs *sysfs, size_t cpu, const char *older_name, const char *name,
                                wp_cpu_set *members) {
  const char *const names[] = {older_name, name};
  for (size_t i = 0; i < 2; i++) {
    wp_text text;
    if (wp_text_read(&text, sysfs->scratch, sysfs->capacity, "%s/devices/system/cpu/cpu%zu/topology/%s", sysfs->root, cpu,
                     names[i]) &&
        wp_cpu_list_parse(text, members) && wp_cpu_set_contains(members, cpu)) {
      wp_cpu_set_intersect(members, &sysfs->allowed);
      return true;
    }
  }
  return false;
}

void wp_sysfs_read_cores(wp_topology *topology, const wp_sysfs *sysfs) {
  wp_cpu_set done, threads;
  memset(&done, 0, sizeof done);
  for (size_t i = 0; i < topology->cpu_count; i++) {
    size_t id = (size_t)topology->cpus[i].id;
    if (wp_cpu_set_contains(&done, id)) continue;
    uint32_t core = (uint32_t)topology->core_count++;
    uint32_t rank = 0;
    if (!wp_sysfs_read_group(sysfs, id, "thread_siblings_list", "core_cpus_list", &threads)) {
      memset(&threads, 0, sizeof threads);
      wp_cpu_set_add(&threads, id);
    }
    wp_cpu_set_subtract(&threads, &done);
    for (size_t cpu = wp_cpu_set_next(&threads, 0); cpu < WP_CPU_LIMIT; cpu = wp_cpu_set_next(&threads, cpu + 1)) {
      wp_topology_cpu *thread = &topology->cpus[wp_cpu_set_count_below(&sysfs->allowed, cpu)];
      thread->core = core;
      thread->cache = core;
      thread->rank = rank++;
      wp_cpu_set_add(&done, cpu);
    }
  }
}

/// The kernel's number of a CPU's socket, -1 if it has none.
static int wp_sysfs_read_socket(const wp_sysfs *sysfs, size_t cpu) {
  wp_text text;
  uint64_t socket;
  if (!wp_text_read(&text, sysfs->scratch, sysfs->capacity, "%s/devices/system/cpu/cpu%zu/topology/physical_package_id",
                    sysfs->root, cpu) ||
      !wp_text_take_number(&text, INT_MAX, &socket)) {
    return -1;
  }
  wp_text_skip_blanks(&text);
  return wp_text_is_empty(text) ? (int)socket : -1;
}

static void wp_sysfs_read_sockets(wp_topology *topology, const wp_sysfs *sysfs) {
  wp_cpu_set done, members;
  memset(&done, 0, sizeof done);
  for (size_t i = 0; i < topology->cpu_count; i++) {
    size_t id = (size_t)topology->cpus[i].id;
    if (wp_cpu_set_contains(&done, id)) continue;
    int socket = wp_sysfs_read_socket(sysfs, id);
    topology->cpus[i].socket = socket;
    if (socket < 0 || !wp_sysfs_read_group(sysfs, id, "core_siblings_list", "package_cpus_list", &members)) continue;
    wp_cpu_set_subtract(&members, &done);
    for (size_t cpu = wp_cpu_set_next(&members, 0); cpu < WP_CPU_LIMIT; cpu = wp_cpu_set_next(&members, cpu + 1)) {
      topology->cpus[wp_cpu_set_count_below(&sysfs->allowed, cpu)].socket = socket;
      wp_cpu_set_add(&done, cpu);
    }
  }
}

/// Reads one of the files of a CPU's cache, without the newline.
static bool wp_sysfs_read_cache_file(wp_text *text, const wp_sysfs *sysfs, size_t cpu, size_t index, const char *name) {
  if (!wp_text_read(text, sysfs->scratch, sysfs->capacity, "%s/devices/system/cpu/cpu%zu/cache/index%zu/%s", sysfs->root,
                    cpu, index, name)) {
    return false;
  }
  *text = wp_text_take_until(text, '\n');
  return true;
}

/// Reads the level of a cache, 0 for what is no level. False when there is no such cache.
static bool wp_sysfs_read_cache_level(const wp_sysfs *sysfs, size_t cpu, size_t index, uint64_t *level) {
  wp_text text;
  if (!wp_sysfs_read_cache_file(&text, sysfs, cpu, index, "level")) return false;
  if (!wp_text_take_number(&text, WP_CACHE_INDEXES, level) || !wp_text_is_empty(text)) *level = 0;
  return true;
}

/// One of a CPU's caches; level 0 stands for none.
typedef struct wp_sysfs_cache {
  size_t index;
  uint64_t level;
} wp_sysfs_cache;

/// Finds which of a CPU's caches is its last; false when none can be read. `last` is that of the CPU before, which most
/// are built like: if there is such a cache, and none behind it, it takes no look at the others.
static bool wp_sysfs_find_last_cache(const wp_sysfs *sysfs, size_t cpu, wp_sysfs_cache *last) {
  wp_text type;
  uint64_t level;
  if (last->level != 0 && wp_sysfs_read_cache_level(sysfs, cpu, last->index, &level) && level == last->level &&
      !wp_sysfs_read_cache_level(sysfs, cpu, last->index + 1, &level)) {
    return true;
  }
  last->level = 0;
  for (size_t index = 0; index < WP_CACHE_INDEXES; index++) {
    if (!wp_sysfs_read_cache_level(sysfs, cpu, index, &level)) break;
    if (level <= last->level || !wp_sysfs_read_cache_file(&type, sysfs, cpu, index, "type")) continue;
    if (!wp_text_equals(type, "Unified") && !wp_text_equals(type, "Data")) continue;
    last->level = level;
    last->index = index;
  }
  return last->level > 0;
}

/// Groups CPUs by last-level cache, each group under the number of its first CPU's core: that of the core alone, until
/// files say otherwise.
static void wp_sysfs_group_by_cache(wp_topology *topology, const wp_sysfs *sysfs) {
  wp_cpu_set done, members;
  wp_sysfs_cache last = {0, 0};
  memset(&done, 0, sizeof done);
  for (size_t i = 0; i < topology->cpu_count; i++) {
    size_t id = (size_t)topology->cpus[i].id;
    wp_text text;
    if (wp_cpu_set_contains(&done, id) || !wp_sysfs_find_last_cache(sysfs, id, &last) ||
        !wp_sysfs_read_cache_file(&text, sysfs, id, last.index, "shared_cpu_list") || !wp_cpu_list_parse(text, &members) ||
        !wp_cpu_set_contains(&members, id)) {
      continue;
    }
    topology->knows_caches = true;
    wp_cpu_set_intersect(&members, &sysfs->allowed);
    wp_cpu_set_subtract(&members, &done);
    for (size_t cpu = wp_cpu_set_next(&members, 0); cpu < WP_CPU_LIMIT; cpu = wp_cpu_set_next(&members, cpu + 1)) {
      topology->cpus[wp_cpu_set_count_below(&sysfs->allowed, cpu)].cache = topology->cpus[i].core;
      wp_cpu_set_add(&done, cpu);
    }
  }
}

/// Closes the gaps between the numbers of groups. False when memory is short.
static bool wp_sysfs_number_caches(wp_topology *topology) {
  uint32_t *numbers = (uint32_t *)calloc(topology->core_count, sizeof *numbers);  // by core, from 1 on
  uint32_t count = 0;
  if (numbers == NULL) return false;
  for (size_t i = 0; i < topology->cpu_count; i++) {
    uint32_t *number = &numbers[topology->cpus[i].cache];
    if (*number == 0) *number = ++count;
    topology->cpus[i].cache = *number - 1;
  }
  free(numbers);
  return true;
}

/// Reads the lists of performance and efficiency cores. False when there is none.
static bool wp_sysfs_read_kind_lists(wp_topology *topology, const wp_sysfs *sysfs) {
  static const struct {
    const char *name;
    wp_cpu_kind kind;
  } lists[] = {
      {"cpu_core", WP_CPU_KIND_PERFORMANCE},
      {"cpu_atom", WP_CPU_KIND_EFFICIENCY},
      {"cpu_lowpower", WP_CPU_KIND_EFFICIENCY},
  };
  bool found = false;
  for (size_t list = 0; list < sizeof lists / sizeof *lists; list++) {
    wp_text text;
    wp_cpu_set members;
    if (!wp_text_read(&text, sysfs->scratch, sysfs->capacity, "%s/devices/%s/cpus", sysfs->root, lists[list].name) ||
        !wp_cpu_list_parse(text, &members)) {
      continue;
    }
    found = true;
    for (size_t i = 0; i < topology->cpu_count; i++) {
      wp_topology_cpu *cpu = &topology->cpus[i];
      if (wp_cpu_set_contains(&members, (size_t)cpu->id)) cpu->kind = (uint8_t)lists[list].kind;
    }
  }
  return found;
}

/// Reads the capacities. A kernel that has any has one for each CPU, so the first that is missing ends it.
static void wp_sysfs_read_capacities(wp_topology *topology, const wp_sysfs *sysfs) {
  for (size_t i = 0; i < topology->cpu_count; i++) {
    wp_text text;
    uint64_t capacity;
    if (!wp_text_read(&text, sysfs->scratch, sysfs->capacity, "%s/devices/system/cpu/cpu%d/cpu_capacity", sysfs->root,
                      topology->cpus[i].id)) {
      return;
    }
    if (!wp_text_take_number(&text, UINT16_MAX, &capacity)) continue;
    wp_text_skip_blanks(&text);
    if (wp_text_is_empty(text)) topology->cpus[i].capacity = (uint16_t)capacity;
  }
}

/// Tells kinds by capacity: the highest there is, and all others. One capacity for all is no difference.
static void wp_sysfs_compare_capacities(wp_topology *topology) {
  unsigned lowest = UINT_MAX, highest = 0;
  for (size_t i = 0; i < topology->cpu_count; i++) {
    unsigned capacity = topology->cpus[i].capacity;
    if (capacity == 0) continue;
    if (capacity < lowest) lowest = capacity;
    if (capacity > highest) highest = capacity;
  }
  for (size_t i = 0; lowest < highest && i < topology->cpu_count; i++) {
    wp_topology_cpu *cpu = &topology->cpus[i];
    if (cpu->capacity == 0) continue;
    cpu->kind = (uint8_t)(cpu->capacity == highest ? WP_CPU_KIND_PERFORMANCE : WP_CPU_KIND_EFFICIENCY);
  }
}

bool wp_sysfs_read_details(wp_topology *topology, const wp_sysfs *sysfs) {
  wp_sysfs_read_sockets(topology, sysfs);
  wp_sysfs_group_by_cache(topology, sysfs);
  wp_sysfs_read_capacities(topology, sysfs);
  if (!wp_sysfs_read_kind_lists(topology, sysfs)) wp_sysfs_compare_capacities(topology);
  return wp_sysfs_number_caches(topology);
}
