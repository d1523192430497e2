// Children of forks that are none of the engine's.
#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/// Makes a memory with this first byte and a pool, and has a task of it read the memory, which is then destroyed.
static void use_pool(wp_start_method method, unsigned char first) {
  wp_error error;
  wp_shared_memory *memory = NULL;
  CHECK(wp_shared_memory_create(4096, false, NULL, &memory, NULL, &error) == WP_OK, "%s", wp_status_name(error.status));
  *(unsigned char *)wp_shared_memory_address(memory) = first;
  test_lab lab;
  lab_open(&lab, 1, method, 1);
  uint64_t id = wp_shared_memory_id(memory);
  wp_process_submission submission = lab_submission(0, DO_SHARED_SUM, &id, sizeof id);
  submission.shared = &memory;
  submission.shared_count = 1;
  CHECK(wp_process_pool_submit(lab.pool, &submission, NULL) == WP_OK, "%s", "submit");
  ending end = lab_await_task(&lab, 0);
  uint64_t sum = 0;
  memcpy(&sum, end.head, sizeof sum);
  CHECK(end.outcome.end == WP_TASK_REPLIED && sum == first, "end %d, sum %d", (int)end.outcome.end, (int)sum);
  wp_shared_memory_destroy(memory);
  lab_close(&lab);
}

/// Leaves nothing of its parent's memory to a child by chance: fills the gaps where the parent has mapped what a child has not.
static void fill_gaps(void) {
  for (size_t size = (size_t)1 << 36; size >= 4096; size /= 2) {
    for (int i = 0; i < 4; i++) mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  }
}

/// A child of its program's own fork makes a pool beside that of its parent.
void pools_after_fork(wp_start_method method) {
  if (UNDER_TSAN) return;  // what was forked cannot be forked again
  test_lab lab;
  lab_open(&lab, 2, method, 1);
  pid_t child = fork();
  if (child == 0) {
    fill_gaps();
    use_pool(method, 7);
    _exit(failures == 0 ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child: %x", (unsigned)status);
  lab_submit(&lab, 0, DO_ECHO, "x", 1);
  lab_await(&lab, 1);
  lab_close(&lab);
  use_pool(method, 9);
}

void look_after_fork(wp_process_reply *reply) {
  uint32_t task = wp_process_current_task();
  pid_t child = fork();
  if (child == 0) {
    size_t length = 0, offset = 0;
    int32_t number = 0;
    bool none = !wp_process_stop_requested(task) && wp_process_current_task() == 0 && wp_process_worker_index() == -1;
    none = none && wp_process_worker_name(0, &length) == NULL && wp_process_worker_block(8, &offset) == NULL;
    none = none && wp_process_worker_view(1, &number) == NULL && wp_process_worker_task() == 0;
    _exit(none ? 0 : 1);
  }
  int found = 0;
  waitpid(child, &found, 0);
  uint64_t status = (uint64_t)(unsigned)found;
  memcpy(wp_process_reply_reserve(reply, sizeof status), &status, sizeof status);
}

/// A child of a task's fork is no worker, and has no task.
void tasks_after_fork(wp_start_method method) {
  if (UNDER_TSAN) return;
  test_lab lab;
  lab_open(&lab, 1, method, 1);
  lab_submit(&lab, 0, DO_LOOK_AFTER_FORK, NULL, 0);
  ending end = lab_await_task(&lab, 0);
  uint64_t status = 1;
  memcpy(&status, end.head, sizeof status);
  CHECK(end.outcome.end == WP_TASK_REPLIED && status == 0, "end %d, the child: %llx", (int)end.outcome.end,
        (unsigned long long)status);
  lab_close(&lab);
}
