// Scenarios about where workers run: what each policy asks of the kernel, as the workers' own masks show it, and what
// becomes of a place that the system refuses or takes away.
#include "check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MANY_WORKERS = 5 };

static cpu_set_t mask_of(pid_t process) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  CHECK(sched_getaffinity(process, sizeof mask, &mask) == 0, "mask of %d: %s", (int)process, strerror(errno));
  return mask;
}

/// The CPU that a mask names, -1 when it names more than one.
static int only_cpu(const cpu_set_t *mask) {
  for (int cpu = 0; CPU_COUNT(mask) == 1 && cpu < CPU_SETSIZE; cpu++) {
    if (CPU_ISSET((size_t)cpu, mask)) return cpu;
  }
  return -1;
}

/// The first two CPUs that this process may use, or one of them twice.
static void two_cpus(int cpus[2]) {
  cpu_set_t allowed = mask_of(0);
  cpus[0] = cpus[1] = -1;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (CPU_ISSET((size_t)cpu, &allowed) && cpus[1] < 0) cpus[cpus[0] >= 0] = cpu;
  }
  if (cpus[1] < 0) cpus[1] = cpus[0];
}

static void worker_pids(test_lab *lab, int32_t *pids, size_t count) {
  size_t found = wp_process_pool_worker_pids(lab->pool, pids, count);
  CHECK(found == count, "%zu workers, not %zu", found, count);
}

/// Waits until another process has taken the worker's place, and returns it.
static int32_t await_replaced(test_lab *lab, size_t index, size_t count, int32_t former) {
  int32_t pids[MANY_WORKERS];
  for (;;) {
    if (wp_process_pool_worker_pids(lab->pool, pids, MANY_WORKERS) == count && pids[index] != former) return pids[index];
    sched_yield();
  }
}

// MARK: Policies

static void check_place(const wp_topology *topology, const wp_affinity_choice *choice, wp_start_method method) {
  test_lab lab;
  wp_process_pool_config config = lab_config(&lab, MANY_WORKERS, method);
  config.affinity = *choice;
  wp_placement placements[MANY_WORKERS];
  CHECK(wp_topology_place(topology, choice, MANY_WORKERS, placements, NULL, NULL) == WP_OK, "policy %d",
        (int)choice->policy);
  lab_open_with(&lab, &config, 1);
  int32_t pids[MANY_WORKERS];
  worker_pids(&lab, pids, MANY_WORKERS);
  cpu_set_t host = mask_of(0);
  for (size_t i = 0; i < MANY_WORKERS; i++) {
    cpu_set_t mask = mask_of(pids[i]);
    bool right = placements[i].cpu < 0 ? CPU_EQUAL(&mask, &host) : only_cpu(&mask) == placements[i].cpu;
    CHECK(right, "policy %d: worker %zu is on CPU %d, not %d", (int)choice->policy, i, only_cpu(&mask),
          placements[i].cpu);
  }
  // Who takes a worker's place takes its CPU.
  kill(pids[1], SIGKILL);
  int32_t next = await_replaced(&lab, 1, MANY_WORKERS, pids[1]);
  lab_submit(&lab, 0, DO_ECHO, "x", 1);
  lab_await(&lab, 1);
  cpu_set_t mask = mask_of(next);
  // It has its process id a moment before it has pinned itself.
  while (placements[1].cpu >= 0 && only_cpu(&mask) < 0) {
    sched_yield();
    mask = mask_of(next);
  }
  CHECK(only_cpu(&mask) == placements[1].cpu || CPU_EQUAL(&mask, &host), "the next is on CPU %d", only_cpu(&mask));
  lab_close(&lab);
}

/// As many workers as there are cores are on as many cores, whatever the policy.
static void check_cores(const wp_topology *topology, wp_affinity policy, wp_start_method method) {
  test_lab lab;
  uint32_t cores = 0;
  size_t count = wp_topology_cpu_count(topology);
  for (size_t i = 0; i < count; i++) cores += !wp_topology_cpu_is_sibling(topology, i);
  // Compact fills a node with siblings before it goes on to the next.
  if (policy == WP_AFFINITY_COMPACT && wp_topology_node_count(topology) > 1) return;
  if (cores > MANY_WORKERS) cores = MANY_WORKERS;
  wp_process_pool_config config = lab_config(&lab, cores, method);
  config.affinity.policy = policy;
  lab_open_with(&lab, &config, 1);
  int32_t pids[MANY_WORKERS];
  worker_pids(&lab, pids, cores);
  for (size_t i = 0; i < cores; i++) {
    cpu_set_t mask = mask_of(pids[i]);
    int cpu = only_cpu(&mask);
    for (size_t at = 0; at < count; at++) {
      bool sibling = wp_topology_cpu_id(topology, at) == cpu && wp_topology_cpu_is_sibling(topology, at);
      CHECK(!sibling, "policy %d: worker %zu is on CPU %d, a sibling, while there are cores", (int)policy, i, cpu);
    }
  }
  lab_close(&lab);
}

static void check_policies(wp_start_method method) {
  wp_topology *topology = NULL;
  CHECK(wp_topology_create(NULL, &topology, NULL) == WP_OK, "topology");
  int cpus[2];
  two_cpus(cpus);
  const int listed[3] = {cpus[1], cpus[0], cpus[1]};
  wp_affinity_choice choice;
  memset(&choice, 0, sizeof choice);
  for (int policy = WP_AFFINITY_NONE; policy <= WP_AFFINITY_NODE; policy++) {
    choice.policy = (wp_affinity)policy;
    choice.cpus = policy == WP_AFFINITY_CPUS ? listed : NULL;
    choice.cpu_count = policy == WP_AFFINITY_CPUS ? 3 : 0;
    choice.node = wp_topology_node_id(topology, wp_topology_cpu_node(topology, 0));
    check_place(topology, &choice, method);
  }
  check_cores(topology, WP_AFFINITY_COMPACT, method);
  check_cores(topology, WP_AFFINITY_SPREAD, method);
  wp_topology_destroy(topology);
}

void places(wp_start_method method) {
  // Several pools, of which ThreadSanitizer would let but one be forked.
  check_policies(UNDER_TSAN ? WP_START_REEXEC : method);
}

static void check_refused(const wp_affinity_choice *choice, const char *argument, int refused, wp_start_method method) {
  test_lab lab;
  wp_process_pool *pool = NULL;
  wp_error error;
  leftovers before = count_leftovers();
  wp_process_pool_config config = lab_config(&lab, 2, method);
  config.affinity = *choice;
  CHECK(wp_process_pool_create(&config, &pool, &error) == WP_INVALID_ARGUMENT && pool == NULL, "%s %d", argument,
        refused);
  CHECK(error.call != NULL && strcmp(error.call, argument) == 0, "%s", error.call);
  CHECK(error.refused == refused, "%d, not %d", error.refused, refused);
  check_leftovers(before, "after a place that is not granted");
}

void places_refused(wp_start_method method) {
  cpu_set_t all = mask_of(0);
  int cpus[2];
  two_cpus(cpus);
  wp_affinity_choice choice;
  memset(&choice, 0, sizeof choice);
  choice.policy = WP_AFFINITY_CPUS;
  choice.cpus = cpus;
  choice.cpu_count = 2;
  const int absent[] = {-1, 8191, 1 << 20};
  for (size_t i = 0; i < 3; i++) {
    cpus[1] = absent[i];
    check_refused(&choice, "cpus", absent[i], method);
  }
  // There, and not in the mask.
  two_cpus(cpus);
  if (cpus[0] != cpus[1]) {
    cpu_set_t first;
    CPU_ZERO(&first);
    CPU_SET((size_t)cpus[0], &first);
    CHECK(sched_setaffinity(0, sizeof first, &first) == 0, "sched_setaffinity: %s", strerror(errno));
    check_refused(&choice, "cpus", cpus[1], method);
    CHECK(sched_setaffinity(0, sizeof all, &all) == 0, "sched_setaffinity: %s", strerror(errno));
  }
  memset(&choice, 0, sizeof choice);
  choice.policy = WP_AFFINITY_CPUS;
  check_refused(&choice, "cpus", 0, method);
  choice.policy = WP_AFFINITY_NODE;
  const int nodes[] = {-1, 1000, 1 << 20};
  for (size_t i = 0; i < 3; i++) {
    choice.node = nodes[i];
    check_refused(&choice, "node", nodes[i], method);
  }
}

// MARK: What is given notice of

/// By kind. Written by pools' threads.
static struct {
  pthread_mutex_t lock;
  int times[4];
  int number;
  char message[256];
} told = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void take_notice(void *context, const wp_notice *notice) {
  (void)context;
  pthread_mutex_lock(&told.lock);
  told.times[notice->kind]++;
  told.number = notice->system_errno;
  snprintf(told.message, sizeof told.message, "%s", notice->message);
  pthread_mutex_unlock(&told.lock);
}

/// That this kind was said once, and nothing else.
static void check_told(int kind, int number, const char *part) {
  pthread_mutex_lock(&told.lock);
  for (int i = 0; i < 4; i++) CHECK(told.times[i] == (i == kind), "kind %d was said %d times", i, told.times[i]);
  if (kind >= 0) {
    CHECK(told.number == number, "errno %d, not %d", told.number, number);
    CHECK(strstr(told.message, part) != NULL, "%s", told.message);
  }
  pthread_mutex_unlock(&told.lock);
}

// MARK: A system that refuses

/// What the notice has to be, -1 for none, and its `errno`.
static struct {
  int kind;
  int number;
} expected;

/// A pinned pool whose workers cannot be: they float, and so do those that take their places.
static void use_floating(wp_start_method method) {
  wp_set_notice_handler(take_notice, NULL);
  test_lab lab;
  wp_process_pool_config config = lab_config(&lab, 2, method);
  config.affinity.policy = WP_AFFINITY_COMPACT;
  lab_open_with(&lab, &config, 20);
  check_told(expected.kind, expected.number, "floats");
  int32_t pids[2];
  worker_pids(&lab, pids, 2);
  cpu_set_t host = mask_of(0);
  for (int i = 0; i < 2; i++) {
    cpu_set_t mask = mask_of(pids[i]);
    CHECK(CPU_EQUAL(&mask, &host), "worker %d does not float", i);
  }
  for (size_t task = 0; task < 20; task++) lab_submit(&lab, task, task % 5 == 2 ? DO_TRAP : DO_ECHO, "x", 1);
  lab_await(&lab, 20);
  for (size_t task = 0; task < 20; task++) {
    wp_task_end end = lab.endings[task].outcome.end;
    CHECK(end == (task % 5 == 2 ? WP_TASK_WORKER_DIED : WP_TASK_REPLIED), "task %zu: end %d", task, (int)end);
  }
  lab_close(&lab);
  check_told(expected.kind, expected.number, "floats");
}

static bool deny_pinning(void) { return deny((const int[]){SYS_sched_setaffinity}, 1, (uint32_t)expected.number); }

static bool deny_memory_placement(void) {
  return deny((const int[]){SYS_mbind, SYS_set_mempolicy, SYS_move_pages}, 3, EPERM);
}

/// Memory that cannot be placed is as good as before; where there is one node, nobody tries.
static void use_unplaced(wp_start_method method) {
  wp_set_notice_handler(take_notice, NULL);
  wp_topology *topology = NULL;
  CHECK(wp_topology_create(NULL, &topology, NULL) == WP_OK, "topology");
  bool several = wp_topology_node_count(topology) > 1;
  wp_topology_destroy(topology);
  test_lab lab;
  wp_process_pool_config config = lab_config(&lab, 2, method);
  config.affinity.policy = WP_AFFINITY_SPREAD;
  lab_open_with(&lab, &config, 1);
  check_told(several ? WP_NOTICE_MEMORY_NOT_PLACED : -1, EPERM, "slots");
  lab_submit(&lab, 0, DO_ECHO, "x", 1);
  lab_await(&lab, 1);
  CHECK(lab.endings[0].outcome.end == WP_TASK_REPLIED, "end %d", (int)lab.endings[0].outcome.end);
  lab_close(&lab);
}

void floats(wp_start_method method) {
  if (UNDER_TSAN) method = WP_START_REEXEC;
  expected.kind = WP_NOTICE_AFFINITY_NOT_SET;
  expected.number = EPERM;
  CHECK(run_confined("pinning denied", deny_pinning, use_floating, method), "seccomp is there");
  expected.number = ENOSYS;
  CHECK(run_confined("no pinning", deny_pinning, use_floating, method), "seccomp is there");
  expected.kind = WP_NOTICE_CPU_GONE;
  expected.number = EINVAL;  // what the kernel says of a CPU that is not there, or outside of the cpuset
  CHECK(run_confined("CPUs gone", deny_pinning, use_floating, method), "seccomp is there");
  CHECK(run_confined("placement of memory denied", deny_memory_placement, use_unplaced, method), "seccomp is there");
}

// MARK: A CPU that is taken away

static void set_mask_of_threads(const cpu_set_t *mask) {
  DIR *tasks = opendir("/proc/self/task");
  for (struct dirent *entry = readdir(tasks); entry != NULL; entry = readdir(tasks)) {
    int thread = atoi(entry->d_name);
    if (thread > 0) CHECK(sched_setaffinity(thread, sizeof *mask, mask) == 0, "thread %d: %s", thread, strerror(errno));
  }
  closedir(tasks);
}

/// A pool with a worker on each of two CPUs, and a task that each of them runs.
static void open_pinned(test_lab *lab, int cpus[2], int32_t pids[2], wp_start_method method) {
  wp_process_pool_config config = lab_config(lab, 2, method);
  config.affinity.policy = WP_AFFINITY_CPUS;
  config.affinity.cpus = cpus;
  config.affinity.cpu_count = 2;
  lab_open_with(lab, &config, 10);
  worker_pids(lab, pids, 2);
}

/// Both workers work on; who takes the second's place floats, who takes the first's is pinned.
static void check_after(test_lab *lab, const int cpus[2], const int32_t pids[2], const cpu_set_t *floating, int number) {
  for (size_t task = 0; task < 8; task++) lab_submit(lab, task, DO_ECHO, "x", 1);
  lab_await(lab, 8);
  check_told(-1, 0, "");
  kill(pids[0], SIGKILL);
  int32_t first = await_replaced(lab, 0, 2, pids[0]);
  cpu_set_t mask = mask_of(first);
  for (; only_cpu(&mask) != cpus[0]; mask = mask_of(first)) sched_yield();
  kill(pids[1], SIGKILL);
  int32_t second = await_replaced(lab, 1, 2, pids[1]);
  for (;;) {  // until it has started, and that was said
    pthread_mutex_lock(&told.lock);
    int times = told.times[WP_NOTICE_CPU_GONE];
    pthread_mutex_unlock(&told.lock);
    if (times > 0) break;
    sched_yield();
  }
  check_told(WP_NOTICE_CPU_GONE, number, "is gone or not allowed any more");
  mask = mask_of(second);
  CHECK(CPU_EQUAL(&mask, floating), "it has %d CPUs, not %d", CPU_COUNT(&mask), CPU_COUNT(floating));
  for (size_t task = 8; task < 10; task++) lab_submit(lab, task, DO_ECHO, "x", 1);
  lab_await(lab, 10);
  lab_close(lab);
}

void cpu_taken(wp_start_method method) {
  int cpus[2];
  int32_t pids[2];
  two_cpus(cpus);
  if (cpus[0] == cpus[1]) {
    printf("one CPU, which cannot be taken away\n");
    return;
  }
  wp_set_notice_handler(take_notice, NULL);
  cpu_set_t all = mask_of(0), first;
  CPU_ZERO(&first);
  CPU_SET((size_t)cpus[0], &first);
  test_lab lab;
  open_pinned(&lab, cpus, pids, method);
  set_mask_of_threads(&first);
  // The template, which is the parent of what floats, has the mask that we had.
  check_after(&lab, cpus, pids, &all, 0);
}

// MARK: A cpuset that shrinks

static char cpuset[128];

static bool write_cpuset(const char *file, const char *text) {
  char path[192];
  snprintf(path, sizeof path, "%s/%s", cpuset, file);
  int target = open(path, O_WRONLY | O_CLOEXEC);
  if (target < 0) return false;
  bool written = write(target, text, strlen(text)) == (ssize_t)strlen(text);
  close(target);
  return written;
}

static bool enter_cpuset(void) {
  int cpus[2];
  char both[32];
  two_cpus(cpus);
  snprintf(both, sizeof both, "%d,%d", cpus[0], cpus[1]);
  return cpus[0] != cpus[1] && write_cpuset("cpuset.cpus", both) && write_cpuset("cpuset.mems", "0") &&
         write_cpuset("cgroup.procs", "0");
}

static void use_shrinking(wp_start_method method) {
  int cpus[2];
  int32_t pids[2];
  char one[16];
  two_cpus(cpus);
  wp_set_notice_handler(take_notice, NULL);
  cpu_set_t first;
  CPU_ZERO(&first);
  CPU_SET((size_t)cpus[0], &first);
  test_lab lab;
  open_pinned(&lab, cpus, pids, method);
  snprintf(one, sizeof one, "%d", cpus[0]);
  CHECK(write_cpuset("cpuset.cpus", one), "%s: %s", cpuset, strerror(errno));
  check_after(&lab, cpus, pids, &first, 0);
}

void cpuset_shrinks(wp_start_method method) {
  if (UNDER_TSAN) method = WP_START_REEXEC;
  snprintf(cpuset, sizeof cpuset, "/sys/fs/cgroup/cpuset/process-engine-check-%d", (int)getpid());
  if (mkdir(cpuset, 0755) != 0) {
    printf("a cpuset: not granted by this system\n");
    return;
  }
  run_confined("a cpuset", enter_cpuset, use_shrinking, method);
  // The last process may have left it a moment after it was seen to end.
  while (rmdir(cpuset) != 0 && errno == EBUSY) sched_yield();
}
