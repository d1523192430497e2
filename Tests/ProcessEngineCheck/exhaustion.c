// What a pool does where something runs out.
#include "check.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

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
  CHECK(error.call != NULL && strcmp(error.call, "mmap(payload buffers)") == 0, "%s is blamed", error.call);
  CHECK(error.rule != NULL && strstr(error.rule, "three payloads") != NULL, "%s", "the factor");
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

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum { FEW_PAGES = 32 << 10 };

/// Gives memory no more than so many bytes of pages at once.
static bool deny_pages_over(uint32_t bytes) {
  struct sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 5),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MADV_POPULATE_WRITE, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, bytes, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EFAULT),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog filter = {sizeof program / sizeof program[0], program};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

static bool deny_many_pages(void) { return deny_pages_over(FEW_PAGES); }
static bool deny_pages(void) { return deny_pages_over(0); }

static void submit_without_pages(wp_start_method method) {
  unsigned char *bytes = (unsigned char *)calloc(1, LARGE);
  test_lab lab;
  wp_process_pool_config config = lab_config(&lab, 1, method);
  config.prefetch = 2;
  lab_open_with(&lab, &config, 6);
  wp_process_submission submission = lab_submission(0, DO_ECHO, bytes, LARGE);
  wp_status status = wp_process_pool_submit(lab.pool, &submission, NULL);
  CHECK(status == WP_SYSTEM_CALL_FAILED, "%s", wp_status_name(status));
  lab_submit(&lab, 0, DO_ECHO, bytes, 1000);
  // One that has waited: behind as many as the worker takes.
  test_gate gate;
  gate_make(&gate);
  uint64_t held = lab_submit(&lab, 1, DO_AWAIT_FIFO, gate.path, strlen(gate.path));
  lab_await_running(&lab, held);
  lab_submit(&lab, 2, DO_ECHO, bytes, 1000);
  lab_submit(&lab, 3, DO_ECHO, bytes, 1000);
  lab_submit(&lab, 4, DO_ECHO, bytes, LARGE);
  lab_submit(&lab, 5, DO_ECHO, bytes, 8);
  gate_open(&gate);
  lab_await(&lab, 6);
  for (size_t i = 0; i < 6; i++) {
    const wp_task_outcome *outcome = &lab.endings[i].outcome;
    CHECK(outcome->end == (i == 4 ? WP_TASK_NO_MEMORY : WP_TASK_REPLIED), "task %zu: end %d", i, (int)outcome->end);
  }
  CHECK(lab.endings[4].outcome.reason != NULL && strstr(lab.endings[4].outcome.reason, "no memory") != NULL, "%s", "why");
  gate_remove(&gate);
  free(bytes);
  lab_close(&lab);
}

static void create_without_pages(wp_start_method method) {
  test_lab lab;
  wp_process_pool_config config = lab_config(&lab, 2, method);
  wp_error error;
  wp_status status = wp_process_pool_create(&config, &lab.pool, &error);
  CHECK(status == WP_SYSTEM_CALL_FAILED && error.system_errno == ENOMEM, "%s, errno %d", wp_status_name(status),
        error.system_errno);
  CHECK(error.rule != NULL && strstr(error.rule, "share") != NULL, "%s", error.rule == NULL ? "-" : error.rule);
}

/// Pages that the host cannot have, where it is the first to touch them: a start or a task fails, and everything else goes on.
void no_pages(wp_start_method method) {
  if (UNDER_TSAN) method = WP_START_REEXEC;
  CHECK(run_confined("few pages", deny_many_pages, submit_without_pages, method), "seccomp is there");
  CHECK(run_confined("no pages", deny_pages, create_without_pages, method), "seccomp is there");
}

static void check_refused_growth(test_lab *lab, const char *call, int number) {
  wp_error error;
  memset(&error, 0, sizeof error);
  wp_status status = wp_process_pool_resize(lab->pool, 3, &error);
  CHECK(status == WP_SYSTEM_CALL_FAILED && error.system_errno == number, "%s, %s", wp_status_name(status),
        strerror(error.system_errno));
  CHECK(error.call != NULL && strcmp(error.call, call) == 0, "%s is blamed", error.call == NULL ? "nothing" : error.call);
}

static void check_echoes(test_lab *lab, size_t first, size_t count) {
  static const unsigned char bytes[1000];
  for (size_t i = first; i < first + count; i++) lab_submit(lab, i, DO_ECHO, bytes, i % 2 == 0 ? sizeof bytes : 8);
  for (size_t i = first; i < first + count; i++) {
    CHECK(lab_await_task(lab, i).outcome.end == WP_TASK_REPLIED, "task %zu: end %d", i, (int)lab->endings[i].outcome.end);
  }
}

/// Descriptors and address space run out, one after the other, while a pool works: it cannot grow, says for want of what, does
/// what it has to do, and grows when there is some again.
void runs_short(wp_start_method method) {
  if (UNDER_TSAN || UNDER_ASAN) return;  // which need both themselves
  enum { EACH = 40 };
  static const struct {
    int resource;
    const char *call;
    int number;
  } shortages[] = {{RLIMIT_NOFILE, "memfd_create", EMFILE}, {RLIMIT_AS, "mmap(payload buffers)", ENOMEM}};
  for (size_t i = 0; i < sizeof shortages / sizeof shortages[0]; i++) {
    test_lab lab;
    lab_open(&lab, 1, method, 3 * EACH + 1);
    test_gate gate;
    gate_make(&gate);
    uint64_t held = lab_submit(&lab, 3 * EACH, DO_AWAIT_FIFO, gate.path, strlen(gate.path));
    lab_await_running(&lab, held);
    struct rlimit before = lower(shortages[i].resource, shortages[i].resource == RLIMIT_NOFILE ? 3 : (rlim_t)8 << 30);
    check_refused_growth(&lab, shortages[i].call, shortages[i].number);
    setrlimit((__rlimit_resource_t)shortages[i].resource, &before);
    gate_open(&gate);
    lower(shortages[i].resource, shortages[i].resource == RLIMIT_NOFILE ? 3 : (rlim_t)8 << 30);
    check_echoes(&lab, 0, EACH);
    check_refused_growth(&lab, shortages[i].call, shortages[i].number);
    check_echoes(&lab, EACH, EACH);
    setrlimit((__rlimit_resource_t)shortages[i].resource, &before);
    wp_error error;
    CHECK(wp_process_pool_resize(lab.pool, 3, &error) == WP_OK, "%s", "no growth after it");
    int32_t pids[3];
    while (wp_process_pool_worker_pids(lab.pool, pids, 3) < 3) sched_yield();
    check_echoes(&lab, 2 * EACH, EACH);
    CHECK(lab_await_task(&lab, 3 * EACH).outcome.end == WP_TASK_REPLIED, "%s", "the task that ran meanwhile");
    gate_remove(&gate);
    lab_close(&lab);
  }
}
