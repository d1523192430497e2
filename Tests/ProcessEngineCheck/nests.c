// A pool that a worker of another makes.
#include "check.h"

#include <string.h>

/// What a task of the outer pool is given.
typedef struct nest_order {
  uint64_t method;
  /// Memories that the outer pool has given to this task.
  uint64_t given[9];
} nest_order;

/// Ways in which the inner pool's initializer sees the outer worker's task.
static uint64_t outer_traces(void) {
  int32_t error = 0;
  return (uint64_t)(wp_process_current_task() != 0) + (uint64_t)(wp_process_worker_task() != 0) +
         (uint64_t)(wp_process_task_deadline() != 0) + (uint64_t)(wp_process_worker_view(1, &error) != NULL);
}

void refuse_outer_traces(wp_process_reply *reply) {
  if (outer_traces() != 0) wp_process_reply_set_code(reply, (uint32_t)outer_traces());
}

static void ask_name(test_lab *lab, size_t task) {
  uint32_t name = 0;
  CHECK(wp_process_pool_intern(lab->pool, "inner", 5, &name) == WP_OK && name == 0, "name %u", name);
  uint64_t index = name;
  lab_submit(lab, task, DO_NAME, &index, sizeof index);
  const ending end = lab_await_task(lab, task);
  CHECK(end.outcome.length == 5 && memcmp(end.head, "inner", 5) == 0, "the name is %.5s", end.head);
}

/// More memories than the outer pool has cells, of which each first byte is 1.
static void give_memories(test_lab *lab, size_t task, const nest_order *order) {
  enum { COUNT = 20 };
  uint64_t ids[COUNT + 1];
  wp_shared_memory *memories[COUNT];
  for (size_t i = 0; i < COUNT; i++) {
    wp_error error;
    CHECK(wp_shared_memory_create(4096, false, NULL, &memories[i], NULL, &error) == WP_OK, "no memory");
    *(unsigned char *)wp_shared_memory_address(memories[i]) = 1;
    ids[i] = wp_shared_memory_id(memories[i]);
    for (size_t j = 0; j < 9; j++) CHECK(ids[i] != order->given[j], "two memories have the number %zu", i);
  }
  wp_process_submission submission = lab_submission(task, DO_SHARED_SUM, ids, COUNT * sizeof *ids);
  submission.shared = memories;
  submission.shared_count = COUNT;
  CHECK(wp_process_pool_submit(lab->pool, &submission, NULL) == WP_OK, "submit");
  ending end = lab_await_task(lab, task);
  uint64_t sum = 0;
  memcpy(&sum, end.head, sizeof sum);
  CHECK(end.outcome.end == WP_TASK_REPLIED && end.outcome.reply_code == 0 && sum == COUNT, "end %d, sum %llu",
        (int)end.outcome.end, (unsigned long long)sum);
  // A memory of the outer task is not there, and nothing else in its place.
  lab_submit(lab, task + 1, DO_SHARED_SUM, order->given, sizeof order->given[0]);
  end = lab_await_task(lab, task + 1);
  CHECK(end.outcome.end == WP_TASK_REPLIED && end.outcome.reply_code == 404, "end %d, code %u", (int)end.outcome.end,
        end.outcome.reply_code);
  for (size_t i = 0; i < COUNT; i++) wp_shared_memory_destroy(memories[i]);
}

/// In a worker: uses a pool of its own. Replies with how much was not as it should be.
void nest(const wp_process_request *request, wp_process_reply *reply) {
  nest_order order;
  memcpy(&order, request->bytes, sizeof order);
  failures = 0;
  wp_process_initializer initializer;
  memset(&initializer, 0, sizeof initializer);
  initializer.function = DO_REFUSE_OUTER_TRACES;
  test_lab lab;
  wp_process_pool_config config = lab_config(&lab, 2, (wp_start_method)order.method);
  config.initializer = &initializer;
  lab_open_with(&lab, &config, 5);
  uint64_t number = 41;
  lab_submit(&lab, 0, DO_INCREMENT, &number, sizeof number);
  const ending end = lab_await_task(&lab, 0);
  memcpy(&number, end.head, sizeof number);
  CHECK(number == 42, "%llu", (unsigned long long)number);
  ask_name(&lab, 1);
  give_memories(&lab, 2, &order);
  lab_submit(&lab, 4, DO_TRAP, NULL, 0);
  CHECK(lab_await_task(&lab, 4).outcome.end == WP_TASK_WORKER_DIED, "a trap");
  lab_close(&lab);
  uint64_t found = (uint64_t)failures;
  void *target = wp_process_reply_reserve(reply, sizeof found);
  memcpy(target, &found, sizeof found);
}

void nested(wp_start_method method) {
  if (UNDER_TSAN) return;
  for (int inner = WP_START_FORK; inner <= WP_START_REEXEC; inner++) {
    // One task ahead of none: the outer worker has as few cells as there can be.
    test_lab lab;
    wp_process_pool_config config = lab_config(&lab, 1, method);
    config.prefetch = 1;
    wp_start_method outer = inner == WP_START_FORK ? method : WP_START_REEXEC;  // the host has threads by then
    config.start_method = outer;
    config.handler = outer == WP_START_REEXEC ? NULL : handle_task;
    lab_open_with(&lab, &config, 1);
    nest_order order;
    wp_shared_memory *memories[9];
    memset(&order, 0, sizeof order);
    order.method = (uint64_t)inner;
    for (size_t i = 0; i < 9; i++) {
      wp_error error;
      CHECK(wp_shared_memory_create(4096, false, NULL, &memories[i], NULL, &error) == WP_OK, "no memory");
      order.given[i] = wp_shared_memory_id(memories[i]);
    }
    uint32_t name = 0;
    wp_process_pool_intern(lab.pool, "outer", 5, &name);
    wp_process_submission submission = lab_submission(0, DO_NEST, &order, sizeof order);
    submission.shared = memories;
    submission.shared_count = 9;
    CHECK(wp_process_pool_submit(lab.pool, &submission, NULL) == WP_OK, "submit");
    ending end = lab_await_task(&lab, 0);
    uint64_t found = 0;
    memcpy(&found, end.head, sizeof found);
    CHECK(end.outcome.end == WP_TASK_REPLIED && found == 0, "inner method %d: end %d, wait status %x, %llu faults", inner,
          (int)end.outcome.end, end.outcome.wait_status, (unsigned long long)found);
    for (size_t i = 0; i < 9; i++) wp_shared_memory_destroy(memories[i]);
    lab_close(&lab);
  }
}
