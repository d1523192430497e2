// Numbers with more bits than the kernel takes of them: to it they are what their lower 32 bits say, and so they have to be
// to the sandbox.
#include "sandboxed.h"

#ifndef WP_SANDBOX

void sandbox_widths(wp_start_method method) { sandbox_refuses(method); }

#else

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define ABOVE (1ull << 32)
#define ALL_ABOVE (0xffffffffull << 32)
#define MAP(descriptor) CALL(mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
/// The clock of the processor time of another process: the first one's.
#define CLOCK_OF_ANOTHER (uint64_t)(((~1u) << 3) | 2u)

static const call forbidden[] = {
    MAP(0), MAP(1), MAP(2), MAP(ABOVE), MAP(ABOVE | 1), MAP(ABOVE | 2), MAP(ALL_ABOVE | 1), MAP(1ull << 63 | 2),
    MAP(UINT64_MAX - 1), CALL(read, ABOVE | 1, 0, 0), CALL(pread64, ABOVE | 1, 0, 0), CALL(write, ABOVE | 9, 0, 0),
    CALL(lseek, ALL_ABOVE | 1, 0, 0), CALL(ioctl, 0, ABOVE | TIOCSTI, ARGUMENT), CALL(kill, ABOVE | 1, 0),
    CALL(kill, ALL_ABOVE, 0), CALL(tgkill, ABOVE | 1, 1, 0), CALL(prctl, ABOVE | PR_SET_DUMPABLE, 1),
    CALL(prctl, ABOVE | PR_SET_SECCOMP, 0), CALL(madvise, ARGUMENT, 0, ABOVE | 100), CALL(madvise, ARGUMENT, 0, 9),
    CALL(madvise, ARGUMENT, 0, 12), CALL(sched_getaffinity, ABOVE | 1, 8, 0), CALL(prlimit64, ABOVE | 1, RLIMIT_CPU, 0, 0),
    CALL(prlimit64, 0, ABOVE | RLIMIT_CPU, ARGUMENT, 0), CALL(prlimit64, 0, RLIMIT_CPU, ABOVE, 0),
    CALL(move_pages, ABOVE | 1), CALL(move_pages, 0, 0, 0, ABOVE, 0, 0), CALL(clone, ABOVE | 17),
    CALL(clone, ABOVE << 16 | 17), CALL(rt_sigaction, ALL_ABOVE | 31, 0, 0, 8), CALL(futex, ARGUMENT, ABOVE | 2, 0, 0),
    CALL(mbind, 0, 0, 0, 0, 0, ABOVE | 4), CALL(clock_gettime, CLOCK_OF_ANOTHER, 0),
    CALL(clock_gettime, ALL_ABOVE | CLOCK_OF_ANOTHER, 0), CALL(clock_getres, CLOCK_OF_ANOTHER, 0),
    CALL(clock_nanosleep, CLOCK_OF_ANOTHER, 0, 0, 0), CALL(timer_create, CLOCK_OF_ANOTHER, 0, 0),
};

/// What these answer, 0 or an error number, they answer without the bits above as well.
static const call allowed[] = {
    CALL(read, ABOVE, ARGUMENT, 1), CALL(write, ALL_ABOVE | 2, ARGUMENT, 0),
    CALL(clock_gettime, ABOVE | CLOCK_MONOTONIC, 0), CALL(clock_getres, 0xfffffffau, 0),
    CALL(clock_getres, ALL_ABOVE | 0xfffffffeu, 0), CALL(sched_getaffinity, ABOVE, 0, 0),
    CALL(prlimit64, ABOVE, ABOVE | RLIMIT_DATA, 0, 0), CALL(madvise, 0, 0, ABOVE | MADV_DONTNEED),
    CALL(futex, ARGUMENT, ABOVE | 1, 0), CALL(rt_sigaction, ABOVE | 10, 0, 0, 8), CALL(ioctl, 9, ALL_ABOVE | TCGETS, 0),
    CALL(kill, 0, 0), CALL(kill, ALL_ABOVE, 0),
};

enum { FORBIDDEN = sizeof forbidden / sizeof forbidden[0], ALLOWED = sizeof allowed / sizeof allowed[0] };

static const char contents[] = "what the program wrote before";

/// A file of the program's, which is its standard output from now on; what that was before is returned.
static int print_to_file(int *file) {
  char path[] = "/tmp/worker-pool-output-XXXXXX";
  *file = mkstemp(path);
  int before = dup(STDOUT_FILENO);
  if (*file < 0 || before < 0 || unlink(path) != 0 || ftruncate(*file, 4096) != 0) exit(1);
  if (write(*file, contents, sizeof contents) != (ssize_t)sizeof contents) exit(1);
  if (dup2(*file, STDOUT_FILENO) < 0) exit(1);
  return before;
}

static void check_forbidden_calls(void) {
  test_lab lab;
  open_sandboxed(&lab, 2, FORBIDDEN);
  for (size_t i = 0; i < FORBIDDEN; i++) submit_call(&lab, i, DO_SYSTEM_CALL, &forbidden[i]);
  for (size_t i = 0; i < FORBIDDEN; i++) check_forbidden(&lab, i, forbidden[i].name, "too wide");
  lab_close(&lab);
}

static void check_allowed_calls(void) {
  test_lab lab;
  open_sandboxed(&lab, 1, ALLOWED);
  int32_t first = 0, last = 0;
  CHECK(wp_process_pool_worker_pids(lab.pool, &first, 1) == 1, "one worker");
  for (size_t i = 0; i < ALLOWED; i++) {
    call made = allowed[i];
    if (made.number == SYS_kill) made.arguments[0] |= (uint32_t)first;
    submit_call(&lab, i, DO_SYSTEM_CALL, &made);
  }
  for (size_t i = 0; i < ALLOWED; i++) {
    ending end = lab_await_task(&lab, i);
    CHECK(end.outcome.end == WP_TASK_REPLIED, "%s (%zu): end %d", allowed[i].name, i, (int)end.outcome.end);
  }
  CHECK(wp_process_pool_worker_pids(lab.pool, &last, 1) == 1 && last == first, "the worker did not die");
  lab_close(&lab);
}

void sandbox_widths(wp_start_method method) {
  if (method == WP_START_FORK) return;
  int file;
  int before = print_to_file(&file);
  check_forbidden_calls();
  check_allowed_calls();
  dup2(before, STDOUT_FILENO);
  close(before);
  char found[sizeof contents];
  CHECK(pread(file, found, sizeof found, 0) == (ssize_t)sizeof found && memcmp(found, contents, sizeof found) == 0, "%s",
        "the program's output was changed");
  close(file);
}

#endif
