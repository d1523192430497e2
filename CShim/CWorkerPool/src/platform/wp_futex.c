#include "wp_futex.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

bool wp_futex_wait(wp_atomic_u32 *word, uint32_t expected, uint64_t deadline_ns, wp_futex_scope scope) {
  int private_flag = scope == WP_FUTEX_PRIVATE ? FUTEX_PRIVATE_FLAG : 0;
  struct timespec deadline;
  struct timespec *limit = NULL;
  if (deadline_ns != UINT64_MAX) {
    deadline.tv_sec = (time_t)(deadline_ns / 1000000000u);
    deadline.tv_nsec = (long)(deadline_ns % 1000000000u);
    limit = &deadline;
  }
  // FUTEX_WAIT_BITSET takes an absolute deadline on CLOCK_MONOTONIC, so a retry after EINTR needs no arithmetic.
  long result = syscall(SYS_futex, (void *)word, FUTEX_WAIT_BITSET | private_flag, expected, limit, NULL,
                        FUTEX_BITSET_MATCH_ANY);
  return !(result == -1 && errno == ETIMEDOUT);
}

void wp_futex_wake(wp_atomic_u32 *word, int count, wp_futex_scope scope) {
  int private_flag = scope == WP_FUTEX_PRIVATE ? FUTEX_PRIVATE_FLAG : 0;
  syscall(SYS_futex, (void *)word, FUTEX_WAKE | private_flag, count, NULL, NULL, 0);
}
