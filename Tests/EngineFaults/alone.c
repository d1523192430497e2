// What a host asks of the system without a pool of processes.
#include "life.h"

#include "../../CShim/CWorkerPool/src/process/host/wp_host_cgroup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 3, HUGE = 16 << 20 };

// MARK: Memory

static void note(const char *what, wp_status status, const wp_error *error) {
  if (status == WP_OK) return;
  life_takes("%s: %s %s", what, wp_status_name(status), error->call == NULL ? "" : error->call);
}

/// Pages that another process has brought into memory.
static void ask_for_nodes_of_others(void) {
  char *memory = (char *)mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t other = fork();
  if (other == 0) {
    memory[PAGE] = 1;
    _exit(0);
  }
  waitpid(other, NULL, 0);
  int nodes[PAGES];
  wp_error error = {0};
  note("nodes", wp_memory_page_nodes(memory, PAGES * PAGE, nodes, &error), &error);
  munmap(memory, PAGES * PAGE);
}

static void describe_machine(const char *folder) {
  wp_topology_source source;
  memset(&source, 0, sizeof source);
  char roots[2][128];
  snprintf(roots[0], sizeof roots[0], "%s/sys", folder);
  snprintf(roots[1], sizeof roots[1], "%s/proc", folder);
  source.sys_root = roots[0];
  source.proc_root = roots[1];
  source.details = true;
  wp_topology *topology = NULL;
  wp_error error = {0};
  wp_status status = wp_topology_create(&source, &topology, &error);
  note("topology", status, &error);
  if (status != WP_OK) return;
  char text[4096];
  wp_topology_describe(topology, text, sizeof text);
  wp_topology_destroy(topology);
}

void life_memory(life *self) {
  (void)self;
  life_phase(SEAM_WORK);
  wp_memory_placement placement = {WP_MEMORY_INTERLEAVED, NULL, 0};
  wp_memory_placement anywhere = {WP_MEMORY_FIRST_TOUCH, NULL, 0};
  void *address = NULL;
  wp_error error = {0};
  wp_status status = wp_memory_create(HUGE, &placement, &address, NULL, &error);
  note("memory", status, &error);
  if (status == WP_OK) {
    wp_expect_writes(address, HUGE);
    note("place", wp_memory_place(address, HUGE, &anywhere, NULL, &error), &error);
    wp_memory_destroy(address, HUGE);
  }
  ask_for_nodes_of_others();
  describe_machine("Tests/TopologyTests/Fixtures/two-sockets");
}

// MARK: Threads

void life_threads(life *self) {
  (void)self;
  life_phase(SEAM_WORK);
  wp_thread_pool_config config;
  memset(&config, 0, sizeof config);
  config.worker_count = 2;
  const int cpu = 0;
  config.affinity.policy = WP_AFFINITY_CPUS;
  config.affinity.cpus = &cpu;
  config.affinity.cpu_count = 1;
  wp_thread_pool *pool = NULL;
  wp_error error = {0};
  wp_status status = wp_thread_pool_create(&config, &pool, &error);
  note("threads", status, &error);
  if (status != WP_OK) return;
  wp_thread_pool_close(pool);
  wp_thread_pool_join(pool);
  wp_thread_pool_release(pool);
}

// MARK: Cgroups

static void put(const char *root, const char *path, const char *content) {
  char full[256];
  snprintf(full, sizeof full, "%s/%s", root, path);
  for (char *slash = strchr(full + strlen(root) + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    mkdir(full, 0755);
    *slash = '/';
  }
  FILE *file = full[strlen(full) - 1] == '/' ? NULL : fopen(full, "we");
  if (file == NULL) return;
  fputs(content, file);
  fclose(file);
}

/// In a tree of plain files: a machine that has to be given the controller, with the group of a dead process, and one of our
/// own name.
void life_groups(life *self) {
  (void)self;
  life_phase(SEAM_WORK);
  char root[] = "/tmp/engine-faults.XXXXXX", own[96], proc_root[64], command[64];
  if (mkdtemp(root) == NULL) exit(75);
  snprintf(own, sizeof own, "cg/s/worker-pool.faults-%d-0-0/", (int)getpid());
  put(root, "proc/self/cgroup", "0::/s/own\n");
  put(root, "proc/self/mountinfo", "41 31 0:38 / /cg rw - cgroup2 cgroup2 rw\n");
  put(root, "cg/s/cgroup.procs", "");
  put(root, "cg/s/own/cgroup.procs", "7\n");
  put(root, "cg/s/cgroup.controllers", "cpu memory\n");
  put(root, "cg/s/cgroup.subtree_control", "cpu\n");
  put(root, "cg/s/worker-pool.faults-999999999-0-0/", "");
  put(root, own, "");
  snprintf(proc_root, sizeof proc_root, "%s/proc", root);
  wp_process_pool_config config;
  memset(&config, 0, sizeof config);
  config.name = "faults";
  config.limits.memory = 1 << 30;
  config.limits.memory_cgroup = WP_CGROUP_REQUIRED;
  wp_memory_cgroups *groups = NULL;
  wp_error error = {0};
  // The limit of a group that is a plain folder cannot be written.
  wp_status status = wp_memory_cgroups_create(proc_root, &config, 1, &groups, &error);
  if (status == WP_OK) life_fails("a group without a limit");
  wp_memory_cgroups_destroy(groups);
  snprintf(command, sizeof command, "rm -rf %s", root);
  if (system(command) != 0) life_fails("the tree is left");
}
