// Does the engine see the machine that was built? Asked of the engine, of /sys as it stands there, and of libnuma.
#include "check.h"

#include <numa.h>
#include <stdlib.h>
#include <string.h>

static wp_topology *read_topology(void) {
  wp_topology *read = NULL;
  wp_error error = {0};
  REQUIRE(wp_topology_create(NULL, &read, &error) == WP_OK, "%s", error.call);
  REQUIRE(wp_topology_node_count(read) == truth.node_count, "%zu nodes, not %zu", wp_topology_node_count(read),
          truth.node_count);
  return read;
}

/// CPUs that the engine gives to the node at this index.
static uint64_t cpus_of(const wp_topology *read, size_t node) {
  uint64_t set = 0;
  for (size_t i = 0; i < wp_topology_cpu_count(read); i++) {
    if (wp_topology_cpu_node(read, i) == node) set |= (uint64_t)1 << wp_topology_cpu_id(read, i);
  }
  return set;
}

static void check_cpus(const wp_topology *read) {
  CHECK(wp_topology_cpu_count(read) == count_bits(truth.online), "%zu CPUs, not %s", wp_topology_cpu_count(read),
        list_of(truth.online));
  CHECK(wp_topology_granted(read) == count_bits(truth.online), "%zu granted", wp_topology_granted(read));
  CHECK(wp_topology_quota(read) == 0, "a quota of %zu", wp_topology_quota(read));
  for (size_t i = 0; i < wp_topology_cpu_count(read); i++) {
    int cpu = wp_topology_cpu_id(read, i);
    CHECK((truth.online >> cpu & 1) != 0, "CPU %d is not there", cpu);
    CHECK(wp_topology_cpu_is_sibling(read, i) == ((unsigned)cpu % truth.threads != 0), "CPU %d", cpu);
  }
}

/// "Node 1 MemTotal:         223312 kB", in KiB.
static unsigned long long memory_in_sys(int node) {
  char path[96], line[128];
  unsigned long long found = 0;
  sprintf(path, "/sys/devices/system/node/node%d/meminfo", node);
  FILE *file = fopen(path, "re");
  REQUIRE(file != NULL, "no %s", path);
  while (fgets(line, sizeof line, file) != NULL) sscanf(line, "Node %*d MemTotal: %llu kB", &found);
  fclose(file);
  return found;
}

static void check_node(const wp_topology *read, size_t node) {
  const machine_node *expected = &truth.nodes[node];
  char path[96];
  CHECK(wp_topology_node_id(read, node) == expected->id, "node %d, not %d", wp_topology_node_id(read, node),
        expected->id);
  CHECK(cpus_of(read, node) == expected->cpus, "node %d: CPUs %s, not %s", expected->id, list_of(cpus_of(read, node)),
        list_of(expected->cpus));
  CHECK(wp_topology_node_cpu_count(read, node) == count_bits(expected->cpus), "node %d: %zu CPUs", expected->id,
        wp_topology_node_cpu_count(read, node));
  sprintf(path, "/sys/devices/system/node/node%d/cpulist", expected->id);
  CHECK(strcmp(read_line(path), list_of(expected->cpus)) == 0, "%s: %s, not %s", path, read_line(path),
        list_of(expected->cpus));

  // The kernel keeps some for itself: its image and a description of each page.
  uint64_t memory = wp_topology_node_memory(read, node);
  CHECK(memory == memory_in_sys(expected->id) << 10, "node %d: %llu KiB, not %llu", expected->id,
        (unsigned long long)memory >> 10, memory_in_sys(expected->id));
  uint64_t built = (uint64_t)expected->memory_mib << 20;
  CHECK(memory <= built && memory >= built / 4 * 3, "node %d: %llu MiB of %u", expected->id,
        (unsigned long long)memory >> 20, expected->memory_mib);
}

static void check_distances(const wp_topology *read, size_t from) {
  uint32_t order[MACHINE_MAX_NODES];
  bool met[MACHINE_MAX_NODES] = {false};
  wp_topology_nearest_nodes(read, from, order);
  CHECK(order[0] == from, "node %d looks at another first", truth.nodes[from].id);
  for (size_t to = 0; to < truth.node_count; to++) {
    CHECK(wp_topology_distance(read, from, to) == truth.distances[from][to], "from node %d to node %d: %u, not %u",
          truth.nodes[from].id, truth.nodes[to].id, wp_topology_distance(read, from, to), truth.distances[from][to]);
    REQUIRE(order[to] < truth.node_count && !met[order[to]], "node %u twice", order[to]);
    met[order[to]] = true;
    CHECK(to == 0 || truth.distances[from][order[to - 1]] <= truth.distances[from][order[to]],
          "node %d looks at %u before %u", truth.nodes[from].id, order[to - 1], order[to]);
  }
}

void topology(void) {
  wp_topology *read = read_topology();
  uint64_t ids = 0;
  for (size_t node = 0; node < truth.node_count; node++) ids |= (uint64_t)1 << truth.nodes[node].id;
  const char *online = read_line("/sys/devices/system/node/online");
  CHECK(strcmp(online, list_of(ids)) == 0, "the kernel has nodes %s, not %s", online, list_of(ids));
  check_cpus(read);
  for (size_t node = 0; node < truth.node_count; node++) {
    check_node(read, node);
    check_distances(read, node);
  }
  wp_topology_destroy(read);
}

static uint64_t cpus_in_libnuma(int node) {
  struct bitmask *mask = numa_allocate_cpumask();
  uint64_t set = 0;
  CHECK(numa_node_to_cpus(node, mask) == 0, "node %d", node);
  for (unsigned cpu = 0; cpu < MACHINE_MAX_CPUS; cpu++) {
    if (numa_bitmask_isbitset(mask, cpu)) set |= (uint64_t)1 << cpu;
  }
  numa_bitmask_free(mask);
  return set;
}

void libnuma_agrees(void) {
  REQUIRE(numa_available() >= 0, "libnuma finds no NUMA here");
  wp_topology *read = read_topology();
  CHECK(numa_max_node() == wp_topology_node_id(read, truth.node_count - 1), "%d", numa_max_node());
  for (size_t node = 0; node < truth.node_count; node++) {
    int id = wp_topology_node_id(read, node);
    CHECK(cpus_in_libnuma(id) == cpus_of(read, node), "node %d: CPUs %s, not %s", id, list_of(cpus_in_libnuma(id)),
          list_of(cpus_of(read, node)));
    long long size = numa_node_size64(id, NULL);
    uint64_t memory = wp_topology_node_memory(read, node);
    CHECK((size < 0 ? 0 : (uint64_t)size) == memory, "node %d: %lld bytes, not %llu", id, size,
          (unsigned long long)memory);
    for (size_t to = 0; to < truth.node_count; to++) {
      int distance = numa_distance(id, wp_topology_node_id(read, to));
      CHECK(distance == (int)wp_topology_distance(read, node, to), "from node %d: %d", id, distance);
    }
  }
  for (size_t i = 0; i < wp_topology_cpu_count(read); i++) {
    int cpu = wp_topology_cpu_id(read, i);
    int node = wp_topology_node_id(read, wp_topology_cpu_node(read, i));
    CHECK(numa_node_of_cpu(cpu) == node, "CPU %d: node %d, not %d", cpu, numa_node_of_cpu(cpu), node);
  }
  wp_topology_destroy(read);
}
