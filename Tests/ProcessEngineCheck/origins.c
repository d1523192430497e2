// Scenarios about what re-executed templates start from: what there was when the pool was made, and a host that lives.
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MARKER "WP_TEMPLATE_CONTROL"
#define VARIABLE "CHECK_ORIGIN"
/// A file that a program which should never have been one writes a byte to.
#define STRAYS "CHECK_STRAYS"

// MARK: What a worker sees

enum { TELL_VARIABLE, TELL_DIRECTORY, TELL_UMASK, TELL_QUEUE_LIMIT, TELL_FILE_LIMIT, TELL_NICENESS, TELL_CPUS, TELLS };
static const char *const names[TELLS] = {"environment", "directory", "umask",     "RLIMIT_MSGQUEUE",
                                         "RLIMIT_NOFILE", "nice value", "CPUs"};

static uint64_t limit_of(int resource) {
  struct rlimit limit = {0, 0};
  getrlimit((__rlimit_resource_t)resource, &limit);
  return (uint64_t)limit.rlim_cur;
}

static uint64_t tell(uint64_t what) {
  struct stat directory;
  cpu_set_t cpus;
  const char *variable = getenv(VARIABLE);
  switch (what) {
  case TELL_VARIABLE: return variable == NULL ? 0 : (uint64_t)strtoull(variable, NULL, 10);
  case TELL_DIRECTORY: return stat(".", &directory) == 0 ? (uint64_t)directory.st_ino : 0;
  case TELL_UMASK: {
    mode_t mask = umask(0);
    umask(mask);
    return mask;
  }
  case TELL_QUEUE_LIMIT: return limit_of(RLIMIT_MSGQUEUE);
  case TELL_FILE_LIMIT: return limit_of(RLIMIT_NOFILE);
  case TELL_NICENESS: return (uint64_t)(getpriority(PRIO_PROCESS, 0) + 20);
  case TELL_CPUS: return sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? (uint64_t)CPU_COUNT(&cpus) : 0;
  default: return UINT64_MAX;
  }
}

void tell_origin(uint64_t what, wp_process_reply *reply) {
  uint64_t value = tell(what);
  void *target = wp_process_reply_reserve(reply, sizeof value);
  if (target != NULL) memcpy(target, &value, sizeof value);
}

static void lower_limit(int resource, rlim_t value) {
  struct rlimit limit;
  getrlimit((__rlimit_resource_t)resource, &limit);
  limit.rlim_cur = value;
  CHECK(setrlimit((__rlimit_resource_t)resource, &limit) == 0, "setrlimit: %s", strerror(errno));
}

static void use_one_cpu(void) {
  cpu_set_t cpus, one;
  CPU_ZERO(&one);
  sched_getaffinity(0, sizeof cpus, &cpus);
  for (size_t cpu = 0; CPU_COUNT(&one) == 0; cpu++) {
    if (CPU_ISSET(cpu, &cpus)) CPU_SET(cpu, &one);
  }
  sched_setaffinity(0, sizeof one, &one);
}

/// For all threads, as `taskset -a` and `renice` for all of them do.
static void change_threads(const cpu_set_t *cpus, int niceness) {
  for (pid_t thread = getpid(); thread < getpid() + 64; thread++) {
    if (syscall(SYS_tgkill, getpid(), thread, 0) != 0) continue;
    sched_setaffinity(thread, sizeof *cpus, cpus);
    setpriority(PRIO_PROCESS, (id_t)thread, niceness);
  }
}

static void kill_template(test_lab *lab) {
  pid_t template_process = wp_process_pool_template_pid(lab->pool);
  CHECK(kill(template_process, SIGKILL) == 0, "kill: %s", strerror(errno));
  pid_t now;
  while ((now = wp_process_pool_template_pid(lab->pool)) == template_process || now == 0) sched_yield();
}

static void check_origin(test_lab *lab, size_t first, const uint64_t expected[TELLS], const char *when) {
  for (uint64_t i = 0; i < TELLS; i++) {
    lab_submit(lab, first + i, DO_TELL_ORIGIN, &i, sizeof i);
    ending end = lab_await_task(lab, first + i);
    uint64_t told;
    memcpy(&told, end.head, sizeof told);
    CHECK(end.outcome.end == WP_TASK_REPLIED && told == expected[i], "%s, %s: %" PRIu64 " and not %" PRIu64, names[i],
          when, told, expected[i]);
  }
}

static void keep_origin(wp_start_method method) {
  test_lab lab;
  cpu_set_t cpus;
  char folder[] = "/tmp/process-engine-check.XXXXXX";
  uint64_t expected[TELLS];
  sched_getaffinity(0, sizeof cpus, &cpus);
  CHECK(mkdtemp(folder) != NULL && chdir(folder) == 0, "%s: %s", folder, strerror(errno));
  setenv(VARIABLE, "17", 1);
  setenv(MARKER, "of another time", 1);
  umask(027);
  lower_limit(RLIMIT_MSGQUEUE, 4096);
  lower_limit(RLIMIT_NOFILE, 500);
  setpriority(PRIO_PROCESS, 0, 3);
  use_one_cpu();
  for (uint64_t i = 0; i < TELLS; i++) expected[i] = tell(i);
  lab_open(&lab, 1, method, 2 * TELLS);
  setenv(VARIABLE, "18", 1);
  CHECK(rmdir(folder) == 0 && chdir("/") == 0, "chdir: %s", strerror(errno));
  umask(0);
  lower_limit(RLIMIT_MSGQUEUE, 8192);
  lower_limit(RLIMIT_NOFILE, 600);
  change_threads(&cpus, geteuid() == 0 ? 5 : 3);
  check_origin(&lab, 0, expected, "of the first template");
  if (method == WP_START_REEXEC) {
    kill_template(&lab);
    check_origin(&lab, TELLS, expected, "of the next template");
  }
  lab_close(&lab);
}

static bool as_it_is(void) { return true; }

/// As the host reads its environment for the next template, it must not be the one that others change.
static void *change_environment(void *argument) {
  atomic_bool *stops = (atomic_bool *)argument;
  char name[32];
  for (unsigned i = 0; !atomic_load(stops); i++) {
    snprintf(name, sizeof name, "CHECK_%u", i % 5000);
    setenv(name, "a value that is longer than the one before it", 1);
    if (i % 3 == 0) unsetenv(name);
  }
  return NULL;
}

static void keep_environment(wp_start_method method) {
  test_lab lab;
  atomic_bool stops = false;
  pthread_t thread;
  enum { TIMES = 20 };
  lab_open(&lab, 1, method, TIMES);
  CHECK(pthread_create(&thread, NULL, change_environment, &stops) == 0, "%s", "pthread_create");
  for (size_t i = 0; i < TIMES; i++) {
    kill_template(&lab);
    lab_submit(&lab, i, DO_ECHO, NULL, 0);
    wp_task_end end = lab_await_task(&lab, i).outcome.end;
    CHECK(end == WP_TASK_REPLIED, "beside a thread that changes the environment: end %d", (int)end);
    if (end != WP_TASK_REPLIED) break;
  }
  atomic_store(&stops, true);
  pthread_join(thread, NULL);
  lab_close(&lab);
}

void origins(wp_start_method method) {
  if (UNDER_TSAN) method = WP_START_REEXEC;
  run_confined("an origin", as_it_is, keep_origin, method);
  if (method == WP_START_REEXEC) run_confined("an environment that changes", as_it_is, keep_environment, method);
}

// MARK: Descriptors

/// The furthest that this process may open, and one that is near.
static int open_ones[] = {40, 70000};

/// With a descriptor that is further up than any that this process may still open.
static bool deny_close_range_and_open_far(void) {
  struct rlimit limit, less = {300, 300};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_max <= (rlim_t)open_ones[1]) open_ones[1] = (int)limit.rlim_max - 1;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  for (size_t i = 0; i < 2; i++) CHECK(dup2(STDOUT_FILENO, open_ones[i]) == open_ones[i], "dup2: %s", strerror(errno));
  CHECK(setrlimit(RLIMIT_NOFILE, &less) == 0, "setrlimit: %s", strerror(errno));
  return deny((const int[]){SYS_close_range}, 1, EPERM);
}

static void inherit_nothing(wp_start_method method) {
  test_lab lab;
  lab_open(&lab, 1, method, 2);
  for (size_t i = 0; i < 2; i++) {
    long call[7] = {SYS_write, open_ones[i], 0, 0};  // its number may be held, by what nobody can write to
    lab_submit(&lab, i, DO_SYSTEM_CALL, call, sizeof call);
    ending end = lab_await_task(&lab, i);
    int64_t result;
    memcpy(&result, end.head, sizeof result);
    CHECK(result == -EBADF, "descriptor %d in a worker: %" PRId64, open_ones[i], result);
  }
  lab_close(&lab);
}

void far_descriptors(wp_start_method method) {
  if (UNDER_TSAN) method = WP_START_REEXEC;
  run_confined("close_range denied", deny_close_range_and_open_far, inherit_nothing, method);
}

// MARK: Markers

/// How a process that was started with a marker ends.
enum { REACHED_MAIN = 42, LOST_ITS_HOST = 114 };

typedef struct marker_case {
  const char *name;
  bool known, has_socket, has_host, host_is_gone;
  int status;
  /// What it writes to standard error.
  const char *says;
} marker_case;

/// Becomes this program, with a marker. Its `main` sees by its arguments that it was reached.
static void become_marked(const marker_case *given, int errors) {
  int ends[2];
  char value[128];
  struct stat status;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0 || fstat(ends[1], &status) != 0) _exit(1);
  int32_t host = given->has_host ? getppid() : getpid();
  snprintf(value, sizeof value, "swift-worker-pool/%s %" PRId32 " %" PRIu64, given->known ? "2" : "0", host,
           (uint64_t)status.st_ino);
  setenv(MARKER, value, 1);
  dup2(errors, STDERR_FILENO);
  int other = fcntl(ends[0], F_DUPFD, 20), own = fcntl(ends[1], F_DUPFD, 20);
  for (int i = 3; i < 20; i++) close(i);
  if (given->has_socket) dup2(own, 3);
  if (given->host_is_gone) close(other);
  close(own);
  execl("/proc/self/exe", "process-engine-check", "markers", "reached", (char *)NULL);
  _exit(1);
}

static void start_marked(const marker_case *given) {
  int errors[2];
  char text[512] = "";
  CHECK(pipe(errors) == 0, "pipe: %s", strerror(errno));
  pid_t child = fork();
  if (child == 0) become_marked(given, errors[1]);
  close(errors[1]);
  int status = 0;
  waitpid(child, &status, 0);
  ssize_t length = read(errors[0], text, sizeof text - 1);
  close(errors[0]);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == given->status, "%s: wait status %x", given->name, status);
  bool said = given->says == NULL ? length == 0 : strstr(text, given->says) != NULL;
  CHECK(said, "%s: said '%s'", given->name, text);
}

void markers(wp_start_method method) {
  static const marker_case cases[] = {
      {"a variable that was inherited", true, false, false, true, REACHED_MAIN, NULL},
      {"another version", false, true, true, false, REACHED_MAIN, NULL},
      {"a host that has ended", true, true, false, true, LOST_ITS_HOST, NULL},
      {"a child of the template", true, true, false, false, LOST_ITS_HOST, "its parent is another process"},
      {"a socket that was closed", true, false, true, true, LOST_ITS_HOST, "its socket is gone"},
      {"a host that gave up", true, true, true, true, 0, NULL},
  };
  if (method == WP_START_FORK) return;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) start_marked(&cases[i]);
}

int marked_main(void) {
  const char *left = getenv(MARKER);
  return left == NULL || strstr(left, "/0") != NULL ? REACHED_MAIN : 1;
}

// MARK: Hosts that end

static void *create_for_ever(void *argument) {
  const wp_process_pool_config *config = (const wp_process_pool_config *)argument;
  wp_process_pool *pool = NULL;
  wp_process_pool_create(config, &pool, NULL);
  for (;;) pause();
  return NULL;
}

/// A host that ends some time after it has begun to make a pool.
static void end_while_starting(uint64_t after_ns) {
  static test_lab lab;
  wp_process_pool_config config = lab_config(&lab, 1, WP_START_REEXEC);
  pthread_t thread;
  struct timespec time = {0, (long)after_ns};
  if (pthread_create(&thread, NULL, create_for_ever, &config) != 0) _exit(1);
  nanosleep(&time, NULL);
  _exit(0);
}

static uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/// Every process that a host leaves holds its end of the pipe.
static void lose_host(uint64_t after_ns) {
  int ends[2];
  CHECK(pipe(ends) == 0, "pipe: %s", strerror(errno));
  pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    dup2(ends[1], STDOUT_FILENO);
    end_while_starting(after_ns);
  }
  close(ends[1]);
  waitpid(child, NULL, 0);
  struct pollfd left = {ends[0], POLLIN, 0};
  CHECK(poll(&left, 1, 30000) == 1 && (left.revents & POLLIN) == 0, "%s", "a host that ended has left a process");
  close(ends[0]);
}

void lost_hosts(wp_start_method method) {
  struct stat status;
  const char *strays = getenv(STRAYS);
  if (strays != NULL) {  // nobody has asked for this program
    int file = open(strays, O_WRONLY | O_APPEND);
    if (write(file, "x", 1) != 1) failures++;
    close(file);
    return;
  }
  if (method == WP_START_FORK) return;
  char path[] = "/tmp/process-engine-check.XXXXXX";
  close(mkstemp(path));
  setenv(STRAYS, path, 1);
  enum { TIMES = 60 };
  // From before its template is started until after its pool is made.
  test_lab lab;
  uint64_t start = now_ns();
  lab_open(&lab, 1, method, 1);
  uint64_t whole = now_ns() - start;
  lab_close(&lab);
  for (uint64_t i = 0; i < TIMES; i++) lose_host((whole < 900000000u ? whole : 900000000u) * i / TIMES);
  CHECK(stat(path, &status) == 0 && status.st_size == 0, "%d programs ran that nobody has asked for", (int)status.st_size);
  unlink(path);
  unsetenv(STRAYS);
}
