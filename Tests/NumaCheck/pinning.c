// Are workers where their policy says? The order of CPUs is worked out here anew, from the machine that was built.
#include "crew.h"

#include <limits.h>
#include <sched.h>
#include <string.h>

/// CPUs in the order in which workers get them; after the last it begins again.
typedef struct cpu_order {
  unsigned count;
  int cpus[MACHINE_MAX_CPUS];
} cpu_order;

/// The `turn`-th CPU of a node among those that are the `rank`-th of their core, -1 when there are not so many.
static int cpu_at(size_t node, unsigned rank, unsigned turn) {
  for (int cpu = 0; cpu < MACHINE_MAX_CPUS; cpu++) {
    bool counts = (truth.nodes[node].cpus >> cpu & 1) != 0 && (unsigned)cpu % truth.threads == rank;
    if (counts && turn-- == 0) return cpu;
  }
  return -1;
}

static void append(cpu_order *order, int cpu) {
  if (cpu >= 0) order->cpus[order->count++] = cpu;
}

/// A node before the next one, all its cores before their second threads.
static cpu_order compact_order(void) {
  cpu_order order = {0};
  for (size_t node = 0; node < truth.node_count; node++) {
    for (unsigned rank = 0; rank < truth.threads; rank++) {
      for (unsigned turn = 0; turn < MACHINE_MAX_CPUS; turn++) append(&order, cpu_at(node, rank, turn));
    }
  }
  return order;
}

/// One of each node in turn, all cores of the machine before their second threads.
static cpu_order spread_order(void) {
  cpu_order order = {0};
  for (unsigned rank = 0; rank < truth.threads; rank++) {
    for (unsigned turn = 0; turn < MACHINE_MAX_CPUS; turn++) {
      for (size_t node = 0; node < truth.node_count; node++) append(&order, cpu_at(node, rank, turn));
    }
  }
  return order;
}

/// Every second CPU, from the last one down.
static cpu_order listed_order(void) {
  cpu_order all = compact_order(), order = {0};
  for (unsigned i = all.count; i > 0; i = i > 2 ? i - 2 : 0) append(&order, all.cpus[i - 1]);
  return order;
}

/// Any of the CPUs of one node, its cores before their second threads.
static cpu_order node_order(size_t node) {
  cpu_order order = {0};
  for (unsigned rank = 0; rank < truth.threads; rank++) {
    for (unsigned turn = 0; turn < MACHINE_MAX_CPUS; turn++) append(&order, cpu_at(node, rank, turn));
  }
  return order;
}

/// Checks pools of fewer workers than CPUs, of as many, and of more.
static void check_policy(const char *name, const wp_affinity_choice *choice, const cpu_order *order) {
  const unsigned counts[] = {(order->count + 1) / 2, order->count, order->count + 2};
  for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
    worker_crew crew;
    wp_thread_pool_config config = {.worker_count = counts[i], .affinity = *choice};
    crew_hire(&crew, &config);
    CHECK(crew.count == counts[i], "%s: %u workers", name, crew.count);
    crew_look(&crew);
    for (unsigned worker = 0; worker < counts[i]; worker++) {
      check_pinned(&crew, worker, order->cpus[worker % order->count], name);
    }
    check_within(&crew, truth.online, name);
    crew_dismiss(&crew);
  }
}

void pinned(void) {
  cpu_order compact = compact_order(), spread = spread_order(), listed = listed_order();
  REQUIRE(compact.count == count_bits(truth.online) && spread.count == compact.count, "%u CPUs", compact.count);
  check_policy("compact", &(wp_affinity_choice){.policy = WP_AFFINITY_COMPACT}, &compact);
  check_policy("spread", &(wp_affinity_choice){.policy = WP_AFFINITY_SPREAD}, &spread);
  check_policy("cpus",
               &(wp_affinity_choice){.policy = WP_AFFINITY_CPUS, .cpus = listed.cpus, .cpu_count = listed.count},
               &listed);
  for (size_t node = 0; node < truth.node_count; node++) {
    cpu_order order = node_order(node);
    if (order.count == 0) continue;
    check_policy("node", &(wp_affinity_choice){.policy = WP_AFFINITY_NODE, .node = truth.nodes[node].id}, &order);
  }
}

void floats(void) {
  worker_crew crew;
  crew_hire(&crew, NULL);
  CHECK(crew.count == count_bits(truth.online), "%u workers", crew.count);
  crew_look(&crew);
  for (unsigned worker = 0; worker < crew.count; worker++) {
    const crew_member *member = &crew.members[worker];
    CHECK((member->mask & truth.online) == truth.online, "worker %u may run on %s", worker, list_of(member->mask));
    size_t node = node_with_id(member->local);
    CHECK(node != SIZE_MAX && truth.nodes[node].memory_mib > 0, "worker %u has its stack on node %d", worker,
          member->local);
  }
  check_within(&crew, truth.online | truth.offline, "none");
  crew_dismiss(&crew);
}

/// Checks that neither a placement nor a pool takes this choice, and that both name what they refuse.
static void check_choice_refused(const wp_affinity_choice *choice, int expected, const char *member, const char *why) {
  int named = INT_MIN;
  wp_error error = {0};
  wp_topology *read = NULL;
  wp_placement placements[2];
  REQUIRE(wp_topology_create(NULL, &read, &error) == WP_OK, "%s", error.call);
  wp_status status = wp_topology_place(read, choice, 2, placements, &named, &error);
  CHECK(status == WP_INVALID_ARGUMENT && named == expected, "%s %d: %s, %d is named", why, expected,
        wp_status_name(status), named);
  wp_topology_destroy(read);

  wp_thread_pool_config config = {.worker_count = 2, .affinity = *choice};
  wp_thread_pool *pool = NULL;
  error = (wp_error){0};
  status = wp_thread_pool_create(&config, &pool, &error);
  CHECK(status == WP_INVALID_ARGUMENT && pool == NULL, "%s %d: %s", why, expected, wp_status_name(status));
  const char *call = error.call != NULL ? error.call : "nothing";
  CHECK(strcmp(call, member) == 0 && error.refused == expected, "%s %d: %s %d is named", why, expected, call,
        error.refused);
  wp_thread_pool_release(pool);
}

/// After a CPU that would be taken.
static void check_refused(int cpu, const char *why) {
  int cpus[] = {compact_order().cpus[0], cpu};
  wp_affinity_choice choice = {.policy = WP_AFFINITY_CPUS, .cpus = cpus, .cpu_count = 2};
  check_choice_refused(&choice, cpu, "cpus", why);
}

static void check_node_refused(int node, const char *why) {
  wp_affinity_choice choice = {.policy = WP_AFFINITY_NODE, .node = node};
  check_choice_refused(&choice, node, "node", why);
}

/// Restricts the calling thread.
static void run_on(uint64_t cpus) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  for (size_t cpu = 0; cpu < MACHINE_MAX_CPUS; cpu++) {
    if ((cpus >> cpu & 1) != 0) CPU_SET(cpu, &mask);
  }
  REQUIRE(sched_setaffinity(0, sizeof mask, &mask) == 0, "%s", list_of(cpus));
}

void refused(void) {
  for (int cpu = 0; cpu < MACHINE_MAX_CPUS; cpu++) {
    if ((truth.offline >> cpu & 1) != 0) check_refused(cpu, "offline");
  }
  check_refused(-1, "negative");
  check_refused(MACHINE_MAX_CPUS - 1, "absent");
  check_refused(INT_MAX, "enormous");
  check_node_refused(-1, "negative node");
  check_node_refused(INT_MAX, "enormous node");
  for (int id = 0; id <= truth.nodes[truth.node_count - 1].id + 1; id++) {
    size_t node = node_with_id(id);
    if (node == SIZE_MAX) check_node_refused(id, "absent node");
    if (node != SIZE_MAX && truth.nodes[node].cpus == 0) check_node_refused(id, "node without CPUs");
  }

  // What was taken from this process alone: all nodes but the first that has CPUs.
  size_t kept = node_of_cpu(compact_order().cpus[0]);
  uint64_t left = truth.nodes[kept].cpus;
  run_on(left);
  for (size_t node = 0; node < truth.node_count; node++) {
    if (node != kept) check_node_refused(truth.nodes[node].id, "masked node");
  }
  for (int cpu = 0; cpu < MACHINE_MAX_CPUS; cpu++) {
    if (((truth.online & ~left) >> cpu & 1) != 0) check_refused(cpu, "masked");
  }
  for (wp_affinity affinity = WP_AFFINITY_NONE; affinity <= WP_AFFINITY_SPREAD; affinity++) {
    worker_crew crew;
    wp_thread_pool_config config = {.affinity = {.policy = affinity}};
    crew_hire(&crew, &config);
    CHECK(crew.count == count_bits(left), "%u workers on %s", crew.count, list_of(left));
    crew_look(&crew);
    check_within(&crew, left, "masked");
    crew_dismiss(&crew);
  }
}

static void set_online(int cpu, bool online) {
  char path[96];
  sprintf(path, "/sys/devices/system/cpu/cpu%d/online", cpu);
  write_line(path, online ? "1" : "0");
}

/// The last CPU goes while workers are pinned to it, and comes back.
void unplugged(void) {
  cpu_order order = compact_order();
  int cpu = order.cpus[order.count - 1];
  uint64_t left = truth.online & ~((uint64_t)1 << cpu);
  worker_crew before, after;
  wp_thread_pool_config config = {.worker_count = order.count, .affinity = {.policy = WP_AFFINITY_COMPACT}};
  crew_hire(&before, &config);
  crew_look(&before);
  check_pinned(&before, order.count - 1, cpu, "before");

  set_online(cpu, false);
  // The kernel puts the worker elsewhere, and widens its mask.
  crew_look(&before);
  for (unsigned worker = 0; worker < before.count; worker++) {
    uint64_t ran_on = before.members[worker].ran_on;
    CHECK((ran_on & ~left) == 0, "worker %u runs on %s without CPU %d", worker, list_of(ran_on), cpu);
  }
  check_refused(cpu, "unplugged");
  config.worker_count = 0;
  crew_hire(&after, &config);
  CHECK(after.count == order.count - 1, "%u workers on %u CPUs", after.count, order.count - 1);
  crew_look(&after);
  for (unsigned worker = 0; worker < after.count; worker++) check_pinned(&after, worker, order.cpus[worker], "without");
  crew_dismiss(&after);

  set_online(cpu, true);
  crew_hire(&after, &config);
  CHECK(after.count == order.count, "%u workers on %u CPUs again", after.count, order.count);
  crew_look(&after);
  check_pinned(&after, order.count - 1, cpu, "again");
  crew_dismiss(&after);
  crew_look(&before);
  crew_dismiss(&before);
}
