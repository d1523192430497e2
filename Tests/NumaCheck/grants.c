// What a process is granted inside of cgroups, which are made here: quotas and cpusets of v2, one group in another.
#include "crew.h"
#include "memory_checks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROOT "/sys/fs/cgroup"
#define OUTER ROOT "/outer"
#define INNER OUTER "/inner"

/// What is written to the groups, NULL for nothing, and what must come of it.
typedef struct group_case {
  const char *what;
  const char *outer_max, *inner_max;
  const char *outer_cpus, *inner_cpus;
  const char *inner_memories;
  /// In CPUs; 0 for none.
  unsigned quota;
  uint64_t cpus;
} group_case;

static void write_setting(const char *folder, const char *file, const char *value) {
  char path[96];
  if (value == NULL) return;
  snprintf(path, sizeof path, "%s/%s", folder, file);
  write_line(path, value);
}

/// A program of its own, since libnuma looks at what it may use when it is loaded.
static void run_inside(const group_case *made) {
  char quota[16], cpus[256];
  sprintf(quota, "%u", made->quota);
  strcpy(cpus, list_of(made->cpus));
  const char *memories = made->inner_memories != NULL ? made->inner_memories : "";
  fflush(stdout);
  pid_t child = fork();
  REQUIRE(child >= 0, "%s", strerror(errno));
  if (child == 0) {
    write_line(INNER "/cgroup.procs", "0");
    execl("/proc/self/exe", "numa-check", "inside", quota, cpus, memories, (char *)NULL);
    _exit(127);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child, "%s", strerror(errno));
  CHECK(status == 0, "%s: ended with %#x", made->what, (unsigned)status);
}

static void check_case(const group_case *made) {
  REQUIRE(mkdir(OUTER, 0755) == 0, "%s", strerror(errno));
  write_line(OUTER "/cgroup.subtree_control", "+cpu +cpuset");
  REQUIRE(mkdir(INNER, 0755) == 0, "%s", strerror(errno));
  write_setting(OUTER, "cpu.max", made->outer_max);
  write_setting(INNER, "cpu.max", made->inner_max);
  write_setting(OUTER, "cpuset.cpus", made->outer_cpus);
  write_setting(INNER, "cpuset.cpus", made->inner_cpus);
  write_setting(INNER, "cpuset.mems", made->inner_memories);
  run_inside(made);
  CHECK(rmdir(INNER) == 0 && rmdir(OUTER) == 0, "%s", strerror(errno));
}

void granted_by_cgroups(void) {
  write_line(ROOT "/cgroup.subtree_control", "+cpu +cpuset");
  size_t last = truth.node_count, with_memory = truth.node_count;
  while (truth.nodes[--last].cpus == 0) continue;
  while (truth.nodes[--with_memory].memory_mib == 0) continue;
  uint64_t node = truth.nodes[last].cpus, one = node & (~node + 1);
  char all[256], on_node[256], on_one[256], memory[16];
  strcpy(all, list_of(truth.online | truth.offline));
  strcpy(on_node, list_of(node));
  strcpy(on_one, list_of(one));
  sprintf(memory, "%d", truth.nodes[with_memory].id);
  const group_case cases[] = {
      {.what = "no limit", .cpus = truth.online},
      {.what = "a quota of one and a half", .inner_max = "150000 100000", .quota = 2, .cpus = truth.online},
      {.what = "a quota of less than one", .inner_max = "5000 50000", .quota = 1, .cpus = truth.online},
      {.what = "a quota of more than all", .inner_max = "9900000 100000", .quota = 99, .cpus = truth.online},
      {.what = "a quota further out", .outer_max = "250000 100000", .quota = 3, .cpus = truth.online},
      {.what = "a tighter quota further out",
       .outer_max = "200000 100000",
       .inner_max = "400000 100000",
       .quota = 2,
       .cpus = truth.online},
      {.what = "a tighter quota further in",
       .outer_max = "300000 100000",
       .inner_max = "40000 20000",
       .quota = 2,
       .cpus = truth.online},
      {.what = "all CPUs, offline ones too", .inner_cpus = all, .cpus = truth.online},
      {.what = "the CPUs of a node", .inner_cpus = on_node, .cpus = node},
      {.what = "one CPU of a node further out", .outer_cpus = on_node, .inner_cpus = on_one, .cpus = one},
      {.what = "a node further out", .outer_cpus = on_node, .cpus = node},
      {.what = "a node, and a quota", .inner_max = "100000 100000", .inner_cpus = on_node, .quota = 1, .cpus = node},
      {.what = "the memory of a node", .inner_memories = memory, .cpus = truth.online},
      {.what = "a node, and another's memory", .inner_cpus = on_one, .inner_memories = memory, .cpus = one},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) check_case(&cases[i]);
}

/// Checks that pages that workers touch first are on the only node whose memory they may use.
static void check_memories(const worker_crew *crew, const char *memories) {
  for (unsigned worker = 0; *memories != '\0' && worker < crew->count; worker++) {
    for (int page = 0; page < STACK_PAGES; page++) {
      int node = crew->members[worker].stack[page];
      CHECK(node == atoi(memories), "worker %u has a page on node %d, not %s", worker, node, memories);
    }
  }
}

int inside(int count, char **words) {
  REQUIRE(count == 3, "%d words", count);
  unsigned quota = (unsigned)atoi(words[0]);
  uint64_t cpus = set_of(words[1]);
  unsigned granted = quota != 0 && quota < count_bits(cpus) ? quota : count_bits(cpus);

  wp_topology *read = NULL;
  REQUIRE(wp_topology_create(NULL, &read, NULL) == WP_OK, "no topology");
  CHECK(wp_topology_quota(read) == quota, "a quota of %zu, not %u", wp_topology_quota(read), quota);
  CHECK(wp_topology_granted(read) == granted, "%zu granted, not %u", wp_topology_granted(read), granted);
  uint64_t allowed = 0;
  for (size_t i = 0; i < wp_topology_cpu_count(read); i++) allowed |= (uint64_t)1 << wp_topology_cpu_id(read, i);
  CHECK(allowed == cpus, "CPUs %s, not %s", list_of(allowed), words[1]);
  CHECK(wp_topology_node_count(read) == truth.node_count, "%zu nodes", wp_topology_node_count(read));
  for (size_t i = 0; i < truth.node_count; i++) {
    bool is_out = *words[2] != '\0' && truth.nodes[i].memory_mib != 0 && truth.nodes[i].id != atoi(words[2]);
    CHECK(wp_topology_node_memory_is_allowed(read, i) == !is_out, "node %d", truth.nodes[i].id);
    int nearest = wp_topology_node_id(read, wp_topology_nearest_memory(read, i));
    CHECK(*words[2] == '\0' || nearest == atoi(words[2]), "memory of node %d for node %d", nearest, truth.nodes[i].id);
  }
  for (int cpu = 0; cpu < MACHINE_MAX_CPUS; cpu++) {
    int named = -1;
    wp_placement placement;
    wp_affinity_choice choice = {.policy = WP_AFFINITY_CPUS, .cpus = &cpu, .cpu_count = 1};
    wp_status status = wp_topology_place(read, &choice, 1, &placement, &named, NULL);
    bool may = (cpus >> cpu & 1) != 0;
    CHECK(may ? status == WP_OK : status == WP_INVALID_ARGUMENT && named == cpu, "CPU %d: %s", cpu,
          wp_status_name(status));
  }
  wp_topology_destroy(read);
  if (*words[2] != '\0') failures += check_memory();

  for (wp_affinity affinity = WP_AFFINITY_NONE; affinity <= WP_AFFINITY_SPREAD; affinity++) {
    worker_crew crew;
    wp_thread_pool_config config = {.affinity = {.policy = affinity}};
    crew_hire(&crew, &config);
    CHECK(crew.count == granted, "%u workers, not %u", crew.count, granted);
    crew_look(&crew);
    check_within(&crew, cpus, "inside");
    check_memories(&crew, words[2]);
    crew_dismiss(&crew);
  }
  return failures > 0;
}
