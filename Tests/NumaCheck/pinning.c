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

static void check_policy(const char *policy, const wp_thread_pool_config *config, const cpu_order *order) {
  worker_crew crew;
  crew_hire(&crew, config);
  CHECK(crew.count == config->worker_count, "%s: %u workers", policy, crew.count);
  crew_look(&crew);
  for (unsigned worker = 0; worker < crew.count; worker++) {
    check_pinned(&crew, worker, order->cpus[worker % order->count], policy);
  }
  check_within(&crew, truth.online, policy);
  crew_dismiss(&crew);
}

void pinned(void) {
  cpu_order compact = compact_order(), spread = spread_order(), listed = listed_order();
  REQUIRE(compact.count == count_bits(truth.online) && spread.count == compact.count, "%u CPUs", compact.count);
  const struct {
    const char *name;
    wp_affinity affinity;
    const cpu_order *order;
  } policies[] = {
      {"compact", WP_AFFINITY_COMPACT, &compact},
      {"spread", WP_AFFINITY_SPREAD, &spread},
      {"cpus", WP_AFFINITY_CPUS, &listed},
  };
  // Fewer workers than CPUs, as many, and more.
  const unsigned counts[] = {(compact.count + 1) / 2, compact.count, compact.count + 2};
  for (size_t policy = 0; policy < sizeof policies / sizeof policies[0]; policy++) {
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
      wp_thread_pool_config config = {.worker_count = counts[i], .affinity = policies[policy].affinity};
      if (config.affinity == WP_AFFINITY_CPUS) {
        config.cpus = policies[policy].order->cpus;
        config.cpu_count = policies[policy].order->count;
      }
      check_policy(policies[policy].name, &config, policies[policy].order);
    }
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

/// Checks that neither a placement nor a pool takes this CPU, after one that they would take, and that it is named.
static void check_refused(int cpu, const char *why) {
  int cpus[] = {compact_order().cpus[0], cpu};
  int refused = INT_MIN;
  wp_error error = {0};
  wp_topology *read = NULL;
  wp_placement placement;
  REQUIRE(wp_topology_create(NULL, &read, &error) == WP_OK, "%s", error.call);
  wp_status status = wp_topology_place(read, WP_AFFINITY_CPUS, cpus, 2, 1, &placement, &refused, &error);
  CHECK(status == WP_INVALID_ARGUMENT && refused == cpu, "%s CPU %d: %s, %d is named", why, cpu, wp_status_name(status),
        refused);
  wp_topology_destroy(read);

  wp_thread_pool_config config = {.worker_count = 2, .affinity = WP_AFFINITY_CPUS, .cpus = cpus, .cpu_count = 2};
  wp_thread_pool *pool = NULL;
  error = (wp_error){0};
  status = wp_thread_pool_create(&config, &pool, &error);
  CHECK(status == WP_INVALID_ARGUMENT && pool == NULL && error.call != NULL && strcmp(error.call, "cpus") == 0,
        "%s CPU %d: %s, %s", why, cpu, wp_status_name(status), error.call != NULL ? error.call : "nothing named");
  wp_thread_pool_release(pool);
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

  // What was taken from this process alone: all nodes but the first that has CPUs.
  uint64_t left = truth.nodes[node_of_cpu(compact_order().cpus[0])].cpus;
  run_on(left);
  for (int cpu = 0; cpu < MACHINE_MAX_CPUS; cpu++) {
    if (((truth.online & ~left) >> cpu & 1) != 0) check_refused(cpu, "masked");
  }
  for (wp_affinity affinity = WP_AFFINITY_NONE; affinity <= WP_AFFINITY_SPREAD; affinity++) {
    worker_crew crew;
    wp_thread_pool_config config = {.affinity = affinity};
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
  wp_thread_pool_config config = {.worker_count = order.count, .affinity = WP_AFFINITY_COMPACT};
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
