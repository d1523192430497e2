// A worker that lies about its slots, to live on beyond its task's time or to end a neighbour's task. It costs its own task alone.
#include "hostile.h"

#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "../../CShim/CWorkerPool/src/process/shared/wp_process_layout.h"

/// What a task says of the slots.
enum { LIE_NEXT_STARTED = 1, LIE_NEXT_DONE, LIE_OWN_READY, LIE_ALL_STARTED };

// MARK: In the worker

static uint32_t word_of(wp_reply_slot *slot) { return wp_atomic_load(&slot->state, wp_relaxed); }

void lie(const wp_process_request *request, wp_process_reply *reply) {
  unsigned char *bytes = (unsigned char *)wp_process_reply_reserve(reply, 1);
  wp_reply_slot *slot = (wp_reply_slot *)(void *)(bytes - offsetof(wp_reply_slot, bytes));
  uint32_t position = wp_process_current_task() >> 1;
  uint64_t way = 0;
  memcpy(&way, request->bytes, sizeof way);
  // Where a slot's row begins again the lie would be another one: the tests begin at the first slot.
  if (way == LIE_OWN_READY) {
    wp_atomic_store(&slot->state, wp_slot_word(position, WP_SLOT_READY), wp_seq_cst);
    for (;;) pause();
  }
  uint32_t last = way == LIE_ALL_STARTED ? 3 : 1;
  for (uint32_t next = 1; next <= last; next++) {
    while (word_of(slot + next) != wp_slot_word(position + next, WP_SLOT_READY)) sched_yield();
    uint32_t state = way == LIE_NEXT_DONE ? WP_SLOT_DONE : WP_SLOT_STARTED;
    wp_atomic_store(&slot[next].state, wp_slot_word(position + next, state), wp_seq_cst);
  }
  for (;;) pause();
}

// MARK: In the host

static const wp_task_options short_time = {.timeout_ns = 50000000u, .grace_ns = 10000000u};

static void open_small(test_lab *lab, wp_start_method method) {
  wp_process_pool_config config = lab_config(lab, 1, method);
  config.prefetch = 4;
  lab_open_with(lab, &config, 4);
}

/// Neighbours that stand behind the liar run elsewhere, once.
static void check_neighbours(test_lab *lab) {
  for (uint64_t i = 1; i < 4; i++) {
    ending end = lab_await_task(lab, i);
    uint64_t number = 0;
    memcpy(&number, end.head, sizeof number);
    CHECK(end.outcome.end == WP_TASK_REPLIED && number == i + 1, "task %d ended as %d", (int)i, (int)end.outcome.end);
  }
}

static void submit_neighbours(test_lab *lab) {
  for (uint64_t i = 1; i < 4; i++) lab_submit(lab, i, DO_INCREMENT, &i, sizeof i);
}

static void check_timeout(wp_start_method method, uint64_t way) {
  test_lab lab;
  open_small(&lab, method);
  lab_submit_with(&lab, 0, DO_LIE, &way, sizeof way, short_time);
  submit_neighbours(&lab);
  CHECK(lab_await_task(&lab, 0).outcome.end == WP_TASK_TIMED_OUT, "lie %d saved a task", (int)way);
  check_neighbours(&lab);
  lab_close(&lab);
}

static void check_terminate(wp_start_method method, uint64_t way) {
  test_lab lab;
  open_small(&lab, method);
  uint64_t ticket = lab_submit(&lab, 0, DO_LIE, &way, sizeof way);
  submit_neighbours(&lab);
  lab_await_running(&lab, ticket);
  CHECK(wp_process_pool_terminate(lab.pool, ticket), "lie %d", (int)way);
  CHECK(lab_await_task(&lab, 0).outcome.end == WP_TASK_TERMINATED, "lie %d saved a task", (int)way);
  check_neighbours(&lab);
  lab_close(&lab);
}

/// All that a shutdown with a deadline does.
static void check_shutdown(wp_start_method method, uint64_t way) {
  test_lab lab;
  open_small(&lab, method);
  uint64_t ticket = lab_submit(&lab, 0, DO_LIE, &way, sizeof way);
  submit_neighbours(&lab);
  lab_await_running(&lab, ticket);
  for (uint64_t over = wp_monotonic_now() + 20000000u; wp_monotonic_now() < over;) sched_yield();  // time for the lie
  wp_process_pool_close(lab.pool);
  wp_process_pool_stop_running(lab.pool);
  wp_process_pool_discard_pending(lab.pool);
  CHECK(wp_process_pool_terminate_running(lab.pool) == 1, "one task runs, whatever lie %d says", (int)way);
  CHECK(wp_process_pool_join_until(lab.pool, wp_monotonic_now() + 20000000000u) == WP_OK, "lie %d holds the pool", (int)way);
  lab_await(&lab, 4);
  lab_close(&lab);
}

void lies(wp_start_method method) {
  if (UNDER_TSAN) method = WP_START_REEXEC;  // several pools
  for (uint64_t way = LIE_NEXT_STARTED; way <= LIE_ALL_STARTED; way++) check_timeout(method, way);
  const uint64_t ways[] = {LIE_NEXT_STARTED, LIE_NEXT_DONE, LIE_ALL_STARTED};
  for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) check_terminate(method, ways[i]);
  for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) check_shutdown(method, ways[i]);
}
