// Scenarios of shared memories, lent results and large arguments.
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static wp_shared_memory *make_memory(size_t length, bool workers_write, unsigned char first) {
  wp_shared_memory *memory = NULL;
  wp_error error;
  wp_status status = wp_shared_memory_create(length, workers_write, NULL, &memory, NULL, &error);
  if (status != WP_OK) {
    fprintf(stderr, "shared memory: %s: %s\n", error.call, strerror(error.system_errno));
    exit(1);
  }
  *(unsigned char *)wp_shared_memory_address(memory) = first;
  return memory;
}

/// Submits a task that carries `count` memories and gets their ids.
static uint64_t submit_with(test_lab *lab, size_t task, uint32_t function, wp_shared_memory *const *memories,
                            size_t count) {
  uint64_t ids[WP_PROCESS_MAX_SHARED];
  for (size_t i = 0; i < count; i++) ids[i] = wp_shared_memory_id(memories[i]);
  wp_process_submission submission = lab_submission(task, function, ids, count * sizeof ids[0]);
  submission.shared = memories;
  submission.shared_count = count;
  uint64_t ticket = 0;
  CHECK(wp_process_pool_submit(lab->pool, &submission, &ticket) == WP_OK, "submit of task %zu", task);
  return ticket;
}

static uint64_t number_of(const ending *end) {
  uint64_t number;
  memcpy(&number, end->head, sizeof number);
  return number;
}

static void check_sum(test_lab *lab, size_t task, uint64_t expected) {
  ending end = lab_await_task(lab, task);
  CHECK(end.outcome.end == WP_TASK_REPLIED && end.outcome.reply_code == 0 && number_of(&end) == expected,
        "task %zu: end %d, code %u, %llu, not %llu", task, (int)end.outcome.end, end.outcome.reply_code,
        (unsigned long long)number_of(&end), (unsigned long long)expected);
}

static void check_killed(test_lab *lab, size_t task, int signal_number) {
  ending end = lab_await_task(lab, task);
  CHECK(end.outcome.end == WP_TASK_WORKER_DIED && WIFSIGNALED(end.outcome.wait_status) &&
            WTERMSIG(end.outcome.wait_status) == signal_number,
        "task %zu: end %d, wait status %x", task, (int)end.outcome.end, end.outcome.wait_status);
}

/// Whether a second descriptor of our own shared memory can be had for writing, as a worker that kept one could try.
static bool opens_for_writing(void) {
  bool writable = false;
  for (int i = 3; i < 64; i++) {
    char path[64], target[64] = {0};
    snprintf(path, sizeof path, "/proc/self/fd/%d", i);
    if (readlink(path, target, sizeof target - 1) < 0 || strstr(target, "memfd:shared-array") == NULL) continue;
    int second = open(path, O_RDWR | O_CLOEXEC);
    void *mapped = second < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, second, 0);
    if (mapped != MAP_FAILED) writable = true;
    if (second >= 0 && (write(second, "x", 1) == 1 || ftruncate(second, 0) == 0)) writable = true;
    if (mapped != MAP_FAILED) munmap(mapped, 4096);
    if (second >= 0) close(second);
  }
  return writable;
}

void shared_memories(wp_start_method method) {
  leftovers before = count_leftovers();
  test_lab lab;
  lab_open(&lab, 2, method, 80);
  wp_shared_memory *memories[3] = {make_memory(1, false, 7), make_memory(4097, true, 9),
                                   make_memory((size_t)64 << 20, true, 20)};
  for (size_t i = 0; i < 40; i++) submit_with(&lab, i, DO_SHARED_SUM, memories, 1 + i % 3);
  for (size_t i = 0; i < 40; i++) check_sum(&lab, i, i % 3 == 0 ? 7 : i % 3 == 1 ? 16 : 36);
  // Only tasks that carry it bring it.
  uint64_t unknown = wp_shared_memory_id(memories[2]) + 1;
  lab_submit(&lab, 40, DO_SHARED_SUM, &unknown, sizeof unknown);
  CHECK(lab_await_task(&lab, 40).outcome.reply_code == 404, "a memory that was never sent");
  // What one side writes the other sees.
  uint64_t write[2] = {wp_shared_memory_id(memories[1]), 0xABCDEF};
  wp_process_submission submission = lab_submission(41, DO_SHARED_WRITE, write, sizeof write);
  submission.shared = &memories[1];
  submission.shared_count = 1;
  CHECK(wp_process_pool_submit(lab.pool, &submission, NULL) == WP_OK, "submit");
  lab_await_task(&lab, 41);
  CHECK(*(uint64_t *)wp_shared_memory_address(memories[1]) == 0xABCDEF, "the worker wrote");
  // A read-only one is read-only, whatever a worker tries; and its death is one like any other.
  submit_with(&lab, 42, DO_SHARED_FORCE, &memories[0], 1);
  check_sum(&lab, 42, 0);
  wp_shared_memory *sealed = make_memory(4096, false, 1);
  write[0] = wp_shared_memory_id(sealed);
  submission = lab_submission(43, DO_SHARED_WRITE, write, sizeof write);
  submission.shared = &sealed;
  submission.shared_count = 1;
  CHECK(wp_process_pool_submit(lab.pool, &submission, NULL) == WP_OK, "submit");
  if (!UNDER_ASAN && !UNDER_TSAN) check_killed(&lab, 43, SIGSEGV);
  CHECK(lab_await_task(&lab, 43).outcome.end == WP_TASK_WORKER_DIED, "it wrote to a read-only memory");
  CHECK(*(unsigned char *)wp_shared_memory_address(sealed) == 1, "a worker wrote to a read-only memory");
  // The workers that follow find everything as well.
  for (size_t i = 44; i < 60; i++) submit_with(&lab, i, DO_SHARED_SUM, memories, 3);
  for (size_t i = 44; i < 60; i++) check_sum(&lab, i, 7 + 0xEF + 20);
  for (size_t i = 1; i < 3; i++) wp_shared_memory_destroy(memories[i]);
  CHECK(!opens_for_writing(), "a read-only memory can be opened for writing");
  wp_shared_memory_destroy(memories[0]);
  wp_shared_memory_destroy(sealed);
  lab_close(&lab);
  check_leftovers(before, "after shared memories");
}

/// More memories than cells, as many as a task may carry, and tasks that are stepped over.
void shared_limits(wp_start_method method) {
  enum { MEMORIES = 300, TASKS = 200 };
  test_lab lab;
  lab_open(&lab, 1, method, TASKS);
  static wp_shared_memory *memories[MEMORIES];
  for (size_t i = 0; i < MEMORIES; i++) memories[i] = make_memory(1 + i, false, (unsigned char)(i % 200));
  wp_process_submission submission = lab_submission(0, DO_ECHO, NULL, 0);
  submission.shared = memories;
  submission.shared_count = WP_PROCESS_MAX_SHARED + 1;
  CHECK(wp_process_pool_submit(lab.pool, &submission, NULL) == WP_INVALID_ARGUMENT, "65 memories");
  test_gate gate;
  gate_make(&gate);
  uint64_t first = lab_submit(&lab, 0, DO_AWAIT_FIFO, gate.path, strlen(gate.path));
  lab_await_running(&lab, first);
  // Each is sent to the slot behind the held task, brings new memories, and is taken back there.
  for (size_t i = 1; i < 20; i++) {
    uint64_t ticket = submit_with(&lab, i, DO_SHARED_SUM, memories + i * 10, 10);
    CHECK(wp_process_pool_cancel(lab.pool, ticket), "task %zu has begun", i);
  }
  gate_open(&gate);
  lab_await_task(&lab, 0);
  uint64_t expected[TASKS];
  for (size_t i = 20; i < TASKS; i++) {
    size_t count = i % 5 == 0 ? WP_PROCESS_MAX_SHARED : 3;
    size_t start = i * 37 % (MEMORIES - count);
    expected[i] = 0;
    for (size_t j = start; j < start + count; j++) expected[i] += j % 200;
    submit_with(&lab, i, DO_SHARED_SUM, memories + start, count);
  }
  for (size_t i = 20; i < TASKS; i++) check_sum(&lab, i, expected[i]);
  for (size_t i = 0; i < MEMORIES; i++) wp_shared_memory_destroy(memories[i]);
  gate_remove(&gate);
  lab_close(&lab);
}

/// How many shared memories a worker has mapped.
static size_t mapped_by(int32_t process) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/maps", process);
  return count_in(path, "memfd:shared-array");
}

/// Waits until it has none. A worker that sleeps has been woken for it, so nothing else has to happen.
static bool unmaps_all(int32_t process) {
  time_t end = time(NULL) + 20;
  while (mapped_by(process) != 0 && time(NULL) < end) sched_yield();
  return mapped_by(process) == 0;
}

/// Waits until a worker that spins for `WP_SPIN_DEFAULT_NS` after its last task is asleep.
static void await_sleep(int32_t process) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/status", process);
  while (count_in(path, "State:\tS") == 0) sched_yield();
}

void shared_ends(wp_start_method method) {
  enum { ROUNDS = 10000 };
  test_lab lab;
  lab_open(&lab, 1, method, ROUNDS + 1);
  int32_t worker = 0;
  CHECK(wp_process_pool_worker_pids(lab.pool, &worker, 1) == 1, "one worker");
  wp_shared_memory *kept = make_memory(8192, true, 3);
  submit_with(&lab, ROUNDS, DO_SHARED_SUM, &kept, 1);
  check_sum(&lab, ROUNDS, 3);
  CHECK(mapped_by(worker) == 1, "%zu are mapped", mapped_by(worker));
  leftovers before = count_leftovers();
  for (size_t i = 0; i < ROUNDS; i++) {
    wp_shared_memory *memory = make_memory(8192, i % 2 == 0, (unsigned char)i);
    submit_with(&lab, i, DO_SHARED_SUM, &memory, 1);
    check_sum(&lab, i, i % 256);
    wp_shared_memory_destroy(memory);
  }
  check_leftovers(before, "after 10,000 shared memories");
  wp_shared_memory_destroy(kept);
  CHECK(unmaps_all(worker), "%zu are mapped by an idle worker", mapped_by(worker));
  lab_close(&lab);
}

/// A memory that ends while it is under way, with a task that was taken back.
void shared_taken_back(wp_start_method method) {
  test_lab lab;
  lab_open(&lab, 1, method, 2);
  int32_t worker = 0;
  CHECK(wp_process_pool_worker_pids(lab.pool, &worker, 1) == 1, "one worker");
  test_gate gate;
  gate_make(&gate);
  uint64_t held = lab_submit(&lab, 0, DO_AWAIT_FIFO, gate.path, strlen(gate.path));
  lab_await_running(&lab, held);
  wp_shared_memory *memory = make_memory(8192, true, 3);
  CHECK(wp_process_pool_cancel(lab.pool, submit_with(&lab, 1, DO_SHARED_SUM, &memory, 1)), "it has not begun");
  wp_shared_memory_destroy(memory);
  gate_open(&gate);
  lab_await_task(&lab, 0);
  await_sleep(worker);  // it has received the memory before
  CHECK(unmaps_all(worker), "%zu are mapped by an idle worker", mapped_by(worker));
  gate_remove(&gate);
  lab_close(&lab);
}

/// What a block of `length` bytes at the start of a result buffer holds.
static bool is_intact(const ending *end, uint64_t length) {
  const unsigned char *block = (const unsigned char *)end->outcome.buffer + number_of(end);
  for (uint64_t i = 0; i < length; i++) {
    if (block[i] != length % 251) return false;
  }
  return number_of(end) + length <= end->outcome.buffer_length;
}

void loans(wp_start_method method) {
  enum { LOANS = 12, TASKS = 1000 };
  static const uint64_t sizes[] = {1, 127, 4096, 4097, 1u << 20, 5u << 20};
  leftovers before = count_leftovers();
  test_lab lab;
  lab_open(&lab, 1, method, LOANS + TASKS + 8);
  lab.lend = true;
  size_t lent = 0;
  for (size_t i = 0; i < LOANS; i++) {
    lab_submit(&lab, i, DO_BLOCK, &sizes[i % 6], sizeof sizes[0]);
    lent += lab_await_task(&lab, i).loan != NULL;
  }
  CHECK(lent == WP_PROCESS_MAX_LOANS, "%zu results are lent", lent);
  pthread_mutex_lock(&lab.lock);
  lab.lend = false;
  pthread_mutex_unlock(&lab.lock);
  for (size_t i = LOANS; i < LOANS + TASKS; i++) {
    uint64_t length = 1 + i * 97 % 20000;
    lab_submit(&lab, i, i % 2 == 0 ? DO_ROOM : DO_FILL, &length, sizeof length);
  }
  lab_await(&lab, LOANS + TASKS);
  for (size_t i = LOANS; i < LOANS + TASKS; i++) {
    const ending *end = &lab.endings[i];
    CHECK(end->outcome.end == WP_TASK_REPLIED && end->outcome.reply_code == 0 &&
              end->outcome.length == 1 + i * 97 % 20000 && end->head[0] == (i % 2 == 0 ? 0x5A : 0xA5),
          "task %zu: %zu bytes", i, end->outcome.length);
  }
  // They outlive their worker, the one after it, and the pool.
  lab_submit(&lab, LOANS + TASKS, DO_ABORT, NULL, 0);
  uint64_t length = 1u << 20;
  lab_submit(&lab, LOANS + TASKS + 1, DO_BLOCK, &length, sizeof length);
  lab_await(&lab, LOANS + TASKS + 2);
  CHECK(lab.endings[LOANS + TASKS + 1].outcome.end == WP_TASK_REPLIED, "the worker that follows");
  wp_process_loan_release(lab.endings[0].loan);
  wp_process_pool_close(lab.pool);
  CHECK(wp_process_pool_join(lab.pool) == WP_OK, "join");
  wp_process_pool_release(lab.pool);
  for (size_t i = 1; i < WP_PROCESS_MAX_LOANS; i++) {
    CHECK(is_intact(&lab.endings[i], sizes[i % 6]), "loan %zu has changed", i);
  }
  CHECK(lab.destroyed == 0, "the pool is gone before its loans are");
  for (size_t i = 1; i < WP_PROCESS_MAX_LOANS; i++) wp_process_loan_release(lab.endings[i].loan);
  CHECK(lab.destroyed == 1, "destroy hook called %d times", lab.destroyed);
  free(lab.endings);
  check_leftovers(before, "after loans");
}

// MARK: Large arguments

enum { LARGE = 3 << 20 };

typedef struct sender {
  test_lab *lab;
  size_t first;
  const unsigned char *bytes;
} sender;

/// Submits 40 large tasks, with memory of its own or lent for the call, and cancels some at once.
static void *send_large(void *argument) {
  sender *self = (sender *)argument;
  for (size_t i = self->first; i < self->first + 40; i++) {
    size_t length = LARGE - i;
    unsigned char *copy = (unsigned char *)malloc(length);
    memcpy(copy, self->bytes, length);
    wp_process_submission submission = lab_submission(i, DO_ECHO, copy, length);
    submission.adopt = i % 2 == 0;
    uint64_t ticket = 0;
    CHECK(wp_process_pool_submit(self->lab->pool, &submission, &ticket) == WP_OK, "submit of task %zu", i);
    if (i % 2 != 0) free(copy);
    if (i % 4 >= 2 && wp_process_pool_cancel(self->lab->pool, ticket)) {
      pthread_mutex_lock(&self->lab->lock);
      self->lab->endings[i].times = -1;
      self->lab->ended++;
      pthread_mutex_unlock(&self->lab->lock);
    }
  }
  return NULL;
}

void large_arguments(wp_start_method method) {
  enum { SENDERS = 3, TASKS = SENDERS * 40 };
  unsigned char *bytes = (unsigned char *)malloc(LARGE);
  for (size_t i = 0; i < LARGE; i++) bytes[i] = (unsigned char)(i * 7 + i / 251);
  test_lab lab;
  wp_process_pool_config config = lab_config(&lab, 2, method);
  config.prefetch = 4;
  lab_open_with(&lab, &config, TASKS + 24);
  pthread_t threads[SENDERS];
  sender senders[SENDERS];
  for (size_t i = 0; i < SENDERS; i++) {
    senders[i] = (sender){&lab, i * 40, bytes};
    pthread_create(&threads[i], NULL, send_large, &senders[i]);
  }
  for (size_t i = 0; i < SENDERS; i++) pthread_join(threads[i], NULL);
  lab_await(&lab, TASKS);
  for (size_t i = 0; i < TASKS; i++) {
    const ending *end = &lab.endings[i];
    if (end->times < 0) continue;
    CHECK(end->times == 1 && end->outcome.length == LARGE - i && end->hash == hash_bytes(bytes, LARGE - i),
          "task %zu ended %d times, with %zu bytes", i, end->times, end->outcome.length);
  }
  // Behind a task that is stuck, then behind one whose worker dies: others run them with the argument they were given.
  test_gate gate;
  gate_make(&gate);
  lab_submit(&lab, TASKS, DO_AWAIT_FIFO, gate.path, strlen(gate.path));
  for (size_t i = TASKS + 1; i < TASKS + 11; i++) lab_submit(&lab, i, DO_ECHO, bytes, LARGE);
  for (size_t i = TASKS + 1; i < TASKS + 11; i++) lab_await_task(&lab, i);
  uint64_t held[2];
  for (size_t i = 0; i < 2; i++) held[i] = lab_submit(&lab, TASKS + 11 + i, DO_PAUSE, NULL, 0);
  gate_open(&gate);
  for (size_t i = 0; i < 2; i++) lab_await_running(&lab, held[i]);
  for (size_t i = TASKS + 13; i < TASKS + 24; i++) lab_submit(&lab, i, DO_ECHO, bytes, LARGE);
  int32_t pids[2];
  CHECK(wp_process_pool_worker_pids(lab.pool, pids, 2) == 2, "two workers");
  for (size_t i = 0; i < 2; i++) kill(pids[i], SIGKILL);
  lab_await(&lab, TASKS + 24);
  for (size_t i = TASKS + 1; i < TASKS + 24; i++) {
    if (i == TASKS + 11 || i == TASKS + 12) continue;
    CHECK(lab.endings[i].outcome.length == LARGE && lab.endings[i].hash == hash_bytes(bytes, LARGE), "task %zu", i);
  }
  free(bytes);
  gate_remove(&gate);
  lab_close(&lab);
}

/// Kills the pool's only worker and waits until there is another.
static void replace_worker(test_lab *lab) {
  int32_t before = 0, after = 0;
  CHECK(wp_process_pool_worker_pids(lab->pool, &before, 1) == 1 && kill(before, SIGKILL) == 0, "SIGKILL");
  while (wp_process_pool_worker_pids(lab->pool, &after, 1) == 0 || after == before) sched_yield();
}

/// Arguments that have waited in memory of their own, were sent, and are sent again from where their dead worker left
/// them: that memory is freed once.
void large_again(wp_start_method method) {
  unsigned char *bytes = (unsigned char *)malloc(LARGE);
  for (size_t i = 0; i < LARGE; i++) bytes[i] = (unsigned char)(i * 7 + i / 251);
  test_lab lab;
  lab_open(&lab, 1, method, 4);
  uint64_t first = lab_submit(&lab, 0, DO_PAUSE, NULL, 0);
  lab_submit(&lab, 1, DO_ECHO, NULL, 0);
  wp_task_options options;
  memset(&options, 0, sizeof options);
  options.retries = 1;
  uint64_t held = lab_submit_with(&lab, 2, DO_PAUSE, bytes, LARGE, options);
  lab_submit(&lab, 3, DO_ECHO, bytes, LARGE);
  lab_await_running(&lab, first);
  replace_worker(&lab);
  for (int attempt = 0; attempt < 2; attempt++) {
    lab_await_running(&lab, held);
    replace_worker(&lab);
  }
  check_killed(&lab, 2, SIGKILL);
  ending end = lab_await_task(&lab, 3);
  CHECK(end.outcome.length == LARGE && end.hash == hash_bytes(bytes, LARGE), "the argument has changed");
  free(bytes);
  lab_close(&lab);
}

/// A host that has no descriptor left cannot make more shared memory; what it has made goes on to work.
void out_of_descriptors(wp_start_method method) {
  test_lab lab;
  lab_open(&lab, 1, method, 2);
  wp_shared_memory *memory = make_memory(100, true, 5);
  submit_with(&lab, 0, DO_SHARED_SUM, &memory, 1);
  struct rlimit limit, none;
  getrlimit(RLIMIT_NOFILE, &limit);
  none = limit;
  none.rlim_cur = 3;
  setrlimit(RLIMIT_NOFILE, &none);
  wp_shared_memory *second = NULL;
  wp_error error;
  memset(&error, 0, sizeof error);
  wp_status status = wp_shared_memory_create(100, true, NULL, &second, NULL, &error);
  CHECK(status == WP_SYSTEM_CALL_FAILED && error.system_errno == EMFILE, "%s, %d", wp_status_name(status),
        error.system_errno);
  CHECK(error.call != NULL && strcmp(error.call, "memfd_create") == 0, "%s is blamed", error.call);
  status = wp_shared_memory_create(SIZE_MAX / 2, true, NULL, &second, NULL, &error);
  CHECK(status == WP_SYSTEM_CALL_FAILED && error.call != NULL, "%s", wp_status_name(status));
  check_sum(&lab, 0, 5);
  submit_with(&lab, 1, DO_SHARED_SUM, &memory, 1);
  check_sum(&lab, 1, 5);
  setrlimit(RLIMIT_NOFILE, &limit);
  status = wp_shared_memory_create((size_t)1 << 62, true, NULL, &second, NULL, &error);
  CHECK(status == WP_SYSTEM_CALL_FAILED && error.call != NULL, "%s", wp_status_name(status));
  wp_shared_memory_destroy(memory);
  lab_close(&lab);
}
