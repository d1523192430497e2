// How the machine was built, and what its kernel says about it.
#include "check.h"

#include <errno.h>
#include <numaif.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

machine truth;

unsigned count_bits(uint64_t set) { return (unsigned)__builtin_popcountll(set); }

uint64_t set_of(const char *list) {
  uint64_t set = 0;
  while (*list != '\0') {
    char *end;
    unsigned long first = strtoul(list, &end, 10);
    unsigned long last = *end == '-' ? strtoul(end + 1, &end, 10) : first;
    REQUIRE(end != list && last >= first && last < MACHINE_MAX_CPUS && (*end == ',' || *end == '\0'),
            "no list of numbers below %d: %s", MACHINE_MAX_CPUS, list);
    for (unsigned long number = first; number <= last; number++) set |= (uint64_t)1 << number;
    list = *end == ',' ? end + 1 : end;
  }
  return set;
}

const char *list_of(uint64_t set) {
  static char buffers[4][256];
  static unsigned turn;
  char *text = buffers[turn++ % 4];
  size_t length = 0;
  text[0] = '\0';
  for (int first = 0; first < MACHINE_MAX_CPUS; first++) {
    if ((set >> first & 1) == 0) continue;
    int last = first;
    while (last + 1 < MACHINE_MAX_CPUS && (set >> (last + 1) & 1) != 0) last++;
    length += (size_t)sprintf(text + length, last > first ? "%s%d-%d" : "%s%d", length > 0 ? "," : "", first, last);
    first = last;
  }
  return text;
}

static const char *variable(const char *name) {
  const char *value = getenv(name);
  REQUIRE(value != NULL, "the environment does not say how this machine was built: no %s", name);
  return value;
}

/// "0:0-3:512/1::256".
static void read_nodes(const char *text) {
  char copy[1024], *rest = copy, *node;
  REQUIRE(strlen(text) < sizeof copy, "%s", text);
  strcpy(copy, text);
  while ((node = strsep(&rest, "/")) != NULL) {
    REQUIRE(truth.node_count < MACHINE_MAX_NODES, "too many nodes: %s", text);
    const char *id = strsep(&node, ":"), *cpus = strsep(&node, ":"), *memory = strsep(&node, ":");
    REQUIRE(memory != NULL, "a node is id:CPUs:MiB: %s", text);
    machine_node *made = &truth.nodes[truth.node_count++];
    made->id = atoi(id);
    made->cpus = set_of(cpus) & ~truth.offline;
    made->memory_mib = (unsigned)atoi(memory);
    truth.online |= made->cpus;
  }
}

/// "10,20/20,10".
static void read_distances(const char *text) {
  char *end = NULL;
  for (size_t from = 0; from < truth.node_count; from++) {
    for (size_t to = 0; to < truth.node_count; to++, text = *end != '\0' ? end + 1 : end) {
      truth.distances[from][to] = (unsigned)strtoul(text, &end, 10);
      REQUIRE(end != text, "distances are missing");
    }
  }
  REQUIRE(*text == '\0', "there are more distances than nodes: %s", text);
}

void machine_read(void) {
  truth.offline = set_of(variable("MACHINE_OFFLINE"));
  truth.threads = (unsigned)atoi(variable("MACHINE_THREADS"));
  read_nodes(variable("MACHINE_NODES"));
  read_distances(variable("MACHINE_DISTANCES"));
}

size_t node_of_cpu(int cpu) {
  for (size_t i = 0; i < truth.node_count; i++) {
    if (cpu >= 0 && cpu < MACHINE_MAX_CPUS && (truth.nodes[i].cpus >> cpu & 1) != 0) return i;
  }
  return SIZE_MAX;
}

size_t node_with_id(int id) {
  for (size_t i = 0; i < truth.node_count; i++) {
    if (truth.nodes[i].id == id) return i;
  }
  return SIZE_MAX;
}

int node_of_page(const void *address) {
  void *page = (void *)((uintptr_t)address & ~(uintptr_t)4095);
  int status = -EFAULT;
  return move_pages(0, 1, &page, NULL, &status, 0) == 0 ? status : -errno;
}

bool is_first_touch_node(size_t from, int found) {
  size_t index = node_with_id(found);
  if (index == SIZE_MAX || truth.nodes[index].memory_mib == 0) return false;
  for (size_t i = 0; i < truth.node_count; i++) {
    if (truth.nodes[i].memory_mib > 0 && truth.distances[from][i] < truth.distances[from][index]) return false;
  }
  return true;
}

uint64_t mask_of(pid_t thread) {
  cpu_set_t mask;
  uint64_t set = 0;
  REQUIRE(sched_getaffinity(thread, sizeof mask, &mask) == 0, "%s", strerror(errno));
  for (size_t cpu = 0; cpu < MACHINE_MAX_CPUS; cpu++) set |= CPU_ISSET(cpu, &mask) ? (uint64_t)1 << cpu : 0;
  return set;
}

const char *read_line(const char *path) {
  static char line[1024];
  FILE *file = fopen(path, "re");
  if (file == NULL || fgets(line, sizeof line, file) == NULL) line[0] = '\0';
  if (file != NULL) fclose(file);
  line[strcspn(line, "\n")] = '\0';
  return line;
}

void write_line(const char *path, const char *line) {
  FILE *file = fopen(path, "we");
  REQUIRE(file != NULL, "%s: %s", path, strerror(errno));
  bool written = fputs(line, file) >= 0;
  bool closed = fclose(file) == 0;
  REQUIRE(written && closed, "%s to %s: %s", line, path, strerror(errno));
}
