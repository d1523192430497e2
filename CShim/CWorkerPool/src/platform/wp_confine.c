#include "wp_confine.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

bool wp_privileges_keep(void) { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0; }

bool wp_capabilities_drop(void) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];
  memset(none, 0, sizeof none);
  return syscall(SYS_capset, &header, none) == 0;
}

// MARK: Trapped calls

/// SYS_SECCOMP of the kernel's <asm/siginfo.h>, which cannot stand beside glibc's <signal.h>.
enum { WP_TRAPPED_BY_FILTER = 1 };

static void (*noting)(uint32_t architecture, int call);

/// Makes a trapped call at its end: SIGSYS is blocked while its handler runs, and a trap that is blocked kills, whatever
/// the handler is.
static void note_and_die(int number, siginfo_t *info, void *context) {
  (void)number, (void)context;
  if (info->si_code == WP_TRAPPED_BY_FILTER) noting(info->si_arch, info->si_syscall);
  for (;;) syscall(SYS_rt_sigaction, SIGSYS, NULL, NULL, (size_t)_NSIG / 8);
}

bool wp_trapped_calls_note(void (*note)(uint32_t architecture, int call)) {
  noting = note;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = note_and_die;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  return sigaction(SIGSYS, &action, NULL) == 0;
}

// MARK: Filters

bool wp_filter_load(struct sock_filter *steps, uint16_t length) {
  struct sock_fprog program;
  program.len = length;
  program.filter = steps;
  long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
  if (result > 0) errno = ESRCH;  // the id of the thread with a filter of its own
  return result == 0;
}

bool wp_filter_answers_mremap(void) { return mremap(NULL, 0, 0, 0) == MAP_FAILED && errno == ENOSYS; }
