// What a pool does where something runs out.
#include "check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { LARGE = 1 << 20 };

/// Lowers a limit of this process; returns what it was.
static struct rlimit lower(int resource, rlim_t value) {
  struct rlimit before, limit;
  getrlimit((__rlimit_resource_t)resource, &before);
  limit = before;
  limit.rlim_cur = value;
  setrlimit((__rlimit_resource_t)resource, &limit);
  return before;
}

/// A pool with the default payload starts in 8 GiB of address space and does what others do: large payloads both ways, in and
/// out of turn, after a death, and results that are lent or have to be copied. In less, an error says what takes it.
void little_address_space(wp_start_method method) {
  if (UNDER_TSAN || UNDER_ASAN) return;  // which take terabytes themselves
  enum { TASKS = 60 };
  struct rlimit before = lower(RLIMIT_AS, (rlim_t)8 << 30);
  unsigned char *bytes = (unsigned char *)calloc(1, LARGE);
  test_lab lab;
  lab_open(&lab, 2, method, TASKS);
  lab.lend = true;
  for (size_t i = 0; i < TASKS; i++) {
    if (i == TASKS / 2) lab_submit(&lab, i, DO_TRAP, NULL, 0);
    else lab_submit(&lab, i, DO_ECHO, bytes, i % 3 == 0 ? LARGE : i % 3 == 1 ? 500 : 8);
  }
  lab_await(&lab, TASKS);
  for (size_t i = 0; i < TASKS; i++) {
    if (i == TASKS / 2) continue;
    size_t length = i % 3 == 0 ? LARGE : i % 3 == 1 ? 500 : 8;
    CHECK(lab.endings[i].outcome.end == WP_TASK_REPLIED && lab.endings[i].outcome.length == length, "task %zu", i);
    if (lab.endings[i].loan != NULL) wp_process_loan_release(lab.endings[i].loan);
  }
  wp_error error;
  memset(&error, 0, sizeof error);
  wp_status status = wp_process_pool_resize(lab.pool, 8, &error);
  CHECK(status == WP_SYSTEM_CALL_FAILED && error.system_errno == ENOMEM && error.rule != NULL, "%s", wp_status_name(status));
  lab_close(&lab);
  lower(RLIMIT_AS, (rlim_t)2 << 30);
  test_lab none;
  wp_process_pool_config config = lab_config(&none, 2, method);
  status = wp_process_pool_create(&config, &none.pool, &error);
  CHECK(status == WP_SYSTEM_CALL_FAILED && error.system_errno == ENOMEM, "%s, errno %d", wp_status_name(status),
        error.system_errno);
  CHECK(error.call != NULL && strcmp(error.call, "mmap(payload buffers)") == 0 && error.rule != NULL, "%s is blamed", error.call);
  setrlimit(RLIMIT_AS, &before);
  free(bytes);
}
