// Topologies of machines that nobody has built: the input is a tree of /sys and /proc, and whatever it holds, what comes
// out fits together.
//
// An input is text: a line "@PATH" begins a file, which goes on to the next such line. In a path "*" stands for a number,
// so that one entry can serve all CPUs. "affinity" and "WORKER_POOL_CPUS" are the mask and the environment's bound. The
// engine reads files through wp_file_read alone, of which this program has one that looks them up in the input; no file
// is ever opened.
#include "CWorkerPool.h"

#include "../../CShim/CWorkerPool/src/platform/wp_file.h"
#include "../../CShim/CWorkerPool/src/topology/wp_cpu_list.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#endif
#endif
#ifndef ASAN_POISON_MEMORY_REGION
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

#ifndef WP_TOPOLOGY_SCRATCH
#define WP_TOPOLOGY_SCRATCH ((size_t)4 << 20)
#endif

#define ROOT "/machine/"
#define MAX_FILES 256u
/// Masks of more CPUs are let be: they make each input slow, and lead nowhere else.
#define MAX_CPUS 128u
#define MAX_WORKERS 40u

typedef struct entry {
  wp_text path;
  wp_text bytes;
} entry;

static entry files[MAX_FILES];
static size_t file_count;

#define HOLDS(condition)                                                                                               \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      fprintf(stderr, "does not hold: %s (line %d)\n", #condition, __LINE__);                                          \
      abort();                                                                                                         \
    }                                                                                                                  \
  } while (0)

// MARK: Files

static void cut_into_files(const char *data, size_t size) {
  wp_text rest = {data, data + size};
  file_count = 0;
  if (!wp_text_take(&rest, '@')) return;
  while (!wp_text_is_empty(rest) && file_count < MAX_FILES) {
    entry *file = &files[file_count++];
    file->path = wp_text_take_until(&rest, '\n');
    const char *end = (const char *)memmem(rest.next, wp_text_length(rest), "\n@", 2);
    file->bytes = rest;
    if (end == NULL) return;
    file->bytes.end = end + 1;  // with the newline, as the kernel's files have one
    rest.next = end + 2;
  }
}

static bool path_matches(wp_text pattern, wp_text path) {
  // Most paths begin alike, and few end so.
  if (wp_text_is_empty(pattern) || pattern.end[-1] != path.end[-1]) return false;
  while (!wp_text_is_empty(pattern)) {
    if (wp_text_take(&pattern, '*')) {
      uint64_t number;
      if (!wp_text_take_number(&path, UINT64_MAX, &number)) return false;
    } else if (!wp_text_take(&path, *pattern.next)) {
      return false;
    } else {
      pattern.next++;
    }
  }
  return wp_text_is_empty(path);
}

static const entry *find_file(wp_text path) {
  for (size_t i = 0; i < file_count; i++) {
    if (path_matches(files[i].path, path)) return &files[i];
  }
  return NULL;
}

/// Bytes behind a file that was read into a large block, which AddressSanitizer watches: the engine has one such block
/// for all files, in which reading too far would go unnoticed.
typedef struct fence {
  char *start;
  size_t size;
} fence;

#define MAX_FENCES 4u
#define FENCE_SIZE ((size_t)256)
#define LARGE_BLOCK ((size_t)16 * 1024)

static fence fences[MAX_FENCES];

/// Takes away the fences in a block, or all for a NULL.
static void take_fences(const char *buffer, size_t capacity) {
  for (size_t i = 0; i < MAX_FENCES; i++) {
    if (fences[i].size == 0) continue;
    if (buffer != NULL && (fences[i].start < buffer || fences[i].start >= buffer + capacity)) continue;
    ASAN_UNPOISON_MEMORY_REGION(fences[i].start, fences[i].size);
    fences[i].size = 0;
  }
}

static void put_fence(char *start, size_t room) {
  size_t i = 0;
  while (i < MAX_FENCES && fences[i].size != 0) i++;
  HOLDS(i < MAX_FENCES);
  fences[i].start = start;
  fences[i].size = room < FENCE_SIZE ? room : FENCE_SIZE;
  ASAN_POISON_MEMORY_REGION(fences[i].start, fences[i].size);
}

/// In place of the one in platform/wp_file.c.
long wp_file_read(const char *path, char *buffer, size_t capacity) {
  HOLDS(strncmp(path, ROOT, strlen(ROOT)) == 0);
  const entry *file = find_file(wp_text_of(path + strlen(ROOT)));
  if (file == NULL) return -ENOENT;
  size_t length = wp_text_length(file->bytes);
  if (length >= capacity) return -EFBIG;
  take_fences(buffer, capacity);
  memcpy(buffer, file->bytes.next, length);
  if (capacity >= LARGE_BLOCK) put_fence(buffer + length, capacity - length);
  return (long)length;
}

/// The contents of an entry as a string, without the newline; NULL when there is none.
static char *setting(const char *name, char *room, size_t capacity) {
  const entry *file = find_file(wp_text_of(name));
  if (file == NULL) return NULL;
  wp_text text = file->bytes, line = wp_text_take_until(&text, '\n');
  size_t length = wp_text_length(line) < capacity ? wp_text_length(line) : capacity - 1;
  memcpy(room, line.next, length);
  room[length] = '\0';
  return room;
}

// MARK: What holds

/// The allowed CPUs are those of the mask that are online, or of the mask, if "online" cannot be read or has none of it.
static void check_online(const wp_topology *topology, const wp_cpu_set *mask) {
  const entry *file = find_file(wp_text_of("sys/devices/system/cpu/online"));
  wp_cpu_set online, allowed;
  if (file == NULL || wp_text_length(file->bytes) >= WP_TOPOLOGY_SCRATCH || !wp_cpu_list_parse(file->bytes, &online)) {
    online = *mask;
  }
  allowed = online;
  wp_cpu_set_intersect(&allowed, mask);
  if (wp_cpu_set_count(&allowed) == 0) allowed = online = *mask;
  HOLDS(wp_topology_cpu_count(topology) == wp_cpu_set_count(&allowed));
  HOLDS(wp_topology_online_count(topology) == wp_cpu_set_count(&online));
  for (size_t i = 0; i < wp_topology_cpu_count(topology); i++) {
    HOLDS(wp_cpu_set_contains(&allowed, (size_t)wp_topology_cpu_id(topology, i)));
  }
}

/// Cores and caches are numbered as they appear, and so are the threads of a core.
static void check_cpus(const wp_topology *topology) {
  size_t count = wp_topology_cpu_count(topology), cores = 0, caches = 0;
  HOLDS(count >= 1);
  for (size_t i = 0; i < count; i++) {
    size_t core = wp_topology_cpu_core(topology, i), cache = wp_topology_cpu_cache(topology, i), threads = 0;
    HOLDS(wp_topology_cpu_id(topology, i) > (i == 0 ? -1 : wp_topology_cpu_id(topology, i - 1)));
    HOLDS(wp_topology_cpu_node(topology, i) < wp_topology_node_count(topology));
    HOLDS(core <= cores && cache <= caches);
    if (core == cores) cores++;
    if (cache == caches) caches++;
    for (size_t before = 0; before < i; before++) threads += wp_topology_cpu_core(topology, before) == core;
    HOLDS(wp_topology_cpu_thread(topology, i) == threads);
    HOLDS(wp_topology_cpu_is_sibling(topology, i) == (threads > 0));
    HOLDS(wp_topology_cpu_socket(topology, i) >= -1);
    HOLDS(wp_topology_cpu_kind(topology, i) <= WP_CPU_KIND_EFFICIENCY);
  }
}

static void check_nodes(const wp_topology *topology) {
  size_t count = wp_topology_node_count(topology), cpus = 0, online = 0;
  HOLDS(count >= 1 && count <= 1024);
  for (size_t i = 0; i < count; i++) {
    HOLDS(wp_topology_node_id(topology, i) > (i == 0 ? -1 : wp_topology_node_id(topology, i - 1)));
    cpus += wp_topology_node_cpu_count(topology, i);
    online += wp_topology_node_online_count(topology, i);
    for (size_t to = 0; to < count; to++) HOLDS(wp_topology_distance(topology, i, to) > 0);
  }
  HOLDS(cpus == wp_topology_cpu_count(topology) && online == wp_topology_online_count(topology));
}

/// A node with memory that may be used is nearest to its own, and no node is sent past such memory. Somewhere it is.
static void check_nearest_memory(const wp_topology *topology, size_t node) {
  size_t nearest = wp_topology_nearest_memory(topology, node), with_memory = 0, usable = 0;
  HOLDS(nearest < wp_topology_node_count(topology));
  for (size_t i = 0; i < wp_topology_node_count(topology); i++) {
    if (wp_topology_node_memory(topology, i) == 0) continue;
    with_memory++;
    if (!wp_topology_node_memory_is_allowed(topology, i)) continue;
    usable++;
    if (i == node) HOLDS(nearest == node);
    if (nearest == node) continue;
    HOLDS(wp_topology_distance(topology, node, nearest) <= wp_topology_distance(topology, node, i));
  }
  HOLDS(usable > 0 || with_memory == 0);
}

/// Each node is in the order once, its own first and no nearer one behind a farther.
static void check_order(const wp_topology *topology, size_t from) {
  size_t count = wp_topology_node_count(topology);
  uint32_t *order = (uint32_t *)malloc(count * sizeof *order);
  bool *seen = (bool *)calloc(count, sizeof *seen);
  HOLDS(order != NULL && seen != NULL);
  wp_topology_nearest_nodes(topology, from, order);
  HOLDS(order[0] == from);
  for (size_t i = 0; i < count; i++) {
    HOLDS(order[i] < count && !seen[order[i]]);
    seen[order[i]] = true;
    HOLDS(i < 2 || wp_topology_distance(topology, from, order[i - 1]) <= wp_topology_distance(topology, from, order[i]));
  }
  free(order);
  free(seen);
}

static size_t find_cpu(const wp_topology *topology, int id) {
  size_t index = 0;
  while (index < wp_topology_cpu_count(topology) && wp_topology_cpu_id(topology, index) != id) index++;
  return index;
}

/// Returns whether the policy was taken. Then every worker is on an allowed CPU and told the node of it.
static bool check_placement(const wp_topology *topology, const wp_affinity_choice *choice) {
  wp_placement placements[MAX_WORKERS];
  wp_error error;
  int refused = INT_MIN;
  if (wp_topology_place(topology, choice, MAX_WORKERS, placements, &refused, &error) != WP_OK) {
    HOLDS(error.status == WP_INVALID_ARGUMENT && error.refused == refused);
    return false;
  }
  for (size_t i = 0; i < MAX_WORKERS; i++) {
    HOLDS(placements[i].node < wp_topology_node_count(topology));
    HOLDS(wp_topology_node_cpu_count(topology, placements[i].node) > 0);
    if (choice->policy == WP_AFFINITY_NONE) {
      HOLDS(placements[i].cpu == -1);
      continue;
    }
    size_t index = find_cpu(topology, placements[i].cpu);
    HOLDS(index < wp_topology_cpu_count(topology));
    HOLDS(wp_topology_cpu_node(topology, index) == placements[i].node);
  }
  return true;
}

static void check_placements(const wp_topology *topology) {
  int last = wp_topology_cpu_id(topology, wp_topology_cpu_count(topology) - 1);
  int cpus[2] = {last, wp_topology_cpu_id(topology, 0)};
  for (int policy = WP_AFFINITY_NONE; policy <= WP_AFFINITY_CPUS; policy++) {
    wp_affinity_choice choice = {(wp_affinity)policy, 0, cpus, 2};
    HOLDS(check_placement(topology, &choice));
  }
  cpus[1] = last + 1;
  wp_affinity_choice refused = {WP_AFFINITY_CPUS, 0, cpus, 2};
  HOLDS(!check_placement(topology, &refused));
  for (size_t node = 0; node < wp_topology_node_count(topology) && node < 16; node++) {
    wp_affinity_choice choice = {WP_AFFINITY_NODE, wp_topology_node_id(topology, node), NULL, 0};
    HOLDS(check_placement(topology, &choice) == (wp_topology_node_cpu_count(topology, node) > 0));
  }
}

static void check_grant(const wp_topology *topology, const char *environment) {
  size_t count = wp_topology_cpu_count(topology), granted = 0, bound = wp_topology_override(topology);
  wp_error error;
  HOLDS(wp_topology_granted(topology) >= 1 && wp_topology_granted(topology) <= count);
  HOLDS(wp_topology_quota(topology) == 0 || wp_topology_granted(topology) <= wp_topology_quota(topology));
  HOLDS(bound == 0 || (environment != NULL && wp_topology_granted(topology) <= bound));
  if (wp_topology_grant(topology, &granted, &error) == WP_OK) {
    HOLDS(granted == wp_topology_granted(topology) && (environment == NULL) == (bound == 0));
  } else {
    HOLDS(error.status == WP_INVALID_ARGUMENT && strcmp(error.call, "WORKER_POOL_CPUS") == 0);
    HOLDS(environment != NULL && bound == 0);
  }
}

/// Cut short it is the beginning of the whole.
static void check_text(const wp_topology *topology) {
  size_t length = wp_topology_describe(topology, NULL, 0);
  char *whole = (char *)malloc(length + 1), *part = (char *)malloc(length / 2 + 1);
  HOLDS(whole != NULL && part != NULL && length > 0);
  HOLDS(wp_topology_describe(topology, whole, length + 1) == length && strlen(whole) == length);
  HOLDS(wp_topology_describe(topology, part, length / 2 + 1) == length && strlen(part) == length / 2);
  HOLDS(memcmp(whole, part, length / 2) == 0 && whole[length - 1] != '\n');
  free(whole);
  free(part);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char affinity[1024], environment[64];
  unsetenv("WORKER_POOL_CPUS");
  cut_into_files((const char *)data, size);
  wp_topology_source source = {.sys_root = ROOT "sys", .proc_root = ROOT "proc", .details = true};
  source.affinity = setting("affinity", affinity, sizeof affinity);
  source.environment_cpus = setting("WORKER_POOL_CPUS", environment, sizeof environment);
  if (source.affinity == NULL) source.affinity = "0-15";
  wp_cpu_set mask;
  bool is_list = wp_cpu_list_parse(wp_text_of(source.affinity), &mask) && wp_cpu_set_count(&mask) > 0;
  if (is_list && wp_cpu_set_count(&mask) > MAX_CPUS) return -1;

  wp_topology *topology = NULL;
  wp_error error;
  wp_status status = wp_topology_create(&source, &topology, &error);
  take_fences(NULL, 0);
  if (status != WP_OK) {
    HOLDS(!is_list && status == WP_INVALID_ARGUMENT && strcmp(error.call, "affinity") == 0);
    return 0;
  }
  HOLDS(is_list);
  check_online(topology, &mask);
  check_cpus(topology);
  check_nodes(topology);
  for (size_t node = 0; node < wp_topology_node_count(topology) && node < 16; node++) {
    check_order(topology, node);
    check_nearest_memory(topology, node);
  }
  check_placements(topology);
  check_grant(topology, source.environment_cpus);
  check_text(topology);
  wp_topology_destroy(topology);
  return 0;
}
