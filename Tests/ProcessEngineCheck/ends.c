// Scenarios about how a host ends, and about what else goes on in it: other children, other waits, threads that end.
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

// MARK: A host to be watched from outside

enum { WORKERS = 3, PROCESSES = WORKERS + 1 };

/// A host that was forked from this program, and pidfds of its workers and of its template, which is the last.
typedef struct watched_host {
  pid_t process;
  int pidfds[PROCESSES];
} watched_host;

/// What the host does once its pool has begun `WORKERS - 1` tasks that never end; its last worker is idle.
typedef void host_body(test_lab *lab);

/// Goes on when whoever reads `report` has closed the other end of `watched`: its processes must not end before.
static void be_host(wp_start_method method, int report, int watched, host_body *body) {
  struct rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  static const int faults[] = {SIGSEGV, SIGABRT, SIGILL, SIGBUS, SIGQUIT};  // Swift's runtime would write at length
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) signal(faults[i], SIG_DFL);
  test_lab lab;
  lab_open(&lab, WORKERS, method, WORKERS + 1);
  for (size_t i = 0; i < WORKERS - 1; i++) lab_await_running(&lab, lab_submit(&lab, i, DO_PAUSE, NULL, 0));
  int32_t processes[PROCESSES];
  wp_process_pool_worker_pids(lab.pool, processes, WORKERS);
  processes[WORKERS] = wp_process_pool_template_pid(lab.pool);
  if (write(report, processes, sizeof processes) != (ssize_t)sizeof processes) _exit(1);
  char byte;
  if (read(watched, &byte, 1) != 0) _exit(1);
  body(&lab);
}

/// Forks the host, which gets `terminal` (unless it is NULL) as its terminal and its streams.
static watched_host start_host(wp_start_method method, const char *terminal, host_body *body) {
  if (UNDER_TSAN) method = WP_START_REEXEC;
  int report[2], watched[2];
  if (pipe(report) != 0 || pipe(watched) != 0) exit(1);
  watched_host host;
  host.process = fork();
  if (host.process == 0) {
    close(report[0]);
    close(watched[1]);
    if (terminal != NULL) {
      setsid();
      int stream = open(terminal, O_RDWR);
      ioctl(stream, TIOCSCTTY, 0);
      for (int i = 0; i < 3; i++) dup2(stream, i);
    }
    be_host(method, report[1], watched[0], body);
    _exit(failures == 0 ? 0 : 1);
  }
  close(report[1]);
  close(watched[0]);
  int32_t processes[PROCESSES] = {0};
  ssize_t length = read(report[0], processes, sizeof processes);
  close(report[0]);
  CHECK(length == (ssize_t)sizeof processes, "the host reported %zd bytes", length);
  for (int i = 0; i < PROCESSES; i++) host.pidfds[i] = (int)syscall(SYS_pidfd_open, processes[i], 0);
  close(watched[1]);
  return host;
}

/// Checks that all of the host's processes end, which nothing but the host's own end can bring about, and returns how
/// the host did.
static int await_end(watched_host *host, const char *how) {
  for (int i = 0; i < PROCESSES; i++) {
    struct pollfd ended = {host->pidfds[i], POLLIN, 0};
    CHECK(host->pidfds[i] >= 0 && poll(&ended, 1, 20000) == 1, "%s outlived a host that %s",
          i == WORKERS ? "the template" : "a worker", how);
    close(host->pidfds[i]);
  }
  int status = 0;
  CHECK(waitpid(host->process, &status, 0) == host->process, "waitpid: %s", strerror(errno));
  return status;
}

// MARK: How it ends

static void pause_for_ever(test_lab *lab) {
  (void)lab;
  for (;;) pause();
}

static void leave_at_once(test_lab *lab) {
  (void)lab;
  _exit(7);
}

/// The process stays, the program and its pool do not.
static void become_another_program(test_lab *lab) {
  (void)lab;
  execl("/bin/sleep", "sleep", "1000", (char *)NULL);
}

void host_killed(wp_start_method method) {
  static const int signals[] = {SIGKILL, SIGSEGV, SIGABRT, SIGILL, SIGBUS, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE,
                                SIGALRM, SIGUSR1};
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
    watched_host host = start_host(method, NULL, pause_for_ever);
    kill(host.process, signals[i]);
    int status = await_end(&host, sigabbrev_np(signals[i]));
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == signals[i], "SIG%s: %x", sigabbrev_np(signals[i]), status);
  }
}

void host_leaves(wp_start_method method) {
  watched_host host = start_host(method, NULL, leave_at_once);
  int status = await_end(&host, "left without closing its pool");
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7, "%x", status);
  host = start_host(method, NULL, become_another_program);
  struct pollfd ended = {host.pidfds[WORKERS], POLLIN, 0};
  CHECK(poll(&ended, 1, 20000) == 1, "the template outlived its program");
  kill(host.process, SIGKILL);
  await_end(&host, "became another program");
}

// MARK: At a terminal

/// All that was written to the terminal until its last writer went.
static size_t read_terminal(int terminal, char *text, size_t capacity) {
  size_t length = 0;
  for (;;) {
    ssize_t got = read(terminal, text + length, capacity - 1 - length);
    if (got <= 0) break;  // EIO, once nobody has the other end open
    length += (size_t)got;
  }
  text[length] = '\0';
  return length;
}

/// Answers Ctrl-C as a server does: ends its work in order.
static void end_in_order(test_lab *lab) {
  sigset_t interrupt;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  int number = 0;
  CHECK(sigwait(&interrupt, &number) == 0 && number == SIGINT, "signal %d", number);
  lab_submit(lab, WORKERS - 1, DO_ECHO, "x", 1);
  ending echo = lab_await_task(lab, WORKERS - 1);
  CHECK(echo.outcome.end == WP_TASK_REPLIED, "end %d", (int)echo.outcome.end);
  CHECK(lab_ended(lab) == 1, "%zu tasks ended with the interrupt", lab_ended(lab));
  wp_process_pool_terminate_running(lab->pool);
  lab_close(lab);
}

void interrupted(wp_start_method method) {
  host_body *bodies[] = {pause_for_ever, end_in_order};
  for (int i = 0; i < 2; i++) {
    int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    CHECK(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0, "posix_openpt: %s", strerror(errno));
    char path[64] = "";
    CHECK(ptsname_r(terminal, path, sizeof path) == 0, "ptsname_r: %s", strerror(errno));
    sigset_t interrupt, before;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    if (bodies[i] == end_in_order) sigprocmask(SIG_BLOCK, &interrupt, &before);
    watched_host host = start_host(method, path, bodies[i]);
    if (bodies[i] == end_in_order) sigprocmask(SIG_SETMASK, &before, NULL);
    CHECK(tcgetpgrp(terminal) == host.process, "the host is not in the foreground");
    CHECK(write(terminal, "\x03", 1) == 1, "write: %s", strerror(errno));
    int status = await_end(&host, "was interrupted");
    if (bodies[i] == end_in_order) CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%x", status);
    else CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT, "%x", status);
    char text[4096];
    read_terminal(terminal, text, sizeof text);
    CHECK(strcmp(text, "^C") == 0, "on the terminal stands: %s", text);
    close(terminal);
  }
}

// MARK: Other children

static int lifeline[2];

/// Forks a child, as somebody else might, without an exec: it holds all that the host had open, and ends when this
/// program closes its end of the lifeline.
static pid_t fork_bystander(void) {
  pid_t child = fork();
  if (child == 0) {
    char byte;
    close(lifeline[1]);
    _exit(read(lifeline[0], &byte, 1) == 0 ? 0 : 1);
  }
  return child;
}

static void fork_and_pause(test_lab *lab) {
  if (fork_bystander() < 0) _exit(1);
  close(lifeline[1]);
  pause_for_ever(lab);
}

/// The host's ends of sockets and bells stay open elsewhere: neither the end of a pool nor that of its host may wait
/// for them to close.
void bystanders(wp_start_method method) {
  if (pipe(lifeline) != 0) exit(1);
  leftovers before = count_leftovers();
  test_lab lab;
  lab_open(&lab, 2, method, 3);
  pid_t bystander = fork_bystander();
  lab_submit(&lab, 0, DO_ECHO, "x", 1);
  lab_submit(&lab, 1, DO_TRAP, NULL, 0);
  lab_await(&lab, 2);
  lab_submit(&lab, 2, DO_ECHO, "x", 1);
  CHECK(lab_await_task(&lab, 2).outcome.end == WP_TASK_REPLIED, "end %d", (int)lab.endings[2].outcome.end);
  lab_close(&lab);
  CHECK(waitpid(bystander, NULL, WNOHANG) == 0, "the bystander is gone");
  watched_host host = start_host(method, NULL, fork_and_pause);
  kill(host.process, SIGKILL);
  await_end(&host, "left a child behind");
  close(lifeline[1]);
  int status = 0;
  CHECK(waitpid(bystander, &status, 0) == bystander && status == 0, "the bystander: %x", status);
  close(lifeline[0]);
  before.descriptors -= 2;
  check_leftovers(before, "after a pool beside another child");
}

static atomic_bool waits;
static atomic_uint taken;

static void *wait_for_any(void *unused) {
  (void)unused;
  while (atomic_load(&waits)) {
    int status;
    if (waitpid(-1, &status, __WALL) > 0) atomic_fetch_add(&taken, 1);
    else sched_yield();
  }
  return NULL;
}

/// A host that takes the status of every child, the template's too, before the pool can.
void waits_for_any(wp_start_method method) {
  leftovers before = count_leftovers();
  atomic_store(&waits, true);
  pthread_t waiter;
  for (int i = 0; i < 20; i++) {
    test_lab lab;
    lab_open(&lab, 2, i == 0 ? method : WP_START_AUTOMATIC, 4);
    if (i == 0) CHECK(pthread_create(&waiter, NULL, wait_for_any, NULL) == 0, "pthread_create");
    lab_submit(&lab, 0, DO_EXIT_3, NULL, 0);
    int status = lab_await_task(&lab, 0).outcome.wait_status;
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3, "wait status %x", status);
    if (wp_process_pool_start_method(lab.pool) == WP_START_REEXEC) {
      kill(wp_process_pool_template_pid(lab.pool), SIGKILL);  // another takes its place
    }
    lab_submit(&lab, 1, DO_ECHO, "x", 1);
    wp_task_end end = lab_await_task(&lab, 1).outcome.end;
    CHECK(end == WP_TASK_REPLIED || end == WP_TASK_WORKER_DIED, "end %d", (int)end);
    lab_submit(&lab, 2, DO_ECHO, "x", 1);
    end = lab_await_task(&lab, 2).outcome.end;
    CHECK(end == WP_TASK_REPLIED || end == WP_TASK_WORKER_DIED, "end %d", (int)end);
    lab_close(&lab);
  }
  atomic_store(&waits, false);
  pthread_join(waiter, NULL);
  CHECK(atomic_load(&taken) > 0, "it never was the first");
  check_leftovers(before, "after pools in a host that waits for any child");
}

// MARK: Threads that end

static test_lab left_lab;

static void use(test_lab *lab) {
  lab_submit(lab, 0, DO_TRAP, NULL, 0);
  CHECK(lab_await_task(lab, 0).outcome.end == WP_TASK_WORKER_DIED, "end %d", (int)lab->endings[0].outcome.end);
  for (size_t i = 1; i < 20; i++) lab_submit(lab, i, DO_ECHO, "x", 1);
  lab_await(lab, 20);
  for (size_t i = 1; i < 20; i++) {
    CHECK(lab->endings[i].outcome.end == WP_TASK_REPLIED, "task %zu: end %d", i, (int)lab->endings[i].outcome.end);
  }
  lab_close(lab);
}

static void *make_pool(void *unused) {
  lab_open(&left_lab, 2, WP_START_REEXEC, 20);
  return unused;
}

/// Once the main thread is gone, by which the kernel's /proc/self speaks of the process.
static void *go_on_alone(void *unused) {
  (void)unused;
  // Not by joining it: AddressSanitizer takes a main thread for joined.
  char main_thread[64];
  snprintf(main_thread, sizeof main_thread, "/proc/%d/task/%d/status", (int)getpid(), (int)getpid());
  while (count_in(main_thread, "State:\tZ") == 0) sched_yield();
  use(&left_lab);
  test_lab lab;
  wp_process_pool_config config = lab_config(&lab, 0, WP_START_AUTOMATIC);
  lab_open_with(&lab, &config, 20);
  CHECK(wp_process_pool_start_method(lab.pool) == WP_START_REEXEC, "forked beside a main thread that is not reaped");
  char path[64], words[256] = "";
  snprintf(path, sizeof path, "/proc/%d/cmdline", (int)wp_process_pool_template_pid(lab.pool));
  int file = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = file < 0 ? -1 : read(file, words, sizeof words - 1);
  close(file);
  CHECK(length > 0 && memmem(words, (size_t)length, "maker-ends", 10) != NULL, "the template's arguments: %s", words);
  use(&lab);
  _exit(failures == 0 ? 0 : 1);
}

/// A pool whose maker is gone: PR_SET_PDEATHSIG, for one, is about the thread that forks and not about its process.
void maker_ends(wp_start_method method) {
  if (method == WP_START_REEXEC) {
    pthread_t maker;
    CHECK(pthread_create(&maker, NULL, make_pool, NULL) == 0, "pthread_create");
    pthread_join(maker, NULL);
    use(&left_lab);
  }
  if (UNDER_TSAN) return;
  pid_t child = fork();
  if (child == 0) {
    lab_open(&left_lab, 2, method, 20);
    pthread_t heir;
    if (pthread_create(&heir, NULL, go_on_alone, NULL) != 0) _exit(1);
    pthread_exit(NULL);
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the host without a main thread: %x", status);
}
