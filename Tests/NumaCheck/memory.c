// What is expected comes from others than the engine: which nodes have memory from /sys, which are allowed from libnuma,
// where a page is from get_mempolicy.
#include "memory_checks.h"

#include "CWorkerPool.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <numa.h>
#include <numaif.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/// More than the engine asks the kernel about at a time.
enum { PAGES = 1200, MOST_NODES = 1024 };

static int wrong;

#define EXPECT(condition, ...)                                 \
  do {                                                         \
    if (!(condition)) {                                        \
      wrong++;                                                 \
      printf("%s:%d: %s: ", __FILE__, __LINE__, #condition);   \
      printf(__VA_ARGS__);                                     \
      printf("\n");                                            \
    }                                                          \
  } while (0)

static size_t page_size;
/// Nodes that memory may be taken from.
static int allowed[MOST_NODES];
static size_t allowed_count;

static bool is_allowed(int node) {
  for (size_t i = 0; i < allowed_count; i++) {
    if (allowed[i] == node) return true;
  }
  return false;
}

/// Whether the list in has_memory ("0,2-3") names this node.
static bool has_memory(int node) {
  char list[256] = "";
  FILE *file = fopen("/sys/devices/system/node/has_memory", "r");
  if (file == NULL) return node == 0;
  bool read = fgets(list, sizeof list, file) != NULL, found = false;
  fclose(file);
  for (char *rest = list; read && *rest >= '0' && *rest <= '9';) {
    long first = strtol(rest, &rest, 10), last = *rest == '-' ? strtol(rest + 1, &rest, 10) : first;
    found |= first <= node && node <= last;
    if (*rest == ',') rest++;
  }
  return found;
}

static void find_nodes(void) {
  page_size = (size_t)sysconf(_SC_PAGESIZE);
  allowed_count = 0;
  struct bitmask *nodes = numa_get_mems_allowed();
  for (int node = 0; node < MOST_NODES; node++) {
    if (numa_bitmask_isbitset(nodes, (unsigned)node)) allowed[allowed_count++] = node;
  }
  numa_bitmask_free(nodes);
  EXPECT(allowed_count > 0, "no memory anywhere");
}

// MARK: Pinning

typedef struct pinned {
  int cpu;
  unsigned char *start;
  size_t pages;
} pinned;

static void pin(int cpu) {
  size_t size = CPU_ALLOC_SIZE((size_t)cpu + 1);
  cpu_set_t *set = CPU_ALLOC((size_t)cpu + 1);
  CPU_ZERO_S(size, set);
  CPU_SET_S((size_t)cpu, size, set);
  EXPECT(sched_setaffinity(0, size, set) == 0, "CPU %d: %s", cpu, strerror(errno));
  CPU_FREE(set);
}

/// A CPU that this process may use on the node, or -1.
static int cpu_of(const wp_topology *topology, int node) {
  for (size_t i = 0; i < wp_topology_cpu_count(topology); i++) {
    if (wp_topology_node_id(topology, wp_topology_cpu_node(topology, i)) == node) return wp_topology_cpu_id(topology, i);
  }
  return -1;
}

static void touch(unsigned char *start, size_t pages) {
  for (size_t i = 0; i < pages; i++) start[i * page_size] = 1;
}

static void *touch_pinned(void *argument) {
  pinned *self = (pinned *)argument;
  pin(self->cpu);
  touch(self->start, self->pages);
  return NULL;
}

// MARK: Where pages are

/// Where the kernel says that a page is which has been touched.
static int node_of(void *page) {
  int node = -1;
  return get_mempolicy(&node, NULL, 0, page, MPOL_F_NODE | MPOL_F_ADDR) == 0 ? node : -errno;
}

/// Whether `pages` pages, all touched, are on these nodes; if on several, on each the same number of them.
static void expect_on(unsigned char *start, size_t pages, const int *nodes, size_t count, const char *what) {
  static int found[PAGES];
  size_t on[MOST_NODES] = {0}, stray = 0;
  wp_error error = {0};
  EXPECT(wp_memory_page_nodes(start, pages * page_size, found, &error) == WP_OK, "%s: %s", what,
         strerror(error.system_errno));
  for (size_t page = 0; page < pages; page++) {
    EXPECT(found[page] == node_of(start + page * page_size), "%s: page %zu, %d", what, page, found[page]);
    size_t i = 0;
    while (i < count && nodes[i] != found[page]) i++;
    if (i < count) on[i]++;
    else stray++;
  }
  EXPECT(stray == 0, "%s: %zu of %zu pages elsewhere, the first on node %d", what, stray, pages, found[0]);
  for (size_t i = 0; i < count; i++) {
    EXPECT(on[i] == pages / count || on[i] == pages / count + 1, "%s: %zu pages on node %d", what, on[i], nodes[i]);
  }
}

static unsigned char *create(wp_memory_policy policy, const int *nodes, size_t count, size_t length) {
  wp_memory_placement placement = {policy, nodes, count};
  void *address = NULL;
  int refused = 0;
  wp_error error = {0};
  wp_status status = wp_memory_create(length, &placement, &address, &refused, &error);
  EXPECT(status == WP_OK && refused == -1 && address != NULL, "%s: %s, node %d", error.call, error.rule, refused);
  if (address == NULL) exit(1);
  return (unsigned char *)address;
}

// MARK: Memory of one process

/// A huge page is on one node, whoever touches the rest of it later. A kernel without them refuses.
static void make_small(unsigned char *memory) { madvise(memory, PAGES * page_size, MADV_NOHUGEPAGE); }

static void check_bound(void) {
  for (size_t i = 0; i < allowed_count; i++) {
    unsigned char *memory = create(WP_MEMORY_ON_NODES, &allowed[i], 1, PAGES * page_size);
    touch(memory, PAGES);
    expect_on(memory, PAGES, &allowed[i], 1, "bound");
    wp_memory_destroy(memory, PAGES * page_size);
  }
}

static void check_interleaved(void) {
  // Room for huge pages, each of which would be on one node.
  size_t length = PAGES * page_size, huge = (size_t)2 << 20;
  EXPECT(length >= 2 * huge, "pages of %zu bytes", page_size);
  int doubled[MOST_NODES + 1];
  for (size_t count = 1; count <= allowed_count; count++) {
    memcpy(doubled, allowed + allowed_count - count, count * sizeof *doubled);
    doubled[count] = doubled[0];
    unsigned char *memory = create(WP_MEMORY_INTERLEAVED, doubled, count + 1, length);
    touch(memory, PAGES);
    expect_on(memory, PAGES, doubled, count, "interleaved over some");
    wp_memory_destroy(memory, length);
  }
  unsigned char *memory = create(WP_MEMORY_INTERLEAVED, NULL, 0, length);
  touch(memory, PAGES);
  expect_on(memory, PAGES, allowed, allowed_count, "interleaved over all");
  wp_memory_destroy(memory, length);
}

/// One memory, a share of which is first touched on each node.
static void check_first_touch(const wp_topology *topology) {
  size_t nodes = wp_topology_node_count(topology), share = PAGES / nodes;
  unsigned char *memory = create(WP_MEMORY_FIRST_TOUCH, NULL, 0, PAGES * page_size);
  make_small(memory);
  for (size_t i = 0; i < nodes; i++) {
    int node = wp_topology_node_id(topology, i);
    pinned self = {cpu_of(topology, node), memory + i * share * page_size, share};
    pthread_t thread;
    if (self.cpu < 0) continue;
    EXPECT(pthread_create(&thread, NULL, touch_pinned, &self) == 0, "thread");
    pthread_join(thread, NULL);
  }
  for (size_t i = 0; i < nodes; i++) {
    int node = wp_topology_node_id(topology, i), found[PAGES];
    unsigned char *start = memory + i * share * page_size;
    if (cpu_of(topology, node) >= 0 && is_allowed(node)) {
      expect_on(start, share, &node, 1, "first touched");
      continue;
    }
    // Without CPUs nobody touched it; without memory it is on another node.
    EXPECT(wp_memory_page_nodes(start, share * page_size, found, NULL) == WP_OK, "node %d", node);
    for (size_t page = 0; page < share; page++) {
      EXPECT(cpu_of(topology, node) < 0 ? found[page] == -1 : is_allowed(found[page]), "page %zu of node %d: %d", page,
             node, found[page]);
    }
  }
  wp_memory_destroy(memory, PAGES * page_size);
}

/// What is there stays; what is not goes where it was said last.
static void check_placed_later(void) {
  int first = allowed[0], last = allowed[allowed_count - 1];
  unsigned char *memory = create(WP_MEMORY_ON_NODES, &first, 1, PAGES * page_size);
  make_small(memory);
  touch(memory, PAGES / 2);
  wp_memory_placement placement = {WP_MEMORY_ON_NODES, &last, 1};
  EXPECT(wp_memory_place(memory, PAGES * page_size, &placement, NULL, NULL) == WP_OK, "node %d", last);
  touch(memory, PAGES);
  expect_on(memory, PAGES / 2, &first, 1, "touched before");
  expect_on(memory + PAGES / 2 * page_size, PAGES / 2, &last, 1, "touched after");
  wp_memory_destroy(memory, PAGES * page_size);
}

static void expect_refused(wp_memory_policy policy, int good, int bad) {
  int nodes[2] = {good, bad};
  wp_memory_placement placement = {policy, nodes, 2};
  void *address = NULL;
  wp_shared_memory *shared = NULL;
  for (int i = 0; i < 2; i++) {
    wp_error error = {0};
    int refused = 0;
    wp_status status = i == 0 ? wp_memory_create(1, &placement, &address, &refused, &error)
                              : wp_shared_memory_create(1, true, &placement, &shared, &refused, &error);
    EXPECT(status == WP_INVALID_ARGUMENT && refused == bad && address == NULL && shared == NULL &&
               strcmp(error.call, "nodes") == 0,
           "node %d: %s, names %d", bad, wp_status_name(status), refused);
  }
}

static void check_refused(void) {
  for (int node = -2; node < 70; node++) {
    EXPECT(has_memory(node) || !is_allowed(node), "node %d has no memory", node);
    if (is_allowed(node)) continue;
    expect_refused(WP_MEMORY_ON_NODES, allowed[0], node);
    expect_refused(WP_MEMORY_INTERLEAVED, allowed[0], node);
  }
  int far[] = {1023, 1024, 1025, INT_MAX, INT_MIN};
  for (size_t i = 0; i < sizeof far / sizeof far[0]; i++) expect_refused(WP_MEMORY_ON_NODES, allowed[0], far[i]);
}

// MARK: Shared memory

/// Another way to the one shared memory that there is; -1 when it cannot be found.
static int descriptor_of_shared(void) {
  for (int i = 3; i < 64; i++) {
    char path[64], target[64] = {0};
    snprintf(path, sizeof path, "/proc/self/fd/%d", i);
    if (readlink(path, target, sizeof target - 1) > 0 && strstr(target, "memfd:shared-array") != NULL) return i;
  }
  return -1;
}

static void expect_shared_on(unsigned char *start, const int *nodes, size_t count, const char *what) {
  expect_on(start, PAGES / 2, nodes, count, what);
}

/// A second process, on another node when there is one, maps the memory and, if it may, touches the second half.
static void in_second_process(const wp_topology *topology, int descriptor, bool writable, const int *nodes,
                              size_t count) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    wrong = 0;
    size_t other = wp_topology_cpu_count(topology) - 1;
    if (wp_topology_node_id(topology, wp_topology_cpu_node(topology, other)) == nodes[0]) other = 0;
    pin(wp_topology_cpu_id(topology, other));
    int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    void *mapped = mmap(NULL, PAGES * page_size, protection, MAP_SHARED, descriptor, 0);
    EXPECT(mapped != MAP_FAILED, "mmap: %s", strerror(errno));
    if (mapped != MAP_FAILED) {
      unsigned char *memory = (unsigned char *)mapped;
      make_small(memory);
      // None of which this process has touched.
      expect_shared_on(memory, nodes, count, "shared, asked by the second process");
      if (writable) {
        touch(memory + PAGES / 2 * page_size, PAGES / 2);
        expect_shared_on(memory + PAGES / 2 * page_size, nodes, count, "shared, touched by the second process");
      }
    }
    fflush(stdout);
    _exit(wrong > 0);
  }
  int status = -1;
  EXPECT(child > 0 && waitpid(child, &status, 0) == child && status == 0, "second process: %d", status);
}

static void check_shared_with(const wp_topology *topology, bool writable, wp_memory_policy policy, const int *nodes,
                              size_t count) {
  wp_memory_placement placement = {policy, nodes, count};
  wp_shared_memory *shared = NULL;
  int refused = 0, found[PAGES];
  struct stat before, after;
  EXPECT(wp_shared_memory_create(PAGES * page_size, writable, &placement, &shared, &refused, NULL) == WP_OK,
         "node %d", refused);
  if (shared == NULL) return;
  int descriptor = descriptor_of_shared();
  unsigned char *memory = (unsigned char *)wp_shared_memory_address(shared);
  make_small(memory);
  touch(memory, PAGES / 2);
  // Asking brings no page.
  EXPECT(fstat(descriptor, &before) == 0, "descriptor %d", descriptor);
  EXPECT(wp_memory_page_nodes(memory, PAGES * page_size, found, NULL) == WP_OK, "page nodes");
  for (size_t i = PAGES / 2; i < PAGES; i++) EXPECT(found[i] == -1, "page %zu: %d", i, found[i]);
  EXPECT(fstat(descriptor, &after) == 0 && before.st_blocks == after.st_blocks, "asking took memory");
  in_second_process(topology, descriptor, writable, nodes, count);
  expect_shared_on(memory, nodes, count, "shared");
  if (writable) expect_shared_on(memory + PAGES / 2 * page_size, nodes, count, "shared, asked by the first process");
  // The seals are what they were without a placement.
  int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | (writable ? 0 : F_SEAL_FUTURE_WRITE);
  EXPECT(fcntl(descriptor, F_GET_SEALS) == seals, "seals %x", (unsigned)fcntl(descriptor, F_GET_SEALS));
  wp_shared_memory_destroy(shared);
}

static void check_shared(const wp_topology *topology) {
  for (int writable = 0; writable < 2; writable++) {
    for (size_t i = 0; i < allowed_count; i++) {
      check_shared_with(topology, writable, WP_MEMORY_ON_NODES, &allowed[i], 1);
    }
    check_shared_with(topology, writable, WP_MEMORY_INTERLEAVED, allowed, allowed_count);
  }
}

int check_memory(void) {
  wp_topology *topology = NULL;
  wrong = 0;
  find_nodes();
  EXPECT(wp_topology_create(NULL, &topology, NULL) == WP_OK, "topology");
  if (topology == NULL || allowed_count == 0) return wrong;
  check_bound();
  check_interleaved();
  check_first_touch(topology);
  check_placed_later();
  check_refused();
  check_shared(topology);
  wp_topology_destroy(topology);
  return wrong;
}
