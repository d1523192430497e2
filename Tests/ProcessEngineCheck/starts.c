// Scenarios about where a pool can be started: programs that were moved, replaced or confined. Each case is a process
// of its own, because there is no way back from most of them.
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOBODY = 65533 };

// MARK: Confining this process

bool deny(const int *calls, size_t count, uint32_t number) {
  struct sock_filter program[24];
  struct sock_fprog filter = {(unsigned short)(count + 3), program};
  program[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (size_t i = 0; i < count; i++) {
    unsigned char to_denial = (unsigned char)(count - i);
    program[i + 1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i], to_denial, 0);
  }
  program[count + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  program[count + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | number);
  // On all threads.
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
            syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) == 0,
        "seccomp: %s", strerror(errno));
  return true;
}

static bool deny_tracing(void) {
  static const int calls[] = {SYS_ptrace,      SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp,
                              SYS_pidfd_getfd, SYS_perf_event_open,  SYS_userfaultfd,       SYS_add_key,
                              SYS_keyctl,      SYS_bpf,              SYS_unshare,           SYS_mount};
  static const int newer[] = {SYS_clone3, SYS_openat2, SYS_faccessat2};
  deny(newer, sizeof newer / sizeof *newer, ENOSYS);
  return deny(calls, sizeof calls / sizeof *calls, EPERM);
}

static bool deny_close_range(void) { return deny((const int[]){SYS_close_range}, 1, EPERM); }
static bool deny_pidfd_open(void) { return deny((const int[]){SYS_pidfd_open}, 1, EPERM); }
static bool deny_memfd_create(void) { return deny((const int[]){SYS_memfd_create}, 1, EPERM); }

/// As a server that was started by root and gave that up: files of its own in /proc are root's.
static bool drop_privileges(void) {
  CHECK(geteuid() != 0 || (setgid(NOBODY) == 0 && setuid(NOBODY) == 0), "setuid: %s", strerror(errno));
  CHECK(prctl(PR_SET_DUMPABLE, 0) == 0, "prctl: %s", strerror(errno));
  return true;
}

static bool be_not_dumpable(void) {
  CHECK(prctl(PR_SET_DUMPABLE, 0) == 0, "prctl: %s", strerror(errno));
  return true;
}

static bool enter_user_namespace(void) { return unshare(CLONE_NEWUSER) == 0; }

static bool unshare_mounts(void) {
  if (unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/// A /proc that shows a user no processes but its own, without the right to see more.
static bool hide_processes(void) {
  if (!unshare_mounts() || mount("proc", "/proc", "proc", 0, "hidepid=2") != 0) return false;
  return drop_privileges();
}

static bool hide_proc(void) { return unshare_mounts() && mount("none", "/proc", "tmpfs", 0, NULL) == 0; }

static bool close_standard_streams(void) {
  for (int i = 0; i < 2; i++) close(i);  // CHECK needs the third
  return true;
}

// MARK: Where a pool works

static void use_pool(wp_start_method method) {
  enum { TASKS = 40 };
  test_lab lab;
  wp_process_pool_config config = lab_config(&lab, 2, method);
  config.output[WP_STREAM_OUTPUT].mode = WP_OUTPUT_CAPTURE;
  config.output[WP_STREAM_OUTPUT].limit = 100;
  config.limits.memory = UNDER_TSAN || UNDER_ASAN ? 0 : (uint64_t)4 << 30;
  leftovers before = count_leftovers();
  lab_open_with(&lab, &config, TASKS);
  CHECK(wp_process_pool_start_method(lab.pool) == method, "method %d", (int)wp_process_pool_start_method(lab.pool));
  uint64_t length = 1 << 20;
  for (size_t task = 0; task < TASKS; task++) {
    lab_submit(&lab, task, task % 10 == 3 ? DO_TRAP : task % 2 == 0 ? DO_FILL : DO_ECHO, &length, sizeof length);
  }
  lab_await(&lab, TASKS);
  for (size_t task = 0; task < TASKS; task++) {
    const wp_task_outcome *outcome = &lab.endings[task].outcome;
    bool trapped = outcome->end == WP_TASK_WORKER_DIED && WTERMSIG(outcome->wait_status) == SIGILL;
    bool replied = outcome->end == WP_TASK_REPLIED && outcome->length == (task % 2 == 0 ? length : sizeof length);
    CHECK(task % 10 == 3 ? trapped : replied, "task %zu: end %d, wait status %x", task, (int)outcome->end,
          outcome->wait_status);
  }
  lab_close(&lab);
  check_leftovers(before, "after a pool in unusual surroundings");
}

bool run_confined(const char *what, confinement *confine, scenario *body, wp_start_method method) {
  enum { NOT_GRANTED = 77 };
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    failures = 0;
    if (!confine()) _exit(NOT_GRANTED);
    body(method);
    _exit(failures == 0 ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  bool granted = !WIFEXITED(status) || WEXITSTATUS(status) != NOT_GRANTED;
  if (!granted) printf("%s: not granted by this system\n", what);
  CHECK(!granted || status == 0, "%s: %x", what, status);
  return granted;
}

/// Whether anybody may start this program, which is not so in the home of a user who lets no others in.
static void use_pool_if_readable(wp_start_method method) {
  wp_process_pool *pool = NULL;
  wp_error error;
  if (method == WP_START_FORK || access("/proc/self/exe", R_OK | X_OK) == 0) {
    use_pool(method);
    return;
  }
  test_lab lab;
  wp_process_pool_config config = lab_config(&lab, 1, method);
  CHECK(wp_process_pool_create(&config, &pool, &error) == WP_SYSTEM_CALL_FAILED && error.system_errno == EACCES,
        "a program that may not be started: %s", wp_status_name(error.status));
}

void confined(wp_start_method method) {
  if (UNDER_TSAN) method = WP_START_REEXEC;
  CHECK(run_confined("tracing denied", deny_tracing, use_pool, method), "seccomp is there");
  CHECK(run_confined("close_range denied", deny_close_range, use_pool, method), "seccomp is there");
  CHECK(run_confined("not dumpable", be_not_dumpable, use_pool, method), "prctl is there");
  CHECK(run_confined("no privileges", drop_privileges, use_pool_if_readable, method), "setuid is there");
  CHECK(run_confined("no standard streams", close_standard_streams, use_pool, method), "close is there");
  run_confined("a user namespace", enter_user_namespace, use_pool, method);
  run_confined("hidepid=2", hide_processes, use_pool_if_readable, method);
}

// MARK: Where it cannot be started

/// What the error has to say.
static struct {
  wp_status status;
  int number;
  const char *word;
  /// The name of the thread that is in the way, NULL for none.
  const char *thread;
} expected;

static void expect_refusal(wp_start_method method) {
  test_lab lab;
  wp_process_pool *pool = NULL;
  wp_error error;
  wp_process_pool_config config = lab_config(&lab, 1, method);
  wp_status status = wp_process_pool_create(&config, &pool, &error);
  CHECK(status == expected.status && (expected.number == 0 || error.system_errno == expected.number), "%s, %s",
        wp_status_name(status), strerror(error.system_errno));
  const char *said = error.rule != NULL ? error.rule : error.call;
  CHECK(expected.thread == NULL || (error.refused > 0 && strcmp(error.culprit, expected.thread) == 0), "thread %d '%s'",
        error.refused, error.culprit);
  CHECK(status == WP_OK || (said != NULL && strstr(said, expected.word) != NULL), "%s", said);
  pid_t left = waitpid(-1, NULL, WNOHANG);
  CHECK(left == -1 && errno == ECHILD, "process %d is left", (int)left);
}

static void refuses(wp_start_method method, const char *what, confinement *confine, wp_status status, int number,
                    const char *word) {
  expected.status = status;
  expected.number = number;
  expected.word = word;
  run_confined(what, confine, expect_refusal, method);
}

static bool ask_for_no_handler(void) { return setenv("CHECK_NO_HANDLER", "1", 1) == 0; }
static bool ask_for_early_thread(void) { return setenv("CHECK_EARLY_THREAD", "1", 1) == 0; }

static void *wait_for_ever(void *unused) {
  for (;;) pause();
  return unused;
}

/// A program whose libraries start threads when they are loaded.
__attribute__((constructor(101))) static void start_early_thread(void) {
  pthread_t thread;
  if (getenv("CHECK_EARLY_THREAD") == NULL) return;
  if (pthread_create(&thread, NULL, wait_for_ever, NULL) != 0 || pthread_setname_np(thread, "early") != 0) _exit(1);
}

/// Runs a copy of this program, which takes its place in this process: under its name alone, found by PATH, from a
/// folder that has nothing to do with it. Its scenario sees by its name that it is the copy.
static void run_copy(const char *scenario_name, wp_start_method method, bool set_user_id) {
  char folder[] = "/tmp/process-engine-check.XXXXXX";
  char path[sizeof folder + 16], command[sizeof path + 64];
  CHECK(mkdtemp(folder) != NULL && chmod(folder, 0755) == 0, "mkdtemp: %s", strerror(errno));
  snprintf(path, sizeof path, "%s/check-copy", folder);
  snprintf(command, sizeof command, "cp /proc/%d/exe %s", (int)getpid(), path);
  CHECK(system(command) == 0, "%s", command);
  if (set_user_id) CHECK(chown(path, NOBODY, (gid_t)-1) == 0 && chmod(path, 04755) == 0, "%s", strerror(errno));
  pid_t child = fork();
  if (child == 0) {
    if (chdir("/") != 0 || setenv("PATH", folder, 1) != 0) _exit(1);
    execlp("check-copy", "check-copy", scenario_name, method == WP_START_FORK ? "fork" : "reexec", (char *)NULL);
    _exit(1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the copy: %x", status);
  unlink(path);
  rmdir(folder);
}

static bool own_path(char *path, size_t capacity) {
  ssize_t length = readlink("/proc/self/exe", path, capacity - 1);
  path[length < 0 ? 0 : length] = '\0';
  return strstr(path, "/check-copy") != NULL;
}

void not_startable(wp_start_method method) {
  if (UNDER_TSAN) method = WP_START_REEXEC;
  char path[256];
  if (own_path(path, sizeof path)) {  // set-user-id
    expected.status = WP_UNSUPPORTED;
    expected.word = "more rights than its user";
    expect_refusal(method);
    // The search for leaks at the end of a program needs ptrace, which the kernel refuses beside such a one.
    if (UNDER_ASAN) _exit(failures == 0 ? 0 : 1);
    return;
  }
  refuses(method, "pidfd_open denied", deny_pidfd_open, WP_SYSTEM_CALL_FAILED, EPERM, "pidfd_open");
  refuses(method, "memfd_create denied", deny_memfd_create, WP_SYSTEM_CALL_FAILED, EPERM, "memfd_create");
  if (method == WP_START_FORK) {
    refuses(method, "no /proc", hide_proc, WP_UNSUPPORTED, 0, "/proc/self/task cannot be read");
    return;
  }
  refuses(method, "no /proc", hide_proc, WP_SYSTEM_CALL_FAILED, ENOENT, "/cmdline");
  refuses(method, "no handler", ask_for_no_handler, WP_UNSUPPORTED, 0, "returned no handler");
  expected.thread = UNDER_TSAN ? NULL : "early";  // the sanitizer has a thread of its own
  refuses(method, "early threads", ask_for_early_thread, WP_UNSUPPORTED, 0, "more than one thread before its `main`");
  if (geteuid() == 0) run_copy("not-startable", method, true);  // nobody else can make such a program
}

// MARK: Where the program lies

/// The copy is removed and another file put in its place, as an upgrade does; its pool is of the program that runs.
static void use_pool_of_removed(const char *path, wp_start_method method) {
  use_pool(method);
  CHECK(unlink(path) == 0, "unlink %s: %s", path, strerror(errno));
  use_pool(method);
  int other = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
  CHECK(other >= 0 && write(other, "#!/bin/false\n", 13) == 13, "%s: %s", path, strerror(errno));
  close(other);
  use_pool(method);
}

void replaced(wp_start_method method) {
  if (UNDER_TSAN) method = WP_START_REEXEC;
  char path[256];
  if (own_path(path, sizeof path)) use_pool_of_removed(path, method);
  else run_copy("replaced", method, false);
}
