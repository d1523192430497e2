#include "wp_signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include "wp_process.h"

void wp_signals_block(sigset_t *previous) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, previous);
}

void wp_signals_block_asynchronous(sigset_t *previous) {
  static const int synchronous[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
  sigset_t mask;
  sigfillset(&mask);
  for (size_t i = 0; i < sizeof synchronous / sizeof *synchronous; i++) sigdelset(&mask, synchronous[i]);
  // The whole mask, not an addition to the caller's, which may block more (Dispatch's threads block SIGABRT).
  pthread_sigmask(SIG_SETMASK, &mask, previous);
}

void wp_signals_restore(const sigset_t *mask) { pthread_sigmask(SIG_SETMASK, mask, NULL); }

int wp_sigchld_open(void) {
  signal(SIGCHLD, SIG_DFL);  // ignored, it would throw statuses away
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGCHLD);
  int descriptor = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
  return descriptor < 0 ? -1 : wp_above_stdio(descriptor);
}

void wp_sigchld_clear(int descriptor) {
  struct signalfd_siginfo info;
  while (read(descriptor, &info, sizeof info) > 0) continue;
}

void wp_signals_reset_for_worker(void) {
  const int faults[] = {SIGILL, SIGTRAP, SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGQUIT, SIGSYS, SIGCHLD, SIGPIPE};
  struct sigaction action;
  for (int number = 1; number < NSIG; number++) {
    if (sigaction(number, NULL, &action) != 0) continue;
    if ((action.sa_flags & SA_SIGINFO) == 0 && (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN)) continue;
    signal(number, SIG_DFL);
  }
  for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) signal(faults[i], SIG_DFL);
  signal(SIGINT, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}
