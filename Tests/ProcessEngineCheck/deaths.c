// Scenarios in which workers die.
#include "check.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void check_death(test_lab *lab, size_t task, int signal_number, int status) {
  ending end = lab_await_task(lab, task);
  CHECK(end.outcome.end == WP_TASK_WORKER_DIED, "task %zu: end %d", task, (int)end.outcome.end);
  CHECK(end.outcome.worker_pid > 0, "task %zu: worker %d", task, end.outcome.worker_pid);
  int found = end.outcome.wait_status;
  if (signal_number != 0) {
    CHECK(WIFSIGNALED(found) && WTERMSIG(found) == signal_number, "task %zu: wait status %x", task, found);
  } else {
    CHECK(WIFEXITED(found) && WEXITSTATUS(found) == status, "task %zu: wait status %x", task, found);
  }
}

void deaths(wp_start_method method) {
  static const struct {
    uint32_t function;
    int signal_number;
    int status;
  } ways[] = {{DO_TRAP, SIGILL, 0},   {DO_ABORT, SIGABRT, 0}, {DO_SEGV, SIGSEGV, 0},
              {DO_EXIT_3, 0, 3},      {DO__EXIT_0, 0, 0},     {DO_WRITE_ARGUMENT, SIGSEGV, 0},
              {DO_CLOSE_ALL, 0, 115}};
  enum { WAYS = sizeof ways / sizeof ways[0], NEIGHBOURS = 20 };
  test_lab lab;
  lab_open(&lab, 2, method, WAYS * (NEIGHBOURS + 1));
  for (size_t way = 0; way < WAYS; way++) {
    size_t base = way * (NEIGHBOURS + 1);
    // Neighbours before and behind, in the same worker's slots and in the other's.
    for (size_t i = 0; i < NEIGHBOURS / 2; i++) lab_submit(&lab, base + i, DO_ECHO, &i, sizeof i);
    size_t victim = base + NEIGHBOURS;
    lab_submit(&lab, victim, ways[way].function, "argument", 8);
    for (size_t i = NEIGHBOURS / 2; i < NEIGHBOURS; i++) lab_submit(&lab, base + i, DO_ECHO, &i, sizeof i);
    // Whether the collector sleeps when the descriptors are gone is chance; then the task itself has succeeded.
    if (ways[way].function != DO_CLOSE_ALL) check_death(&lab, victim, ways[way].signal_number, ways[way].status);
    lab_await(&lab, base + NEIGHBOURS + 1);
    for (size_t i = 0; i < NEIGHBOURS; i++) {
      ending *end = &lab.endings[base + i];
      CHECK(end->times == 1 && end->outcome.end == WP_TASK_REPLIED && end->hash == hash_bytes(&i, sizeof i),
            "way %zu, neighbour %zu: end %d", way, i, (int)end->outcome.end);
    }
    CHECK(lab.endings[victim].times == 1, "the victim ended %d times", lab.endings[victim].times);
  }
  lab_close(&lab);
}

void killed_from_outside(wp_start_method method) {
  test_lab lab;
  lab_open(&lab, 1, method, 4);
  int32_t before = 0, after = 0;
  CHECK(wp_process_pool_worker_pids(lab.pool, &before, 1) == 1, "one worker");
  kill(before, SIGKILL);  // while it is idle: costs nothing
  lab_submit(&lab, 0, DO_PID, NULL, 0);
  lab_await(&lab, 1);
  CHECK(lab.endings[0].outcome.end == WP_TASK_REPLIED || lab.endings[0].outcome.end == WP_TASK_WORKER_DIED, "end");
  uint64_t ticket = lab_submit(&lab, 1, DO_PAUSE, NULL, 0);
  lab_submit(&lab, 2, DO_ECHO, "behind", 6);
  lab_await_running(&lab, ticket);
  CHECK(wp_process_pool_worker_pids(lab.pool, &after, 1) == 1 && after != before, "a new worker, %d", after);
  kill(after, SIGKILL);
  check_death(&lab, 1, SIGKILL, 0);
  CHECK(lab.endings[1].outcome.worker_pid == after, "worker %d", lab.endings[1].outcome.worker_pid);
  lab_await(&lab, 3);
  CHECK(lab.endings[2].outcome.end == WP_TASK_REPLIED && memcmp(lab.endings[2].head, "behind", 6) == 0, "it went on");
  lab_close(&lab);
}

void queued_survive(wp_start_method method) {
  // Tasks that stand behind the one that dies keep their arguments, their order and their number.
  enum { BEHIND = 15 };
  test_lab lab;
  wp_process_pool_config config = lab_config(&lab, 1, method);
  config.prefetch = 16;
  lab_open_with(&lab, &config, BEHIND + 1);
  uint64_t first = lab_submit(&lab, BEHIND, DO_PAUSE, NULL, 0);
  unsigned char *bytes = (unsigned char *)malloc(200000);
  for (size_t i = 0; i < BEHIND; i++) {
    memset(bytes, (int)i, 200000);
    lab_submit(&lab, i, DO_ECHO, bytes, i * 13000);
  }
  lab_await_running(&lab, first);
  int32_t process = 0;
  wp_process_pool_worker_pids(lab.pool, &process, 1);
  kill(process, SIGKILL);
  lab_await(&lab, BEHIND + 1);
  for (size_t i = 0; i < BEHIND; i++) {
    memset(bytes, (int)i, 200000);
    CHECK(lab.endings[i].outcome.end == WP_TASK_REPLIED && lab.endings[i].hash == hash_bytes(bytes, i * 13000),
          "task %zu: end %d", i, (int)lab.endings[i].outcome.end);
  }
  free(bytes);
  lab_close(&lab);
}

void runs_wild(wp_start_method method) {
  test_lab lab;
  lab_open(&lab, 2, method, 2002);
  lab_submit(&lab, 2000, DO_RUN_WILD, NULL, 0);
  // The host sees the damage when it next looks at that worker; the others' tasks are what makes it look.
  size_t next = 0;
  for (bool over = false; !over && next < 2000; next++) {
    lab_submit(&lab, next, DO_ECHO, &next, sizeof next);
    lab_await_task(&lab, next);
    pthread_mutex_lock(&lab.lock);
    over = lab.endings[2000].times > 0;
    pthread_mutex_unlock(&lab.lock);
  }
  check_death(&lab, 2000, SIGKILL, 0);
  for (size_t i = 0; i < next; i++) {
    CHECK(lab.endings[i].times == 1 && lab.endings[i].outcome.end == WP_TASK_REPLIED, "neighbour %zu", i);
  }
  lab_close(&lab);
}

/// Set in shared memory: workers forked from now on end at once.
static volatile int *stillborn;
static int depth;

static void end_if_asked(void) {
  // The template is our child, a worker its child.
  if (++depth >= 2 && *stillborn != 0) _exit(9);
}

void dies_at_start(wp_start_method method) {
  CHECK(method == WP_START_FORK, "%s", "what a forked child is told here does not survive exec");
  stillborn = (volatile int *)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pthread_atfork(NULL, NULL, end_if_asked);
  leftovers before = count_leftovers();
  test_lab lab;
  *stillborn = 1;
  wp_process_pool_config config = lab_config(&lab, 2, method);
  wp_error error;
  wp_status status = wp_process_pool_create(&config, &lab.pool, &error);
  CHECK(status == WP_BROKEN && error.rule != NULL, "%s", wp_status_name(status));
  check_leftovers(before, "after workers that died at start");
  if (UNDER_TSAN) return;
  *stillborn = 0;
  config.worker_count = 1;
  config.outage_limit_ns = 300000000u;
  lab_open_with(&lab, &config, 4);
  uint64_t first = lab_submit(&lab, 0, DO_PAUSE, NULL, 0);
  for (size_t i = 1; i < 4; i++) lab_submit(&lab, i, DO_ECHO, "x", 1);
  lab_await_running(&lab, first);
  int32_t process = 0;
  wp_process_pool_worker_pids(lab.pool, &process, 1);
  *stillborn = 1;
  kill(process, SIGKILL);
  lab_await(&lab, 4);
  CHECK(lab.endings[0].outcome.end == WP_TASK_WORKER_DIED, "end %d", (int)lab.endings[0].outcome.end);
  for (size_t i = 1; i < 4; i++) {
    CHECK(lab.endings[i].outcome.end == WP_TASK_POOL_BROKEN && lab.endings[i].outcome.reason != NULL, "end %d",
          (int)lab.endings[i].outcome.end);
  }
  wp_process_submission submission = lab_submission(0, DO_ECHO, NULL, 0);
  CHECK(wp_process_pool_submit(lab.pool, &submission, NULL) == WP_BROKEN, "submit to a broken pool");
  lab_close(&lab);
  check_leftovers(before, "after a pool that broke");
}
