// A topology as text for people.
#include "wp_topology_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/// Text that is counted to its end and written as far as there is room.
typedef struct wp_describe_text {
  char *buffer;
  size_t capacity;
  size_t length;
} wp_describe_text;

__attribute__((format(printf, 2, 3))) static void wp_describe_add(wp_describe_text *text, const char *format, ...) {
  bool has_room = text->length < text->capacity;
  va_list arguments;
  va_start(arguments, format);
  int added = vsnprintf(has_room ? text->buffer + text->length : NULL, has_room ? text->capacity - text->length : 0,
                        format, arguments);
  va_end(arguments);
  if (added > 0) text->length += (size_t)added;
}

static void wp_describe_grant(wp_describe_text *text, const wp_topology *topology) {
  size_t granted = wp_topology_granted(topology);
  wp_describe_add(text, "%zu CPU%s granted: %zu of %zu online allowed, ", granted, granted == 1 ? "" : "s",
                  topology->cpu_count, wp_topology_online_count(topology));
  if (topology->quota == 0) {
    wp_describe_add(text, "no quota, ");
  } else {
    wp_describe_add(text, "a quota of %zu, ", topology->quota);
  }
  if (topology->override_problem != NULL) {
    wp_describe_add(text, "WORKER_POOL_CPUS %s", topology->override_problem);
  } else if (topology->override_cpus == 0) {
    wp_describe_add(text, "WORKER_POOL_CPUS not set");
  } else {
    wp_describe_add(text, "WORKER_POOL_CPUS=%zu", topology->override_cpus);
  }
}

/// Whole MiB, or GiB with one decimal. By integers, since a locale has its own decimal point.
static void wp_describe_memory(wp_describe_text *text, uint64_t bytes) {
  uint64_t mebibytes = bytes >> 20, tenths = (mebibytes * 10 + 512) >> 10;
  if (bytes == 0) {
    wp_describe_add(text, "no memory");
  } else if (mebibytes < 1024) {
    wp_describe_add(text, "%llu MiB", (unsigned long long)mebibytes);
  } else {
    wp_describe_add(text, "%llu.%llu GiB", (unsigned long long)(tenths / 10), (unsigned long long)(tenths % 10));
  }
}

static void wp_describe_node(wp_describe_text *text, const wp_topology *topology, size_t node) {
  size_t allowed = wp_topology_node_cpu_count(topology, node), online = wp_topology_node_online_count(topology, node);
  wp_describe_add(text, "\nnode %d: ", topology->nodes[node].id);
  if (online == 0) {
    wp_describe_add(text, "no CPUs, ");
  } else if (allowed == online) {
    wp_describe_add(text, "%zu CPU%s, ", allowed, allowed == 1 ? "" : "s");
  } else {
    wp_describe_add(text, "%zu of %zu CPUs allowed, ", allowed, online);
  }
  wp_describe_memory(text, topology->nodes[node].memory);
  if (topology->nodes[node].memory_denied) wp_describe_add(text, " not allowed");
}

static int wp_describe_order(uint64_t left, uint64_t right) { return (left > right) - (left < right); }

/// What tells lines apart, negative or positive as `left` comes before `right` or after it. Where no cache is known,
/// groups of caches are cores, and a line for each of them would say nothing.
static int wp_describe_compare_lines(const wp_topology *topology, const wp_topology_cpu *left,
                                     const wp_topology_cpu *right) {
  int result = wp_describe_order(left->node, right->node);
  if (result == 0) result = (left->socket > right->socket) - (left->socket < right->socket);
  if (result == 0 && topology->knows_caches) result = wp_describe_order(left->cache, right->cache);
  if (result == 0) result = wp_describe_order(left->kind, right->kind);
  if (result == 0) result = wp_describe_order(left->capacity, right->capacity);
  return result;
}

static int wp_describe_compare(const void *left_index, const void *right_index, void *context) {
  const wp_topology *topology = (const wp_topology *)context;
  const wp_topology_cpu *left = &topology->cpus[*(const uint32_t *)left_index];
  const wp_topology_cpu *right = &topology->cpus[*(const uint32_t *)right_index];
  int result = wp_describe_compare_lines(topology, left, right);
  if (result == 0) result = wp_describe_order(left->core, right->core);
  if (result == 0) result = wp_describe_order(left->rank, right->rank);
  return result;
}

/// What the cores of a line share, in front of them.
static void wp_describe_line_head(wp_describe_text *text, const wp_topology *topology, const wp_topology_cpu *cpu) {
  wp_describe_add(text, "\n ");
  if (cpu->socket >= 0) wp_describe_add(text, " socket %d,", cpu->socket);
  if (topology->knows_caches) wp_describe_add(text, " cache %u,", cpu->cache);
  if (cpu->kind != WP_CPU_KIND_UNIFORM) {
    wp_describe_add(text, cpu->kind == WP_CPU_KIND_PERFORMANCE ? " performance" : " efficiency");
  }
  if (cpu->kind != WP_CPU_KIND_UNIFORM && cpu->capacity != 0) wp_describe_add(text, " (capacity %u)", cpu->capacity);
  wp_describe_add(text, " cores:");
}

/// Writes the lines of the CPUs of one node, which begin at `order[*next]`.
static void wp_describe_cores(wp_describe_text *text, const wp_topology *topology, const uint32_t *order, size_t node,
                              size_t *next) {
  const wp_topology_cpu *previous = NULL;
  for (; *next < topology->cpu_count; (*next)++) {
    const wp_topology_cpu *cpu = &topology->cpus[order[*next]];
    if (cpu->node != node) return;
    bool begins = previous == NULL || wp_describe_compare_lines(topology, previous, cpu) != 0;
    if (begins) wp_describe_line_head(text, topology, cpu);
    wp_describe_add(text, "%c%d", !begins && previous->core == cpu->core ? '+' : ' ', cpu->id);
    previous = cpu;
  }
}

static void wp_describe_distances(wp_describe_text *text, const wp_topology *topology) {
  if (topology->node_count < 2) return;
  wp_describe_add(text, "\ndistances:\n    ");
  for (size_t to = 0; to < topology->node_count; to++) wp_describe_add(text, " %4d", topology->nodes[to].id);
  for (size_t from = 0; from < topology->node_count; from++) {
    wp_describe_add(text, "\n%4d", topology->nodes[from].id);
    for (size_t to = 0; to < topology->node_count; to++) {
      wp_describe_add(text, " %4u", wp_topology_distance(topology, from, to));
    }
  }
}

size_t wp_topology_describe(const wp_topology *topology, char *buffer, size_t capacity) {
  wp_describe_text text = {buffer, capacity, 0};
  size_t next = 0;
  uint32_t *order = (uint32_t *)calloc(topology->cpu_count, sizeof *order);
  if (order == NULL) {
    if (capacity > 0) buffer[0] = '\0';
    return 0;
  }
  for (size_t i = 0; i < topology->cpu_count; i++) order[i] = (uint32_t)i;
  qsort_r(order, topology->cpu_count, sizeof *order, wp_describe_compare, (void *)(uintptr_t)topology);
  wp_describe_grant(&text, topology);
  for (size_t node = 0; node < topology->node_count; node++) {
    wp_describe_node(&text, topology, node);
    wp_describe_cores(&text, topology, order, node, &next);
  }
  wp_describe_distances(&text, topology);
  free(order);
  return text.length;
}
