#include "check.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "../../CShim/CWorkerPool/src/platform/wp_clock.h"
#include "../../CShim/CWorkerPool/src/platform/wp_process.h"

// A program that is sent a signal all the time, whose handler lets every system call fail with EINTR.

static atomic_uint handled;

static void count_signal(int number) {
  (void)number;
  atomic_fetch_add(&handled, 1);
}

static void handle_without_restart(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = count_signal;
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction: %s", strerror(errno));
}

/// Has the kernel send this process a signal every 0.5 ms, whoever else runs.
static timer_t start_signals(void) {
  timer_t timer;
  struct sigevent event;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGUSR1;
  struct itimerspec often = {{0, 500000}, {0, 500000}};
  CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0, "timer_create: %s", strerror(errno));
  CHECK(timer_settime(timer, 0, &often, NULL) == 0, "timer_settime: %s", strerror(errno));
  return timer;
}

/// A wait that has an end ends then, however often it is interrupted.
static void check_bounded_wait(void) {
  pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) pause();
  }
  int pidfd = wp_pidfd_open(child);
  unsigned before = atomic_load(&handled);
  uint64_t start = wp_clock_now();
  CHECK(!wp_pidfd_wait(pidfd, 100), "the child is said to have ended");
  uint64_t waited = wp_clock_now() - start;
  CHECK(waited >= 100000000u, "it waited %llu ns of 100 ms", (unsigned long long)waited);
  CHECK(atomic_load(&handled) > before + 10, "%u signals have interrupted the wait", atomic_load(&handled) - before);
  close(pidfd);
  wp_child_end(child);
}

static void check_pool(wp_start_method method, uint32_t round) {
  enum { TASKS = 200, LARGE = 300000 };
  static unsigned char large[LARGE];
  test_lab lab;
  lab_open(&lab, 2, method, TASKS);
  wp_task_options brief = {0};
  brief.timeout_ns = 5000000;
  for (size_t i = 0; i < TASKS; i++) {
    uint64_t number = i;
    if (i % 50 == 7) lab_submit(&lab, i, DO_TRAP, NULL, 0);
    else if (i % 50 == 17) lab_submit_with(&lab, i, DO_PAUSE, NULL, 0, brief);
    else if (i % 10 == 3) lab_submit(&lab, i, DO_ECHO, large, LARGE);
    else lab_submit(&lab, i, DO_INCREMENT, &number, sizeof number);
  }
  lab_await(&lab, TASKS);
  for (size_t i = 0; i < TASKS; i++) {
    const ending *end = &lab.endings[i];
    wp_task_end expected = i % 50 == 7 ? WP_TASK_WORKER_DIED : i % 50 == 17 ? WP_TASK_TIMED_OUT : WP_TASK_REPLIED;
    CHECK(end->times == 1 && end->outcome.end == expected, "round %u, task %zu: end %d, %d times", round, i,
          (int)end->outcome.end, end->times);
    uint64_t number = 0;
    memcpy(&number, end->head, sizeof number);
    if (expected != WP_TASK_REPLIED || i % 10 == 3) continue;
    CHECK(number == i + 1, "round %u, task %zu: %llu", round, i, (unsigned long long)number);
  }
  lab_close(&lab);
}

void interrupts(wp_start_method method) {
  alarm(120);  // where a wait does not end
  handle_without_restart();
  timer_t timer = start_signals();
  check_bounded_wait();
  leftovers before = count_leftovers();
  for (uint32_t round = 0; round < (UNDER_TSAN ? 1 : 3); round++) check_pool(method, round);
  check_leftovers(before, "after pools in a storm of signals");
  timer_delete(timer);
}
