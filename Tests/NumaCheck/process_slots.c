// What is expected comes from others than the engine: a worker's node from getcpu, where a page is from move_pages, both
// asked by the worker itself; which nodes have memory, and how far they are, from /sys.
#include "process_checks.h"

#include "CWorkerPool.h"

#include <dirent.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_NODES = 64, WORKERS = 8, TASKS = 64, PAGES = 8, REPORTED = 2 * PAGES + 2 };

#define REQUIRE(condition, ...)                              \
  do {                                                       \
    if (!(condition)) {                                      \
      printf("%s:%d: %s: ", __FILE__, __LINE__, #condition); \
      printf(__VA_ARGS__);                                   \
      printf("\n");                                          \
      fflush(stdout);                                        \
      _exit(1);                                              \
    }                                                        \
  } while (0)

// MARK: The machine

/// By id, up to the highest node.
static bool has_memory[MOST_NODES];
static int distances[MOST_NODES][MOST_NODES];
static int nodes_with_memory;

static char *read_file(const char *path, char *line, size_t size) {
  FILE *file = fopen(path, "r");
  line[0] = '\0';
  if (file == NULL) return line;
  if (fgets(line, (int)size, file) == NULL) line[0] = '\0';
  fclose(file);
  return line;
}

/// Calls `note` with each number of a list as "0-3,8".
static void each_of(const char *list, void (*note)(int)) {
  while (*list >= '0' && *list <= '9') {
    char *end;
    int first = (int)strtol(list, &end, 10), last = first;
    if (*end == '-') last = (int)strtol(end + 1, &end, 10);
    for (int number = first; number <= last; number++) note(number);
    list = *end == ',' ? end + 1 : end;
  }
}

/// The ids of nodes that are online, in order: those that the rows of distances speak of.
static int online[MOST_NODES];
static int online_count;

static void note_online(int node) {
  if (node < MOST_NODES) online[online_count++] = node;
}

static void note_memory(int node) {
  if (node >= MOST_NODES) return;
  has_memory[node] = true;
  nodes_with_memory++;
}

static void read_machine(void) {
  char line[4096], path[128];
  each_of(read_file("/sys/devices/system/node/online", line, sizeof line), note_online);
  each_of(read_file("/sys/devices/system/node/has_memory", line, sizeof line), note_memory);
  REQUIRE(online_count > 0 && nodes_with_memory > 0, "no nodes in /sys");
  for (int i = 0; i < online_count; i++) {
    snprintf(path, sizeof path, "/sys/devices/system/node/node%d/distance", online[i]);
    char *next = read_file(path, line, sizeof line);
    for (int j = 0; j < online_count; j++) distances[online[i]][online[j]] = (int)strtol(next, &next, 10);
  }
}

/// Whether memory for a worker of `node` is where it should be: there, or on one of the nearest nodes that have any.
static bool is_near(int node, int found) {
  if (found < 0 || found >= MOST_NODES || !has_memory[found]) return false;
  for (int i = 0; i < online_count; i++) {
    if (has_memory[online[i]] && distances[node][online[i]] < distances[node][found]) return false;
  }
  return true;
}

// MARK: In the worker

/// The nodes of these pages, which are mapped: negative errnos for others.
static void nodes_of(const void *address, size_t count, size_t page_size, int *nodes) {
  void *pages[PAGES];
  uintptr_t start = (uintptr_t)address & ~(uintptr_t)(page_size - 1);
  for (size_t i = 0; i < count; i++) {
    pages[i] = (void *)(start + i * page_size);
    (void)*(volatile const char *)pages[i];
    nodes[i] = -EFAULT;
  }
  if (syscall(SYS_move_pages, 0, count, pages, NULL, nodes, 0) != 0) nodes[0] = -errno;
}

/// What a worker reports: its node, then those of its slot of requests, of the argument, of its slot of replies (where the
/// task's small result goes), and of its result's pages.
typedef struct report {
  int node;
  int pages[REPORTED];
} report;

enum { SMALL, LARGE };

static void handle(void *context, const wp_process_request *request, wp_process_reply *reply) {
  (void)context;
  size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
  report own;
  unsigned cpu, node;
  memset(&own, -1, sizeof own);
  syscall(SYS_getcpu, &cpu, &node, NULL);
  own.node = (int)node;
  if (request->function == SMALL) {
    unsigned char *slot = (unsigned char *)wp_process_reply_reserve(reply, sizeof(int) * 3);
    nodes_of(request->bytes, 1, page_size, &own.pages[0]);
    memset(slot, 0, sizeof(int) * 3);
    nodes_of(slot, 1, page_size, &own.pages[1]);
    memcpy(slot, &own, sizeof(int) * 3);
    return;
  }
  unsigned char *result = (unsigned char *)wp_process_reply_reserve(reply, PAGES * page_size);
  memset(result, 0xA5, PAGES * page_size);
  nodes_of(request->bytes, PAGES, page_size, &own.pages[2]);
  nodes_of(result, PAGES, page_size, &own.pages[2 + PAGES]);
  memcpy(result, &own, sizeof own);
}

// MARK: In the host

static struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  size_t ended;
  report reports[TASKS];
  int notices[8];
} seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void completed(void *context, void *token, const wp_task_outcome *outcome) {
  (void)context;
  REQUIRE(outcome->end == WP_TASK_REPLIED, "task %zu: end %d", (size_t)(uintptr_t)token, (int)outcome->end);
  pthread_mutex_lock(&seen.lock);
  report *own = &seen.reports[(uintptr_t)token - 1];
  memset(own, -1, sizeof *own);
  memcpy(own, outcome->bytes, outcome->length < sizeof *own ? outcome->length : sizeof *own);
  seen.ended++;
  pthread_cond_signal(&seen.changed);
  pthread_mutex_unlock(&seen.lock);
}

static void take_notice(void *context, const wp_notice *notice) {
  (void)context;
  pthread_mutex_lock(&seen.lock);
  if (notice->kind < 8) seen.notices[notice->kind]++;
  pthread_mutex_unlock(&seen.lock);
}

/// Runs all threads of this process on the first CPU of this mask, and returns its node.
static int run_on_first(const cpu_set_t *mask) {
  cpu_set_t first;
  CPU_ZERO(&first);
  for (size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&first) == 0; cpu++) {
    if (CPU_ISSET(cpu, mask)) CPU_SET(cpu, &first);
  }
  DIR *threads = opendir("/proc/self/task");
  REQUIRE(threads != NULL, "/proc/self/task: %s", strerror(errno));
  for (struct dirent *entry = readdir(threads); entry != NULL; entry = readdir(threads)) {
    int thread = atoi(entry->d_name);
    if (thread == 0) continue;
    REQUIRE(sched_setaffinity(thread, sizeof first, &first) == 0, "sched_setaffinity: %s", strerror(errno));
  }
  closedir(threads);
  unsigned cpu, node;
  syscall(SYS_getcpu, &cpu, &node, NULL);
  return (int)node;
}

/// Has a pool run tasks whose arguments this thread writes, on a CPU of the first node, and fills in the reports: those
/// with even numbers are small. Returns this thread's node.
static int run_tasks(const wp_affinity_choice *choice) {
  static unsigned char argument[1 << 20];
  size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
  cpu_set_t all;
  REQUIRE(sched_getaffinity(0, sizeof all, &all) == 0, "sched_getaffinity: %s", strerror(errno));
  wp_process_pool_config config;
  memset(&config, 0, sizeof config);
  config.worker_count = WORKERS;
  config.start_method = WP_START_FORK;
  config.prefetch = 2;
  config.max_payload = PAGES * page_size;
  config.handler = handle;
  config.hooks.completed = completed;
  config.affinity = *choice;
  wp_process_pool *pool = NULL;
  wp_error error;
  wp_status status = wp_process_pool_create(&config, &pool, &error);
  REQUIRE(status == WP_OK, "policy %d: %s, %s", (int)choice->policy, wp_status_name(status), error.call);
  int host = run_on_first(&all);
  seen.ended = 0;
  for (size_t i = 0; i < TASKS; i++) {
    wp_process_submission submission;
    memset(&submission, 0, sizeof submission);
    submission.function = i % 2 == 0 ? SMALL : LARGE;
    submission.bytes = argument;
    submission.length = i % 2 == 0 ? 16 : PAGES * page_size;
    submission.token = (void *)(uintptr_t)(i + 1);
    REQUIRE(wp_process_pool_submit(pool, &submission, NULL) == WP_OK, "submit");
  }
  pthread_mutex_lock(&seen.lock);
  while (seen.ended < TASKS) pthread_cond_wait(&seen.changed, &seen.lock);
  pthread_mutex_unlock(&seen.lock);
  wp_process_pool_close(pool);
  REQUIRE(wp_process_pool_join(pool) == WP_OK, "join");
  wp_process_pool_release(pool);
  REQUIRE(sched_setaffinity(0, sizeof all, &all) == 0, "sched_setaffinity: %s", strerror(errno));
  return host;
}

/// Checks all pages that were reported, and returns how many nodes had workers.
static int check_pages(const char *policy) {
  bool with_workers[MOST_NODES] = {false};
  int count = 0;
  for (size_t i = 0; i < TASKS; i++) {
    const report *own = &seen.reports[i];
    REQUIRE(own->node >= 0 && own->node < MOST_NODES, "%s: task %zu ran on node %d", policy, i, own->node);
    count += !with_workers[own->node];
    with_workers[own->node] = true;
    for (size_t page = i % 2 == 0 ? 0 : 2; page < (i % 2 == 0 ? 2u : REPORTED); page++) {
      REQUIRE(is_near(own->node, own->pages[page]), "%s: page %zu of task %zu, of a worker on node %d, is on %d", policy,
              page, i, own->node, own->pages[page]);
    }
  }
  return count;
}

// MARK: Where memory may not be placed

static void deny_mbind(void) {
  struct sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mbind, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog filter = {sizeof program / sizeof program[0], program};
  bool denied = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
  REQUIRE(denied, "seccomp: %s", strerror(errno));
}

static void check_denied(void) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    deny_mbind();
    wp_affinity_choice choice = {.policy = WP_AFFINITY_SPREAD};
    run_tasks(&choice);
    run_tasks(&choice);
    int notices = online_count > 1;
    REQUIRE(seen.notices[WP_NOTICE_MEMORY_NOT_PLACED] == notices, "%d notices", seen.notices[WP_NOTICE_MEMORY_NOT_PLACED]);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0, "without mbind: %x", status);
}

void check_process_slots(void) {
  read_machine();
  wp_set_notice_handler(take_notice, NULL);
  wp_topology *topology = NULL;
  REQUIRE(wp_topology_create(NULL, &topology, NULL) == WP_OK, "topology");
  int with_cpus = 0;
  for (size_t i = 0; i < wp_topology_node_count(topology); i++) {
    if (wp_topology_node_cpu_count(topology, i) == 0) continue;
    with_cpus++;
    wp_affinity_choice choice = {.policy = WP_AFFINITY_NODE, .node = wp_topology_node_id(topology, i)};
    run_tasks(&choice);
    REQUIRE(check_pages("node") == 1 && seen.reports[0].node == choice.node, "node %d: ran on %d", choice.node,
            seen.reports[0].node);
  }
  wp_topology_destroy(topology);
  wp_affinity_choice spread = {.policy = WP_AFFINITY_SPREAD};
  run_tasks(&spread);
  int expected = with_cpus < WORKERS ? with_cpus : WORKERS;
  int found = check_pages("spread");
  REQUIRE(found <= expected && (found > 1 || expected == 1), "spread: workers on %d nodes of %d", found, expected);
  wp_affinity_choice compact = {.policy = WP_AFFINITY_COMPACT};
  run_tasks(&compact);
  check_pages("compact");
  // Without a placement nothing is placed: what the host writes first lies near the host.
  wp_affinity_choice none = {.policy = WP_AFFINITY_NONE};
  int host = run_tasks(&none);
  for (size_t i = 1; i < TASKS; i += 2) {
    for (size_t page = 2; page < 2 + PAGES; page++) {
      int node = seen.reports[i].pages[page];
      REQUIRE(is_near(host, node), "page %zu of task %zu, written on node %d, is on %d", page, i, host, node);
    }
  }
  for (int kind = 0; kind < 8; kind++) REQUIRE(seen.notices[kind] == 0, "a notice of kind %d", kind);
  check_denied();
}
