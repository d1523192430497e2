// What a terminal, or somebody in its place, stops, continues and hangs up.
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "../../CShim/CWorkerPool/src/platform/wp_process.h"

enum { WORKERS = 2, PROCESSES = WORKERS + 2 };

/// A host in the foreground of a terminal, behind a shell; its template, its workers.
typedef struct session {
  int terminal;
  pid_t shell;
  int32_t host;
  int32_t template_process;
  int32_t workers[WORKERS];
  int pidfds[PROCESSES];
} session;

static void do_nothing(int number) { (void)number; }

/// What the host does with Ctrl-Z.
static void (*on_stop)(int);

static void be_host(wp_start_method method, int report) {
  signal(SIGTSTP, on_stop);
  signal(SIGHUP, SIG_DFL);
  signal(SIGTTOU, SIG_DFL);
  test_lab lab;
  lab_open(&lab, WORKERS, method, 1);
  lab_await_running(&lab, lab_submit(&lab, 0, DO_PAUSE, NULL, 0));
  int32_t found[PROCESSES] = {getpid(), wp_process_pool_template_pid(lab.pool)};
  wp_process_pool_worker_pids(lab.pool, found + 2, WORKERS);
  if (write(report, found, sizeof found) != (ssize_t)sizeof found) _exit(1);
  for (;;) pause();
}

/// Starts its child in the foreground, and waits for it.
static void be_shell(wp_start_method method, const char *path, int report) {
  setsid();
  int stream = open(path, O_RDWR);
  ioctl(stream, TIOCSCTTY, 0);
  signal(SIGTTOU, SIG_IGN);
  pid_t host = fork();
  if (host == 0) {
    setpgid(0, 0);
    tcsetpgrp(stream, getpid());
    be_host(method, report);
  }
  close(report);
  waitpid(host, NULL, 0);
  _exit(0);
}

static session start(wp_start_method method, void (*stop)(int)) {
  if (UNDER_TSAN) method = WP_START_REEXEC;
  session self;
  char path[64] = "";
  on_stop = stop;
  self.terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  CHECK(self.terminal >= 0 && grantpt(self.terminal) == 0 && unlockpt(self.terminal) == 0, "posix_openpt");
  CHECK(ptsname_r(self.terminal, path, sizeof path) == 0, "ptsname_r: %s", strerror(errno));
  int report[2];
  if (pipe(report) != 0) exit(1);
  fflush(NULL);
  self.shell = fork();
  if (self.shell == 0) {
    close(self.terminal);  // or the terminal would not hang up
    be_shell(method, path, report[1]);
  }
  close(report[1]);
  int32_t found[PROCESSES] = {0};
  CHECK(read(report[0], found, sizeof found) == (ssize_t)sizeof found, "the host reports nothing");
  close(report[0]);
  self.host = found[0];
  self.template_process = found[1];
  memcpy(self.workers, found + 2, sizeof self.workers);
  for (int i = 0; i < PROCESSES; i++) self.pidfds[i] = (int)syscall(SYS_pidfd_open, found[i], 0);
  return self;
}

/// Whether the process comes into this state, or out of it, within five seconds.
static bool becomes(int32_t process, bool stopped) {
  for (int i = 0; i < 5000; i++) {
    if ((wp_process_state(process) == 'T') == stopped) return true;
    usleep(1000);
  }
  return false;
}

static void check_workers(const session *self, bool stopped, const char *when) {
  for (int i = 0; i < WORKERS; i++) {
    CHECK(becomes(self->workers[i], stopped), "worker %d is %c after %s", i, wp_process_state(self->workers[i]), when);
  }
}

static void check_ends(session *self, const char *how) {
  for (int i = 0; i < PROCESSES; i++) {
    struct pollfd ended = {self->pidfds[i], POLLIN, 0};
    CHECK(poll(&ended, 1, 10000) == 1, "process %d outlived %s", i, how);
    if (ended.revents == 0) syscall(SYS_pidfd_send_signal, self->pidfds[i], SIGKILL, NULL, 0);
    close(self->pidfds[i]);
  }
  kill(self->shell, SIGKILL);
  waitpid(self->shell, NULL, 0);
  if (self->terminal >= 0) close(self->terminal);
}

static void type(session *self, const char *key) { CHECK(write(self->terminal, key, 1) == 1, "write"); }

void terminal_stops(wp_start_method method) {
  session self = start(method, SIG_DFL);
  for (int round = 0; round < 2; round++) {
    type(&self, "\x1a");
    CHECK(becomes(self.host, true), "Ctrl-Z does not stop the host");
    check_workers(&self, true, "Ctrl-Z");
    // `fg` continues the group; somebody else only the host.
    kill(round == 0 ? -self.host : self.host, SIGCONT);
    check_workers(&self, false, "fg");
  }
  // Its workers are at work while it is stopped by somebody who means nobody else.
  kill(self.host, SIGSTOP);
  usleep(50000);
  check_workers(&self, false, "SIGSTOP of the host");
  kill(self.host, SIGCONT);
  type(&self, "\x1a");
  CHECK(becomes(self.host, true), "Ctrl-Z does not stop the host");
  check_workers(&self, true, "Ctrl-Z");
  kill(self.host, SIGKILL);
  check_ends(&self, "a host that was killed while it was stopped");
}

/// A program that handles Ctrl-Z, and goes on.
void terminal_stops_handled(wp_start_method method) {
  session self = start(method, do_nothing);
  type(&self, "\x1a");
  for (int i = 0; i < 100; i++) {
    for (int j = 0; j < WORKERS; j++) CHECK(wp_process_state(self.workers[j]) != 'T', "worker %d was stopped", j);
    usleep(1000);
  }
  type(&self, "\x03");
  check_ends(&self, "Ctrl-C");
}

void terminal_hangs_up(wp_start_method method) {
  session self = start(method, SIG_DFL);
  close(self.terminal);
  self.terminal = -1;
  check_ends(&self, "its terminal");
}
