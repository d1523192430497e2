#include "wp_process.h"

#include "wp_clock.h"
#include "wp_file.h"
#include "wp_poll.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#define WP_PIDFD_SIGNAL_PROCESS_GROUP (1u << 2)

/// Longest wait for what the kernel is doing already.
#define WP_MOMENT_NS 1000000000u

// MARK: Descriptors

int wp_above_stdio(int descriptor) {
  if (descriptor > STDERR_FILENO) return descriptor;
  int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  int saved = errno;
  close(descriptor);
  errno = saved;
  return moved;
}

void wp_detach_stdin(void) {
  int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (nothing < 0) return;
  if (nothing != STDIN_FILENO) {
    dup2(nothing, STDIN_FILENO);
    close(nothing);
  }
}

// MARK: Processes

int wp_pidfd_open(pid_t process) {
  int descriptor = (int)syscall(SYS_pidfd_open, process, 0u);
  return descriptor < 0 ? -1 : wp_above_stdio(descriptor);
}

int wp_pidfd_kill(int pidfd, int signal_number) {
  return syscall(SYS_pidfd_send_signal, pidfd, signal_number, NULL, 0u) == 0 ? 0 : errno;
}

/// Whether the process is gone, or a zombie of ours. One that is another's is gone when that has waited for it.
static bool has_ended(int pidfd) {
  siginfo_t info;
  info.si_pid = 0;
  if (waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0) return info.si_pid != 0;
  return syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0u) != 0 && errno == ESRCH;
}

bool wp_pidfd_wait(int pidfd, int timeout_ms) {
  struct pollfd ended;
  ended.fd = pidfd;
  ended.events = POLLIN;
  uint64_t end = timeout_ms < 0 ? UINT64_MAX : wp_clock_now() + (uint64_t)timeout_ms * 1000000u;
  // A program may be sent signals for ever: each wait is for what is left of the time, not for all of it.
  int ready;
  do {
    ready = wp_poll(&ended, 1, end);
    // That it cannot be waited for says nothing of the process.
    if (ready < 0 && errno != EINTR && has_ended(pidfd)) return true;
  } while (ready < 0 && wp_clock_now() < end);
  return ready > 0;
}

void wp_pidfd_reap(int pidfd) {
  siginfo_t info;
  int result;
  do result = waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG | __WALL);
  while (result != 0 && errno == EINTR);
  if (result == 0) return;
  // Somebody else's wait, or the kernel where SIGCHLD is ignored, takes it away a little after its end can be seen.
  uint64_t end = wp_clock_now() + WP_MOMENT_NS;
  while (syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0u) == 0 && wp_clock_now() < end) sched_yield();
}

void wp_child_end(pid_t child) {
  bool granted = kill(child, SIGKILL) == 0;
  uint64_t end = wp_clock_now() + WP_MOMENT_NS;
  for (;;) {
    pid_t ended = waitpid(child, NULL, granted ? 0 : WNOHANG);
    if (ended == child || (ended < 0 && errno != EINTR)) return;
    if (!granted && wp_clock_now() >= end) return;  // it was not killed: it may never end
    if (ended == 0) sched_yield();
  }
}

// MARK: Trees of processes

void wp_process_group_begin(pid_t process) { setpgid(process, process); }

void wp_process_group_kill(pid_t leader) {
  if (leader > 1) kill(-leader, SIGKILL);
}

void wp_process_group_stop(pid_t leader) {
  // Not SIGSTOP for all: the template of a pool that a worker has made is to hear of it, and stop its own.
  if (leader > 1) kill(-leader, SIGTSTP);
  if (leader > 1) kill(leader, SIGSTOP);
}

void wp_process_group_continue(pid_t leader) {
  if (leader > 1) kill(-leader, SIGCONT);
}

char wp_process_state(pid_t process) {
  char path[40], text[512];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)process);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  text[length < 0 ? 0 : length] = '\0';
  const char *name_end = strrchr(text, ')');  // a name may have anything in it
  return name_end == NULL || strlen(name_end) < 3 ? '\0' : name_end[2];
}

void wp_pidfd_kill_group(int pidfd, pid_t leader) {
  if (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, WP_PIDFD_SIGNAL_PROCESS_GROUP) == 0 || errno != EINVAL) return;
  // Before Linux 6.9. While the leader is there, if only as a zombie, the number is its own.
  if (syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0u) == 0) wp_process_group_kill(leader);
}

void wp_pidfd_reap_group(int pidfd, pid_t leader) {
  siginfo_t info;
  info.si_pid = 0;
  // A child of ours that is not reaped: the number of its group is its own.
  if (waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) != 0 || info.si_pid == 0) return;
  uint64_t end = wp_clock_now() + WP_MOMENT_NS;
  for (;;) {
    info.si_pid = 0;
    int result = waitid(P_PGID, (id_t)leader, &info, WEXITED | WNOHANG | __WALL);
    if (result != 0 && errno != EINTR) return;  // none is left
    if (result == 0 && info.si_pid != 0) continue;
    if (wp_clock_now() >= end) return;
    sched_yield();
  }
}

void wp_adopt_orphans(void) { prctl(PR_SET_CHILD_SUBREAPER, 1); }

pid_t wp_child_ended(void) {
  siginfo_t info;
  int result;
  info.si_pid = 0;
  do result = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
  while (result != 0 && errno == EINTR);
  return result == 0 ? info.si_pid : 0;
}

/// Kills the children of one thread that /proc names. False when there are none, or it names none.
static bool kill_children_of(const char *path) {
  char numbers[4096];
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  ssize_t length;
  do length = read(file, numbers, sizeof numbers - 1);
  while (length < 0 && errno == EINTR);
  close(file);
  pid_t child = 0;
  bool found = false;
  for (ssize_t i = 0; i < length; i++) {
    if (numbers[i] >= '0' && numbers[i] <= '9') {
      child = child * 10 + (numbers[i] - '0');
      continue;
    }
    if (child > 0) kill(child, SIGKILL);
    found = found || child > 0;
    child = 0;
  }
  return found;
}

/// Kills the children of the calling thread, which it has forked itself, and of the first thread, which orphans go to.
static bool kill_children(void) {
  char first[40];
  snprintf(first, sizeof first, "/proc/self/task/%d/children", (int)getpid());
  bool own = kill_children_of("/proc/thread-self/children");
  return kill_children_of(first) || own;
}

void wp_children_end(void) {
  for (int round = 0; round < 1000 && kill_children(); round++) {
    while (waitpid(-1, NULL, WNOHANG) > 0) continue;
    struct timespec moment = {0, 1000000};
    nanosleep(&moment, NULL);
  }
}

size_t wp_process_thread_count(void) {
  DIR *tasks = opendir("/proc/self/task");
  if (tasks == NULL) return 0;
  size_t count = 0;
  for (struct dirent *entry = readdir(tasks); entry != NULL; entry = readdir(tasks)) {
    if (entry->d_name[0] != '.') count++;
  }
  closedir(tasks);
  return count;
}

pid_t wp_process_other_thread(char name[WP_NAME_BYTES]) {
  pid_t other = 0;
  DIR *tasks = opendir("/proc/self/task");
  if (tasks == NULL) return 0;
  for (struct dirent *entry = readdir(tasks); entry != NULL && other == 0; entry = readdir(tasks)) {
    pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10);
    if (thread > 0 && thread != wp_thread_id()) other = thread;
  }
  closedir(tasks);
  char path[48];
  snprintf(path, sizeof path, "/proc/self/task/%d/comm", (int)other);
  long length = other == 0 ? 0 : wp_file_read(path, name, WP_NAME_BYTES);
  // It ends with a line feed, unless the thread has ended meanwhile.
  name[length > 0 ? length - 1 : 0] = '\0';
  return other;
}

void wp_thread_await_exit(pid_t thread) {
  // A thread has no pidfd on kernels we support, and what pthread_join waits for happens a little before the thread
  // leaves /proc/self/task, which a later fork-started pool counts.
  // Bounded, in case another thread was given the number meanwhile.
  uint64_t end = wp_clock_now() + WP_MOMENT_NS;
  while (syscall(SYS_tgkill, getpid(), thread, 0) == 0 && wp_clock_now() < end) sched_yield();
}

pid_t wp_thread_id(void) { return (pid_t)syscall(SYS_gettid); }

bool wp_process_is_privileged(void) { return getauxval(AT_SECURE) != 0; }

// MARK: What a child sets up for itself

bool wp_die_with_parent(pid_t parent) {
  // In this order: a parent that ends after the call is noticed by the kernel, one that ended before it by the check.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  return getppid() == parent;
}

#define WP_WORKER_OOM_SCORE 500

void wp_raise_oom_score(void) {
  int file = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
  if (file < 0) return;
  char text[16] = {0};
  ssize_t length = read(file, text, sizeof text - 1);
  // Whoever started the host may have made it a likelier victim than that.
  if (length > 0 && atoi(text) < WP_WORKER_OOM_SCORE) {
    length = pwrite(file, "500", 3, 0);
    (void)length;
  }
  close(file);
}

int wp_pin_to_cpu(int cpu) {
  // A mask of our own size: cpu_set_t ends at 1024 CPUs.
  unsigned long mask[8192 / (8 * sizeof(unsigned long))];
  size_t bits = 8 * sizeof mask[0];
  if (cpu < 0 || (size_t)cpu >= 8192) {
    errno = EINVAL;
    return -1;
  }
  memset(mask, 0, sizeof mask);
  mask[(size_t)cpu / bits] |= 1ul << ((size_t)cpu % bits);
  return syscall(SYS_sched_setaffinity, 0, sizeof mask, mask) == 0 ? 0 : -1;
}
