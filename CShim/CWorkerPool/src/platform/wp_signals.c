#include "wp_signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include "../base/wp_assert.h"
#include "../base/wp_error.h"
#include "wp_process.h"

void wp_signals_block(sigset_t *previous) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, previous);
}

void wp_signals_restore(const sigset_t *mask) { pthread_sigmask(SIG_SETMASK, mask, NULL); }

// MARK: Masks of threads

WP_STATIC_ASSERT(NSIG == 65, "the text below says how many signals there are");

/// The rule that a signal breaks which is to be blocked, or NULL.
static const char *refusal(int number) {
  static const int faults[] = {SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS};
  if (number < 1 || number >= NSIG) return "a signal is a number from 1 to 64";
  if (number == SIGKILL || number == SIGSTOP) return "SIGKILL and SIGSTOP cannot be blocked";
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
    if (number != faults[i]) continue;
    return "a signal that a thread raises by its own instructions (SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, "
           "SIGSYS) would end the program without its handler, and is not to be blocked";
  }
  if (number > SIGSYS && number < SIGRTMIN) return "the signals between SIGSYS and SIGRTMIN belong to the C library";
  return NULL;
}

wp_status wp_signals_check(const int *signals, size_t count, const char *call, wp_error *error) {
  for (size_t i = 0; i < count; i++) {
    const char *rule = refusal(signals[i]);
    if (rule == NULL) continue;
    wp_fail(error, WP_INVALID_ARGUMENT, 0, call, rule);
    if (error != NULL) error->refused = signals[i];
    return WP_INVALID_ARGUMENT;
  }
  return WP_OK;
}

void wp_signals_mask(const int *signals, size_t count, sigset_t *mask) {
  pthread_sigmask(SIG_SETMASK, NULL, mask);
  for (size_t i = 0; i < count; i++) sigaddset(mask, signals[i]);
}

// MARK: Templates and workers

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
