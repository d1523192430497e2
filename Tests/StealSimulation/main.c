// Simulates stealing on machines of several nodes and prints what the article StealingSimulation says, in Markdown.
//
//   steal-simulation FOLDER…    one machine for each folder, which holds a "sys" with nodes and CPUs
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

#define SEEDS 21u

/// What tasks are like.
typedef struct sim_setting {
  uint32_t task_ns, tasks_per_worker;
  /// Of a task's time, how much is spent on its data.
  uint32_t percent_on_data;
} sim_setting;

static const sim_setting usual = {10000, 200, 50};
static const sim_setting without_data = {10000, 200, 0};
static const sim_setting tiny = {1000, 1000, 50};

// MARK: Machines

static void machine_read(sim_machine *machine, const char *folder) {
  char sys[4096];
  snprintf(sys, sizeof sys, "%s/sys", folder);
  // Not this machine's mask, and no quota.
  wp_topology_source source = {.sys_root = sys, .proc_root = folder, .affinity = "0-1023"};
  wp_topology *topology = NULL;
  if (wp_topology_create(&source, &topology, NULL) != WP_OK) give_up("cannot read a machine");
  memset(machine, 0, sizeof *machine);
  machine->node_count = (uint32_t)wp_topology_node_count(topology);
  size_t cpus = wp_topology_cpu_count(topology);
  // A folder that is not there reads as one node with all of the mask's CPUs.
  if (machine->node_count < 2 || machine->node_count > MAX_NODES || cpus > MAX_WORKERS) give_up("not such a machine");
  machine->worker_count = (uint32_t)cpus;
  wp_placement placements[MAX_WORKERS];
  wp_affinity_choice choice = {WP_AFFINITY_COMPACT, 0, NULL, 0};
  if (wp_topology_place(topology, &choice, cpus, placements, NULL, NULL) != WP_OK) give_up("cannot place workers");
  uint32_t next = 0;
  for (uint32_t n = 0; n < machine->node_count; n++) {
    wp_topology_nearest_nodes(topology, n, machine->nearest[n]);
    for (uint32_t m = 0; m < machine->node_count; m++) machine->distance[n][m] = wp_topology_distance(topology, n, m);
    machine->first_worker[n] = next;
    for (uint32_t i = 0; i < cpus; i++) {
      if (placements[i].node == n) machine->node_of[next++] = n;
    }
    machine->workers_of[n] = next - machine->first_worker[n];
  }
  wp_topology_destroy(topology);
}

// MARK: Loads

/// Between half of `mean` and one and a half times as much.
static uint32_t about(uint32_t mean, uint32_t *random) { return mean / 2 + draw(random) % mean; }

static void add_batch(sim_load *load, uint32_t node, uint32_t count, uint32_t ns, uint32_t *random) {
  uint64_t time = load->arrival_count * (uint64_t)SUBMIT_NS;
  load_add_arrival(load, (sim_arrival){time, node, load->task_count, count});
  for (uint32_t i = 0; i < count; i++) load_add_task(load, (sim_task){node, about(ns, random), 0, 0});
}

static uint32_t total_tasks(const sim_machine *machine, const sim_setting *setting) {
  return machine->worker_count * setting->tasks_per_worker;
}

static void fill_balanced(sim_load *load, const sim_machine *machine, const sim_setting *setting, uint32_t *random) {
  for (uint32_t n = 0; n < machine->node_count; n++) {
    add_batch(load, n, machine->workers_of[n] * setting->tasks_per_worker, setting->task_ns, random);
  }
}

/// Single tasks for nodes drawn at random, so often that half of the workers have something to do.
static void fill_steady(sim_load *load, const sim_machine *machine, const sim_setting *setting, uint32_t *random) {
  uint64_t time = 0;
  for (uint32_t i = 0; i < total_tasks(machine, setting); i++) {
    uint32_t node = draw(random) % machine->node_count;
    load_add_arrival(load, (sim_arrival){time, node, load->task_count, 1});
    load_add_task(load, (sim_task){node, about(setting->task_ns, random), 0, 0});
    time += draw(random) % (4 * setting->task_ns / machine->worker_count);
  }
}

static void fill_one_node(sim_load *load, const sim_machine *machine, const sim_setting *setting, uint32_t *random) {
  add_batch(load, 0, total_tasks(machine, setting), setting->task_ns, random);
}

/// Each node twice as much as the next.
static void fill_halving(sim_load *load, const sim_machine *machine, const sim_setting *setting, uint32_t *random) {
  uint32_t total = total_tasks(machine, setting);
  uint32_t left = total;
  for (uint32_t n = 0; n < machine->node_count; n++) {
    uint64_t parts = ((uint64_t)1 << machine->node_count) - 1;
    uint32_t count = (uint32_t)(((uint64_t)total << (machine->node_count - 1 - n)) / parts);
    if (n + 1 == machine->node_count) count = left;
    add_batch(load, n, count, setting->task_ns, random);
    left -= count;
  }
}

static void fill_long_tasks(sim_load *load, const sim_machine *machine, const sim_setting *setting, uint32_t *random) {
  for (uint32_t n = 0; n < machine->node_count; n++) {
    uint32_t ns = n == 0 ? 10 * setting->task_ns : setting->task_ns;
    add_batch(load, n, machine->workers_of[n] * setting->tasks_per_worker, ns, random);
  }
}

static uint32_t tree_size(uint32_t depth) { return depth <= 1 ? 1 : 1 + tree_size(depth - 1) + tree_size(depth - 2); }

/// The smallest tree of at least `tasks` tasks.
static void add_tree(sim_load *load, uint32_t node, uint32_t tasks, uint32_t task_ns) {
  uint32_t depth = 1;
  while (tree_size(depth) < tasks) depth++;
  load_add_arrival(load, (sim_arrival){load->arrival_count * (uint64_t)SUBMIT_NS, node, load->task_count, 1});
  load_add_task(load, (sim_task){node, task_ns, depth, 0});
}

static void fill_tree(sim_load *load, const sim_machine *machine, const sim_setting *setting, uint32_t *random) {
  (void)random;
  add_tree(load, 0, total_tasks(machine, setting) / 2, setting->task_ns);
}

static void fill_trees(sim_load *load, const sim_machine *machine, const sim_setting *setting, uint32_t *random) {
  (void)random;
  for (uint32_t n = 0; n < machine->node_count; n++) {
    add_tree(load, n, machine->workers_of[n] * setting->tasks_per_worker / 2, setting->task_ns);
  }
}

typedef struct sim_kind {
  const char *name;
  void (*fill)(sim_load *load, const sim_machine *machine, const sim_setting *setting, uint32_t *random);
} sim_kind;

static const sim_kind kinds[] = {
    {"balanced", fill_balanced},
    {"steady, half busy", fill_steady},
    {"all on one node", fill_one_node},
    {"halving from node to node", fill_halving},
    {"one node's are long", fill_long_tasks},
    {"a tree", fill_tree},
    {"a tree on each node", fill_trees},
};
#define KINDS (sizeof kinds / sizeof kinds[0])
#define STEADY 1u

// MARK: Medians

typedef struct sim_summary {
  uint64_t percent;  // finishing time, of the lower bound
  uint64_t waited;   // ns from a task's submission to its end, on average
  uint64_t remote;   // tasks in a thousand
  uint64_t taken[256];
} sim_summary;

static int compare(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a;
  uint64_t y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

static uint64_t median(uint64_t *values) {
  qsort(values, SEEDS, sizeof values[0], compare);
  return values[SEEDS / 2];
}

/// No pool is done before every worker has done its share at home, nor before the last job has come and run.
static uint64_t lower_bound(const sim_machine *machine, const sim_load *load, const sim_outcome *outcome) {
  uint64_t bound = outcome->work / machine->worker_count;
  for (uint32_t i = 0; i < load->arrival_count; i++) {
    uint64_t then = load->arrivals[i].time + load->tasks[load->arrivals[i].first_task].ns;
    if (then > bound) bound = then;
  }
  return bound;
}

static void summarise(sim_summary *summary, const sim_machine *machine, const sim_kind *kind,
                      const sim_setting *setting, sim_policy policy) {
  static sim_outcome outcomes[SEEDS];
  uint64_t waited[SEEDS], percent[SEEDS], remote[SEEDS], taken[SEEDS];
  for (uint32_t seed = 0; seed < SEEDS; seed++) {
    sim_load load = {NULL, 0, 0, NULL, 0, 0};
    uint32_t random = 0x9e3779b9u * (seed + 1);
    kind->fill(&load, machine, setting, &random);
    sim_outcome *outcome = &outcomes[seed];
    *outcome = simulate(machine, &load, policy, setting->percent_on_data, seed + 1);
    waited[seed] = outcome->waited / outcome->run;
    percent[seed] = outcome->finished * 100 / lower_bound(machine, &load, outcome);
    remote[seed] = (uint64_t)outcome->remote * 1000 / outcome->run;
    free(load.tasks);
    free(load.arrivals);
  }
  summary->waited = median(waited);
  summary->percent = median(percent);
  summary->remote = median(remote);
  for (uint32_t away = 0; away < 256; away++) {
    for (uint32_t seed = 0; seed < SEEDS; seed++) taken[seed] = outcomes[seed].taken[away];
    summary->taken[away] = median(taken);
  }
}

// MARK: Tables

typedef unsigned long long whole;

static void print_hundredths(uint64_t hundredths) {
  printf(" %llu.%02llu |", (whole)(hundredths / 100), (whole)(hundredths % 100));
}

static void print_thousandths_as_percent(uint64_t thousandths) {
  printf(" %llu.%llu %% |", (whole)(thousandths / 10), (whole)(thousandths % 10));
}

static void print_taken(const sim_machine *machine, const sim_summary *summary) {
  bool shown[256] = {false};
  const char *before = " ";
  for (uint32_t i = 0; i < machine->node_count; i++) {
    uint32_t away = machine->distance[0][machine->nearest[0][i]];
    if (shown[away]) continue;
    shown[away] = true;
    printf("%s%u: %llu", before, away, (whole)summary->taken[away]);
    before = ", ";
  }
  printf(" |");
}

static sim_machine machines[MAX_NODES];
static uint32_t machine_count;
static sim_summary summaries[MAX_NODES][KINDS][POLICIES];

static void print_row_head(uint32_t m, uint32_t k) { printf("| %u | %s |", machines[m].node_count, kinds[k].name); }

static void print_times_and_remote(void) {
  printf("### Finishing time and remote tasks\n\n");
  printf("| nodes | load | time: local first | random | at once | remote: local first | random | at once |\n");
  printf("|---|---|---|---|---|---|---|---|\n");
  for (uint32_t m = 0; m < machine_count; m++) {
    for (uint32_t k = 0; k < KINDS; k++) {
      const sim_summary *by = summaries[m][k];
      print_row_head(m, k);
      print_hundredths(by[LOCAL_FIRST].percent);
      print_hundredths(by[RANDOM].percent);
      print_hundredths(by[LOCAL_FIRST_AT_ONCE].percent);
      print_thousandths_as_percent(by[LOCAL_FIRST].remote);
      print_thousandths_as_percent(by[RANDOM].remote);
      print_thousandths_as_percent(by[LOCAL_FIRST_AT_ONCE].remote);
      printf("\n");
    }
  }
}

static void print_steals(void) {
  printf("\n### Tasks taken from others, by distance\n\n");
  printf("| nodes | load | local first | random |\n|---|---|---|---|\n");
  for (uint32_t m = 0; m < machine_count; m++) {
    for (uint32_t k = 0; k < KINDS; k++) {
      print_row_head(m, k);
      print_taken(&machines[m], &summaries[m][k][LOCAL_FIRST]);
      print_taken(&machines[m], &summaries[m][k][RANDOM]);
      printf("\n");
    }
  }
}

static void print_waits(void) {
  printf("\n### From submission to end under the steady load, on average, in µs\n\n");
  printf("| nodes | local first | random | at once |\n|---|---|---|---|\n");
  for (uint32_t m = 0; m < machine_count; m++) {
    printf("| %u |", machines[m].node_count);
    print_hundredths(summaries[m][STEADY][LOCAL_FIRST].waited / 10);
    print_hundredths(summaries[m][STEADY][RANDOM].waited / 10);
    print_hundredths(summaries[m][STEADY][LOCAL_FIRST_AT_ONCE].waited / 10);
    printf("\n");
  }
}

static void print_other_settings(void) {
  printf("\n### Finishing time of other tasks\n\n");
  printf("| nodes | load | no data: local first | random | of 1 µs: local first | random |\n");
  printf("|---|---|---|---|---|---|\n");
  for (uint32_t m = 0; m < machine_count; m++) {
    for (uint32_t k = 0; k < KINDS; k++) {
      if (k == STEADY) continue;
      print_row_head(m, k);
      const sim_setting *settings[] = {&without_data, &tiny};
      for (uint32_t i = 0; i < 4; i++) {
        sim_summary summary;
        summarise(&summary, &machines[m], &kinds[k], settings[i / 2], i % 2 == 0 ? LOCAL_FIRST : RANDOM);
        print_hundredths(summary.percent);
      }
      printf("\n");
    }
  }
}

int main(int count, char **folders) {
  if (count < 2 || count > (int)MAX_NODES) give_up("usage: steal-simulation FOLDER...");
  for (; machine_count < (uint32_t)count - 1; machine_count++) {
    sim_machine *machine = &machines[machine_count];
    machine_read(machine, folders[machine_count + 1]);
    for (uint32_t k = 0; k < KINDS; k++) {
      for (uint32_t p = 0; p < POLICIES; p++) {
        summarise(&summaries[machine_count][k][p], machine, &kinds[k], &usual, (sim_policy)p);
      }
    }
  }
  print_times_and_remote();
  print_steals();
  print_waits();
  print_other_settings();
  return 0;
}
