// Many submitters, many tasks, and somebody who kills workers all the while.
#include "check.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUBMITTERS = 4, EACH = 20000, TASKS = SUBMITTERS * EACH };

static bool is_busy(size_t task) { return task % 5 == 0; }

typedef struct submitter {
  test_lab *lab;
  size_t first;
  size_t cancelled;
  unsigned char *taken_back;
} submitter;

/// Under the lab's lock.
static size_t submitted;
static size_t taken;

/// A task that a kill cannot but meet, whatever the machine does with all others.
static void submit_victim(test_lab *lab) {
  pthread_mutex_lock(&lab->lock);
  submitted++;
  pthread_mutex_unlock(&lab->lock);
  lab_await_running(lab, lab_submit(lab, TASKS, DO_PAUSE, NULL, 0));
}

static size_t kill_one(test_lab *lab) {
  static unsigned random = 12345;
  int32_t processes[3];
  size_t count = wp_process_pool_worker_pids(lab->pool, processes, 3);
  random = random * 1103515245u + 12345u;
  return count > 0 && kill(processes[(random >> 16) % count], SIGKILL) == 0;
}

/// Keeps tasks near the workers, so that cancels and kills meet them in their slots and not in the queue.
static void throttle(test_lab *lab) {
  pthread_mutex_lock(&lab->lock);
  while (submitted - lab->ended - taken >= 24) pthread_cond_wait(&lab->changed, &lab->lock);
  submitted++;
  pthread_mutex_unlock(&lab->lock);
}

static void count_taken_back(test_lab *lab) {
  pthread_mutex_lock(&lab->lock);
  taken++;
  pthread_cond_broadcast(&lab->changed);
  pthread_mutex_unlock(&lab->lock);
}

static void *submit_all(void *argument) {
  submitter *self = (submitter *)argument;
  static unsigned char bytes[3000];
  for (size_t i = self->first; i < self->first + EACH; i++) {
    size_t length = i % 97 == 0 ? sizeof bytes : i % 7 * 30;
    throttle(self->lab);
    uint64_t busy = 100000;
    uint64_t ticket = is_busy(i) ? lab_submit(self->lab, i, DO_SPIN, &busy, sizeof busy)
                                 : lab_submit(self->lab, i, DO_ECHO, bytes, length);
    if (i % 11 == 0 && wp_process_pool_cancel(self->lab->pool, ticket)) {
      self->taken_back[i] = 1;
      self->cancelled++;
      count_taken_back(self->lab);
    }
  }
  return NULL;
}

void stress(wp_start_method method) {
  test_lab lab;
  wp_process_pool_config config = lab_config(&lab, 3, method);
  config.prefetch = 4;
  lab_open_with(&lab, &config, TASKS + 1);
  unsigned char *taken_back = (unsigned char *)calloc(TASKS, 1);
  submitter submitters[SUBMITTERS];
  pthread_t threads[SUBMITTERS];
  for (size_t i = 0; i < SUBMITTERS; i++) {
    submitters[i] = (submitter){&lab, i * EACH, 0, taken_back};
    pthread_create(&threads[i], NULL, submit_all, &submitters[i]);
  }
  // A kill each time another 500 tasks have ended, so that their number follows the work and not the clock.
  size_t kills = 0;
  submit_victim(&lab);
  for (size_t goal = 500; goal < TASKS / 2; goal += 500) {
    lab_await(&lab, goal);
    kills += kill_one(&lab);
  }
  while (!lab_has_ended(&lab, TASKS)) kills += kill_one(&lab);
  size_t cancelled = 0;
  for (size_t i = 0; i < SUBMITTERS; i++) {
    pthread_join(threads[i], NULL);
    cancelled += submitters[i].cancelled;
  }
  lab_await(&lab, TASKS + 1 - cancelled);
  wp_process_pool_close(lab.pool);
  CHECK(wp_process_pool_join(lab.pool) == WP_OK, "join");
  CHECK(lab.endings[TASKS].outcome.end == WP_TASK_WORKER_DIED, "the victim ended as %d", (int)lab.endings[TASKS].outcome.end);
  size_t died = 1;
  for (size_t i = 0; i < TASKS; i++) {
    const ending *end = &lab.endings[i];
    CHECK(end->times == !taken_back[i], "task %zu ended %d times", i, end->times);
    died += end->times == 1 && end->outcome.end == WP_TASK_WORKER_DIED;
    size_t length = is_busy(i) ? 8 : i % 97 == 0 ? 3000 : i % 7 * 30;
    CHECK(end->times == 0 || end->outcome.end == WP_TASK_WORKER_DIED ||
              (end->outcome.end == WP_TASK_REPLIED && end->outcome.length == length),
          "task %zu: end %d, length %zu", i, (int)end->outcome.end, end->outcome.length);
  }
  CHECK(died <= kills, "%zu tasks died of %zu kills", died, kills);
  printf("%zu kills, %zu tasks died, %zu were taken back\n", kills, died, cancelled);
  free(taken_back);
  lab_close(&lab);
}
