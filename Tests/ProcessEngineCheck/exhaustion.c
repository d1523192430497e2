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

static int oom_score(int32_t process) {
  char path[64];
  int score = -1;
  snprintf(path, sizeof path, "/proc/%d/oom_score_adj", (int)process);
  FILE *file = fopen(path, "r");
  if (file == NULL || fscanf(file, "%d", &score) != 1) score = -1;
  if (file != NULL) fclose(file);
  return score;
}

/// Workers are likelier victims than their host when memory runs out, and never less likely.
void oom_scores(wp_start_method method) {
  const int scores[2][2] = {{0, 500}, {900, 900}};
  for (size_t i = 0; i < 2; i++) {
    FILE *file = fopen("/proc/self/oom_score_adj", "w");
    if (file == NULL) exit(1);
    fprintf(file, "%d", scores[i][0]);
    if (fclose(file) != 0) continue;  // who starts with more may not be allowed to have less
    test_lab lab;
    lab_open(&lab, 1, method, 1);
    int32_t process = 0;
    wp_process_pool_worker_pids(lab.pool, &process, 1);
    CHECK(oom_score(process) == scores[i][1], "%d of a host with %d", oom_score(process), scores[i][0]);
    lab_close(&lab);
    if (UNDER_TSAN) return;
  }
}
