// Memory with a placement.
//
// What is asked for is checked here and not left to the kernel, which refuses a set of nodes only when none of them may
// be used, and does not say which one was wrong. What the kernel refuses after that costs the placement, never the
// memory: EPERM is the filter of a container, ENOSYS a kernel without NUMA, EINVAL a cpuset that has just shrunk.
#include "wp_memory.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>

#include "../base/wp_error.h"
#include "../base/wp_notice_once.h"
#include "wp_numa.h"
#include "wp_shared_memory.h"

static wp_status refuse(wp_error *error, int *refused_node, int node, const char *rule) {
  if (refused_node != NULL) *refused_node = node;
  return wp_fail(error, WP_INVALID_ARGUMENT, 0, "nodes", rule);
}

static bool contains(const uint64_t *words, int node) {
  return node >= 0 && node < WP_NUMA_NODES && (words[node / 64] >> (node % 64) & 1) != 0;
}

/// Whether each node can be had. Where not even /proc says which can, the kernel has the last word.
static wp_status check(const wp_memory_placement *placement, const uint64_t *allowed, bool known, int *refused_node,
                       wp_error *error) {
  switch (placement->policy) {
  case WP_MEMORY_FIRST_TOUCH: return WP_OK;
  case WP_MEMORY_ON_NODES:
    if (placement->nodes == NULL || placement->node_count == 0) {
      return refuse(error, refused_node, -1, "must name a node");
    }
    break;
  case WP_MEMORY_INTERLEAVED:
    if (placement->nodes == NULL && placement->node_count > 0) {
      return refuse(error, refused_node, -1, "must not be NULL when there is a count");
    }
    break;
  default: return wp_fail(error, WP_INVALID_ARGUMENT, 0, "placement", "must be a known policy");
  }
  for (size_t i = 0; i < placement->node_count; i++) {
    int node = placement->nodes[i];
    if (node < 0 || node >= WP_NUMA_NODES || (known && !contains(allowed, node))) {
      return refuse(error, refused_node, node,
                    "each node must exist, have memory, and be one that this process may take memory from");
    }
  }
  return WP_OK;
}

static void say_not_placed(const wp_memory_placement *placement, int problem) {
  wp_notice_kind kind = problem == ENOSYS ? WP_NOTICE_NO_NUMA : WP_NOTICE_MEMORY_NOT_PLACED;
  const char *how = placement->policy == WP_MEMORY_INTERLEAVED ? "interleaved over nodes" : "placed on nodes";
  wp_notice_once(kind, problem, "memory that was to be %s lies where it is first used, since mbind failed", how);
}

wp_status wp_memory_place(void *address, size_t length, const wp_memory_placement *placement, int *refused_node,
                          wp_error *error) {
  uint64_t allowed[WP_NUMA_WORDS];
  int all[WP_NUMA_NODES];
  if (refused_node != NULL) *refused_node = -1;
  if ((uintptr_t)address % wp_page_size() != 0) {
    return wp_fail(error, WP_INVALID_ARGUMENT, 0, "address", "must be page aligned");
  }
  int unknown = wp_numa_allowed_nodes(allowed, WP_NUMA_WORDS);
  wp_status status = check(placement, allowed, unknown == 0, refused_node, error);
  if (status != WP_OK) return status;
  if (placement->policy == WP_MEMORY_FIRST_TOUCH) {
    // Where this is refused, so was what it would undo.
    wp_numa_place(address, length, WP_NUMA_FIRST_TOUCH, NULL, 0);
    return WP_OK;
  }
  const int *nodes = placement->nodes;
  size_t count = placement->node_count;
  if (count == 0) {
    for (int node = 0; node < WP_NUMA_NODES; node++) {
      if (contains(allowed, node)) all[count++] = node;
    }
    nodes = all;
  }
  wp_numa_policy policy = placement->policy == WP_MEMORY_INTERLEAVED ? WP_NUMA_INTERLEAVE : WP_NUMA_BIND;
  int problem = count > 0 ? wp_numa_place(address, length, policy, nodes, count) : unknown;
  if (problem != 0) say_not_placed(placement, problem);
  return WP_OK;
}

/// With a page that nobody may touch at either end. Without them the kernel makes one area of this and of a neighbour,
/// such as a thread's stack, and a huge page that holds parts of both goes to whoever touches either first.
static size_t guarded_length(size_t length) { return (wp_memory_page_count(length) + 2) * wp_page_size(); }

wp_status wp_memory_create(size_t length, const wp_memory_placement *placement, void **address, int *refused_node,
                           wp_error *error) {
  if (refused_node != NULL) *refused_node = -1;
  if (length == 0) return wp_fail(error, WP_INVALID_ARGUMENT, 0, "length", "must be at least 1");
  if (length > SIZE_MAX / 2) return wp_fail(error, WP_SYSTEM_CALL_FAILED, ENOMEM, "mmap", NULL);
  void *guard = mmap(NULL, guarded_length(length), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (guard == MAP_FAILED) return wp_fail(error, WP_SYSTEM_CALL_FAILED, errno, "mmap", NULL);
  void *mapped = (char *)guard + wp_page_size();
  if (mprotect(mapped, length, PROT_READ | PROT_WRITE) != 0) {
    int problem = errno;
    munmap(guard, guarded_length(length));
    return wp_fail(error, WP_SYSTEM_CALL_FAILED, problem, "mprotect", NULL);
  }
  if (placement != NULL && placement->policy != WP_MEMORY_FIRST_TOUCH) {
    wp_status status = wp_memory_place(mapped, length, placement, refused_node, error);
    if (status != WP_OK) {
      wp_memory_destroy(mapped, length);
      return status;
    }
  }
  *address = mapped;
  return WP_OK;
}

void wp_memory_destroy(void *address, size_t length) {
  munmap((char *)address - wp_page_size(), guarded_length(length));
}

size_t wp_memory_page_count(size_t length) {
  size_t page = wp_page_size();
  return length / page + (length % page != 0);
}

wp_status wp_memory_page_nodes(void *address, size_t length, int *nodes, wp_error *error) {
  size_t count = wp_memory_page_count(length);
  int problem = wp_numa_page_nodes(address, count, nodes);
  if (problem != 0) return wp_fail(error, WP_SYSTEM_CALL_FAILED, problem, "move_pages", NULL);
  for (size_t i = 0; i < count; i++) {
    if (nodes[i] < 0) nodes[i] = -1;
  }
  return WP_OK;
}
