// Signals that others send, and what tasks start: who hears what, and what goes with a worker.
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// MARK: What workers ignore

/// What `write` says to a pipe that nobody reads: an error number.
void write_to_nobody(wp_process_reply *reply) {
  int ends[2];
  uint64_t number = 0;
  if (pipe(ends) == 0) {
    close(ends[0]);
    number = write(ends[1], "x", 1) < 0 ? (uint64_t)errno : 0;
    close(ends[1]);
  }
  void *target = wp_process_reply_reserve(reply, sizeof number);
  memcpy(target, &number, sizeof number);
}

static void do_nothing(int number) { (void)number; }

static uint64_t number_of(test_lab *lab, size_t task, uint32_t function) {
  lab_submit(lab, task, function, NULL, 0);
  ending end = lab_await_task(lab, task);
  CHECK(end.outcome.end == WP_TASK_REPLIED, "task %zu: end %d, wait status %x", task, (int)end.outcome.end,
        end.outcome.wait_status);
  uint64_t number = 0;
  memcpy(&number, end.head, sizeof number);
  return number;
}

void ignored_signals(wp_start_method method) {
  static const int kept[] = {SIGPIPE, SIGHUP, SIGQUIT, SIGUSR1, SIGTSTP, SIGALRM, SIGTERM};
  static const int not_kept[] = {SIGCHLD, SIGXCPU, SIGSEGV, SIGABRT};
  for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) signal(kept[i], SIG_IGN);
  for (size_t i = 0; i < sizeof not_kept / sizeof *not_kept; i++) signal(not_kept[i], SIG_IGN);
  test_lab lab;
  lab_open(&lab, 1, method, 4);
  CHECK(number_of(&lab, 0, DO_WRITE_TO_NOBODY) == EPIPE, "a task that writes to nobody");
  uint64_t ignored = number_of(&lab, 1, DO_SIGNALS);
  for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
    CHECK((ignored >> kept[i] & 1) == 1, "SIG%s is not ignored", sigabbrev_np(kept[i]));
  }
  for (size_t i = 0; i < sizeof not_kept / sizeof *not_kept; i++) {
    CHECK((ignored >> not_kept[i] & 1) == 0, "SIG%s is ignored", sigabbrev_np(not_kept[i]));
  }
  // What the host handles by now, the next worker knows.
  signal(SIGPIPE, do_nothing);
  lab_submit(&lab, 2, DO_TRAP, NULL, 0);
  lab_await_task(&lab, 2);
  CHECK(number_of(&lab, 3, DO_WRITE_TO_NOBODY) == EPIPE, "a task that writes to nobody, where the host handles that");
  lab_close(&lab);
}

// MARK: To the whole group

static volatile sig_atomic_t asked;

static void end_gracefully(int number) {
  (void)number;
  asked++;
}

/// Answers SIGTERM and SIGHUP by draining its pool, while all its processes get them again and again.
static void be_graceful(wp_start_method method) {
  enum { TASKS = 1000, WORKERS = 3 };
  setpgid(0, 0);
  signal(SIGTERM, end_gracefully);
  signal(SIGHUP, end_gracefully);
  test_lab lab;
  lab_open(&lab, WORKERS, method, TASKS);
  int32_t workers[WORKERS];
  CHECK(wp_process_pool_worker_pids(lab.pool, workers, WORKERS) == WORKERS, "three workers");
  uint64_t busy = 200000;
  for (size_t i = 0; i < TASKS; i++) lab_submit(&lab, i, DO_SPIN, &busy, sizeof busy);
  wp_process_pool_close(lab.pool);
  for (int round = 0; lab_ended(&lab) < TASKS; round++) {
    int number = round % 2 == 0 ? SIGTERM : SIGHUP;
    kill(0, number);
    for (size_t i = 0; i < WORKERS; i++) kill(workers[i], number);  // as systemd does, to all of a cgroup
    kill(wp_process_pool_template_pid(lab.pool), number);
    usleep(2000);
  }
  CHECK(asked > 0, "no signal came");
  for (size_t i = 0; i < TASKS; i++) {
    CHECK(lab.endings[i].times == 1 && lab.endings[i].outcome.end == WP_TASK_REPLIED, "task %zu: end %d, wait status %x", i,
          (int)lab.endings[i].outcome.end, lab.endings[i].outcome.wait_status);
  }
  lab_close(&lab);
}

static bool as_it_is(void) { return true; }

void group_signals(wp_start_method method) {
  if (UNDER_TSAN) method = WP_START_REEXEC;
  run_confined("signals to a group", as_it_is, be_graceful, method);
}

// MARK: What tasks start

enum { FAMILY = 4, ORPHAN = 2, ELSEWHERE = 3 };

static void note(const char *path, int number) {
  char name[160], text[16];
  snprintf(name, sizeof name, "%s.%d", path, number);
  int file = open(name, O_CREAT | O_WRONLY | O_TRUNC, 0600);
  int length = snprintf(text, sizeof text, "%d", (int)getpid());
  if (write(file, text, (size_t)length) != length) _exit(99);
  close(file);
}

/// In a worker: starts a child, a program, an orphan, and an orphan in a session of its own; then pauses, or exits.
void raise_family(const wp_process_request *request) {
  char path[128] = {0};
  memcpy(path, request->bytes, request->length);
  bool leaves = path[request->length - 1] == '!';
  if (leaves) path[request->length - 1] = 0;
  for (int i = 0; i < FAMILY; i++) {
    pid_t child = fork();
    if (child != 0) {
      if (i >= ORPHAN) waitpid(child, NULL, 0);
      continue;
    }
    if (i >= ORPHAN && fork() != 0) _exit(0);
    if (i == ELSEWHERE) setsid();
    note(path, i);
    if (i == 1) execl("/bin/sleep", "sleep", "1000", (char *)NULL);
    for (;;) pause();
  }
  for (int i = 0; i < FAMILY; i++) {
    char name[160];
    snprintf(name, sizeof name, "%s.%d", path, i);
    while (access(name, F_OK) != 0) usleep(1000);
  }
  note(path, FAMILY);
  if (leaves) _exit(3);
  for (;;) pause();
}

typedef struct family {
  test_gate gate;
  int pidfds[FAMILY];
} family;

static size_t order_family(family *self, char *order, bool leaves) {
  gate_make(&self->gate);
  return (size_t)sprintf(order, "%s/family%s", self->gate.folder, leaves ? "!" : "");
}

/// Waits until the whole family is there.
static void meet_family(family *self) {
  char path[160];
  for (int i = FAMILY; i >= 0; i--) {
    char text[16] = {0};
    snprintf(path, sizeof path, "%s/family.%d", self->gate.folder, i);
    for (int file = -1; text[0] == 0; usleep(1000)) {
      if ((file = open(path, O_RDONLY)) < 0) continue;
      if (read(file, text, sizeof text - 1) < 0) text[0] = 0;
      close(file);
    }
    if (i < FAMILY) self->pidfds[i] = (int)syscall(SYS_pidfd_open, atoi(text), 0);
    unlink(path);
  }
  gate_remove(&self->gate);
}

/// Checks that the first `count` of the family are gone, or go.
static void check_family_ends(family *self, int count, const char *when) {
  for (int i = 0; i < count; i++) {
    struct pollfd ended = {self->pidfds[i], POLLIN, 0};
    if (self->pidfds[i] < 0) continue;  // gone before it could be met
    CHECK(poll(&ended, 1, 5000) == 1, "process %d of a task outlived %s", i, when);
    if (ended.revents == 0) syscall(SYS_pidfd_send_signal, self->pidfds[i], SIGKILL, NULL, 0);
  }
}

static void forget_family(family *self) {
  for (int i = 0; i < FAMILY; i++) {
    if (self->pidfds[i] >= 0) close(self->pidfds[i]);
  }
}

void task_children(wp_start_method method) {
  leftovers before = count_leftovers();
  enum { TIMES_OUT, TERMINATED, LEAVES, DIES, STAYS, WAYS };
  test_lab lab;
  family families[WAYS];
  lab_open(&lab, 1, method, WAYS);
  for (size_t way = 0; way < WAYS; way++) {
    char order[160];
    size_t length = order_family(&families[way], order, way == LEAVES);
    wp_task_options options = {0};
    if (way == TIMES_OUT) options.timeout_ns = 300000000;
    uint64_t ticket = lab_submit_with(&lab, way, DO_RAISE_FAMILY, order, length, options);
    meet_family(&families[way]);
    int32_t worker = 0;
    if (way == TERMINATED) CHECK(wp_process_pool_terminate(lab.pool, ticket), "terminate");
    if (way == DIES && wp_process_pool_worker_pids(lab.pool, &worker, 1) == 1) kill(worker, SIGKILL);
    if (way == STAYS) break;
    static const char *const names[] = {"its timeout", "its termination", "its exit", "its worker's death"};
    lab_await_task(&lab, way);
    check_family_ends(&families[way], ELSEWHERE, names[way]);
  }
  wp_process_pool_close(lab.pool);
  wp_process_pool_terminate_running(lab.pool);
  lab_close(&lab);
  for (size_t way = 0; way < WAYS; way++) {
    check_family_ends(&families[way], FAMILY, "its pool");
    forget_family(&families[way]);
  }
  check_leftovers(before, "after tasks that have started processes");
}

/// The host ends by SIGKILL, or its template does.
static void check_killed_with_family(wp_start_method method, bool template_first) {
  family met;
  char order[160];
  size_t length = order_family(&met, order, false);
  int report[2];
  CHECK(pipe(report) == 0, "pipe");
  fflush(NULL);
  pid_t host = fork();
  if (host == 0) {
    test_lab lab;
    lab_open(&lab, 1, method, 1);
    lab_submit(&lab, 0, DO_RAISE_FAMILY, order, length);
    int32_t process = wp_process_pool_template_pid(lab.pool);
    if (write(report[1], &process, sizeof process) != sizeof process) _exit(1);
    for (;;) pause();
  }
  int32_t process = 0;
  CHECK(read(report[0], &process, sizeof process) == sizeof process && process > 1, "no template");
  meet_family(&met);
  kill(template_first ? process : host, SIGKILL);
  // A template that is killed cannot see to those in other groups.
  check_family_ends(&met, template_first ? ELSEWHERE : FAMILY, template_first ? "its template" : "its host");
  kill(host, SIGKILL);
  waitpid(host, NULL, 0);
  if (template_first) syscall(SYS_pidfd_send_signal, met.pidfds[ELSEWHERE], SIGKILL, NULL, 0);
  forget_family(&met);
  close(report[0]);
  close(report[1]);
}

void task_children_of_killed(wp_start_method method) {
  if (UNDER_TSAN) method = WP_START_REEXEC;
  check_killed_with_family(method, false);
  check_killed_with_family(method, true);
}
