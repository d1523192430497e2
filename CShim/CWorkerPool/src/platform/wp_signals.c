#include "wp_signals.h"

#include <string.h>
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

int wp_job_signals_open(void) {
  signal(SIGCHLD, SIG_DFL);  // ignored, it would throw statuses away
  static const int numbers[] = {SIGCHLD, SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT};
  sigset_t mask;
  sigemptyset(&mask);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) sigaddset(&mask, numbers[i]);
  int descriptor = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
  return descriptor < 0 ? -1 : wp_above_stdio(descriptor);
}

uint64_t wp_job_signals_take(int descriptor) {
  struct signalfd_siginfo info;
  uint64_t found = 0;
  while (read(descriptor, &info, sizeof info) > 0) found |= wp_signal_bit((int)info.ssi_signo);
  return found;
}

wp_dispositions wp_signals_dispositions(void) {
  wp_dispositions found = {0, 0};
  struct sigaction action;
  for (int number = 1; number < NSIG; number++) {
    if (sigaction(number, NULL, &action) != 0) continue;
    uint64_t bit = wp_signal_bit(number);
    bool handled = (action.sa_flags & SA_SIGINFO) != 0 || (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN);
    if (handled) found.handled |= bit;
    else if (action.sa_handler == SIG_IGN) found.ignored |= bit;
  }
  return found;
}

static void hear_and_go_on(int number) { (void)number; }

/// What ends a worker whatever its host does: faults, the end of its processor time, and what would throw statuses away.
static bool stays_default(int number) {
  static const int numbers[] = {SIGILL, SIGTRAP, SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGSYS, SIGXCPU, SIGCHLD};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    if (numbers[i] == number) return true;
  }
  return false;
}

/// What somebody tells a whole program, and the program's host is to answer.
static bool is_for_host(int number) {
  static const int numbers[] = {SIGHUP, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2, SIGWINCH, SIGIO, SIGURG, SIGPWR};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    if (numbers[i] == number) return true;
  }
  return number >= SIGRTMIN && number <= SIGRTMAX;
}

static void dispose(int number, const wp_dispositions *host) {
  bool ignored = (host->ignored & wp_signal_bit(number)) != 0;
  bool handled = (host->handled & wp_signal_bit(number)) != 0 || number == SIGTERM || number == SIGHUP;
  bool never_ours = number == SIGINT || number == SIGTTIN || number == SIGTTOU;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = SIG_DFL;
  if (!stays_default(number)) {
    if (ignored || never_ours) {
      action.sa_handler = SIG_IGN;
    } else if (handled && is_for_host(number)) {
      // Not ignored: a program that a task starts would be deaf to it. This one, `exec` turns into the default.
      action.sa_handler = hear_and_go_on;
      action.sa_flags = SA_RESTART;
    }
  }
  sigaction(number, &action, NULL);  // fails for those that nobody may change
}

void wp_signals_dispose_for_worker(const wp_dispositions *host) {
  for (int number = 1; number < NSIG; number++) dispose(number, host);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}
