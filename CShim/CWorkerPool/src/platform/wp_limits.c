#include "wp_limits.h"

#include "wp_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// MARK: Limits

void wp_open_files_raise(struct rlimit *before) {
  before->rlim_cur = before->rlim_max = RLIM_INFINITY;
  if (getrlimit(RLIMIT_NOFILE, before) != 0) return;
  struct rlimit more = {before->rlim_max, before->rlim_max};
  setrlimit(RLIMIT_NOFILE, &more);
}

bool wp_limit_set(int resource, uint64_t value) {
  struct rlimit limit = {value, value};
  return setrlimit((__rlimit_resource_t)resource, &limit) == 0;
}

uint64_t wp_limit_lower(int resource, uint64_t value) {
  struct rlimit limit;
  if (getrlimit((__rlimit_resource_t)resource, &limit) != 0) return UINT64_MAX;
  uint64_t before = limit.rlim_cur;
  if (value < before) wp_limit_restore(resource, value);
  return before;
}

void wp_limit_restore(int resource, uint64_t value) {
  struct rlimit limit;
  if (getrlimit((__rlimit_resource_t)resource, &limit) != 0) return;
  limit.rlim_cur = value;
  setrlimit((__rlimit_resource_t)resource, &limit);
}

bool wp_be_nicer(int by) {
  errno = 0;
  int now = getpriority(PRIO_PROCESS, 0);
  if (now == -1 && errno != 0) return false;
  return setpriority(PRIO_PROCESS, 0, now + by) == 0;
}

// MARK: Processor time

// The system calls and not glibc's functions, which are free to allocate.

bool wp_cpu_timer_create(int *timer) {
  struct sigevent event;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGXCPU;
  signal(SIGXCPU, SIG_DFL);
  return syscall(SYS_timer_create, CLOCK_PROCESS_CPUTIME_ID, &event, timer) == 0;
}

void wp_cpu_timer_set(int timer, uint64_t ns) {
  struct itimerspec when;
  memset(&when, 0, sizeof when);
  when.it_value.tv_sec = (time_t)(ns / 1000000000u);
  when.it_value.tv_nsec = (long)(ns % 1000000000u);
  syscall(SYS_timer_settime, timer, 0, &when, NULL);
}

// MARK: Memory

int wp_memory_use_open(void) {
  int descriptor = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  return descriptor < 0 ? -1 : wp_above_stdio(descriptor);
}

bool wp_memory_use_read(int descriptor, wp_memory_use *use) {
  char text[160];
  // Not even tried without /proc: a sandbox would take it for a forbidden call.
  ssize_t length = descriptor < 0 ? -1 : pread(descriptor, text, sizeof text, 0);
  // In pages: size resident shared text lib data.
  uint64_t fields[6] = {0};
  int field = 0;
  for (ssize_t i = 0; i < length && field < 6; i++) {
    if (text[i] >= '0' && text[i] <= '9') fields[field] = fields[field] * 10 + (uint64_t)(text[i] - '0');
    else field++;
  }
  uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
  use->resident = fields[1] * page;
  use->data = fields[5] * page;
  return field >= 6;
}

// MARK: Faults

#define WP_FAULT_STACK ((size_t)64 << 10)

static void (*noting)(uintptr_t address);

static void note_fault(int number, siginfo_t *fault, void *context) {
  (void)context;
  // Of a signal that somebody has sent, the address is something else.
  bool has_address = (number == SIGSEGV || number == SIGBUS) && fault->si_code > 0 && fault->si_code != SI_KERNEL;
  noting(has_address ? (uintptr_t)fault->si_addr : UINTPTR_MAX);
  // SA_RESETHAND has put the default action back; the signal is blocked until we return, and then ends the process,
  // also where going back would not raise it again (breakpoints, abort, a signal that was sent).
  raise(number);
}

bool wp_faults_note(void (*note)(uintptr_t address)) {
  stack_t stack;
  memset(&stack, 0, sizeof stack);
  stack.ss_size = WP_FAULT_STACK;
  stack.ss_sp = mmap(NULL, WP_FAULT_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (stack.ss_sp == MAP_FAILED || sigaltstack(&stack, NULL) != 0) return false;
  noting = note;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = note_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | (int)SA_RESETHAND;
  const int faults[] = {SIGILL, SIGTRAP, SIGSEGV, SIGABRT, SIGBUS};
  for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) sigaction(faults[i], &action, NULL);
  return true;
}
