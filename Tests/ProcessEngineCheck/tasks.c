// Scenarios in which no process dies.
#include "check.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void round_trips(wp_start_method method) {
  enum { TASKS = 20000 };
  test_lab lab;
  lab_open(&lab, 2, method, TASKS);
  for (uint64_t i = 0; i < TASKS; i++) lab_submit(&lab, i, DO_INCREMENT, &i, sizeof i);
  lab_await(&lab, TASKS);
  for (uint64_t i = 0; i < TASKS; i++) {
    uint64_t got = 0;
    memcpy(&got, lab.endings[i].head, sizeof got);
    CHECK(lab.endings[i].times == 1 && lab.endings[i].outcome.end == WP_TASK_REPLIED && got == i + 1,
          "task %llu ended %d times with %llu", (unsigned long long)i, lab.endings[i].times, (unsigned long long)got);
  }
  lab_close(&lab);
}

size_t memory_in_use(void) {
  size_t used = 0;
  for (int i = 3; i < 64; i++) {
    char path[64], target[64] = {0};
    snprintf(path, sizeof path, "/proc/self/fd/%d", i);
    struct stat status;
    bool writable = (fcntl(i, F_GETFL) & O_ACCMODE) == O_RDWR;  // each file once
    if (writable && readlink(path, target, sizeof target - 1) > 0 && strstr(target, "memfd:worker-pool") != NULL &&
        fstat(i, &status) == 0) {
      used += (size_t)status.st_blocks * 512;
    }
  }
  return used;
}

void payload_sizes(wp_start_method method) {
  static const size_t sizes[] = {0, 1, 79, 80, 81, 111, 112, 113, 4095, 4096, 4097, 1u << 20, (1u << 20) + 1, 5u << 20};
  enum { SIZES = sizeof sizes / sizeof sizes[0], ROUNDS = 6 };
  test_lab lab;
  lab_open(&lab, 2, method, SIZES * ROUNDS + 1);
  unsigned char *bytes = (unsigned char *)malloc(sizes[SIZES - 1]);
  for (size_t i = 0; i < sizes[SIZES - 1]; i++) bytes[i] = (unsigned char)(i * 7 + i / 251);
  for (size_t i = 0; i < SIZES * ROUNDS; i++) lab_submit(&lab, i, DO_ECHO, bytes, sizes[i % SIZES]);
  lab_await(&lab, SIZES * ROUNDS);
  size_t used = memory_in_use();
  for (size_t i = 0; i < SIZES * ROUNDS; i++) {
    size_t size = sizes[i % SIZES];
    const ending *end = &lab.endings[i];
    CHECK(end->times == 1 && end->outcome.length == size && end->hash == hash_bytes(bytes, size),
          "%zu bytes came back as %zu", size, end->outcome.length);
  }
  // Pages stay warm for the next task, 4 MiB of each buffer, and are given back when the pool has been idle for a while.
  CHECK(used > 1u << 20, "%zu bytes are kept", used);
  for (time_t end = time(NULL) + 20; used > 1u << 19 && time(NULL) < end; used = memory_in_use()) sched_yield();
  CHECK(used > 0 && used <= 1u << 19, "%zu bytes are kept by an idle pool", used);
  // And again, so that the first time was not the last.
  lab_submit(&lab, SIZES * ROUNDS, DO_ECHO, bytes, 1u << 20);
  lab_await(&lab, SIZES * ROUNDS + 1);
  used = memory_in_use();
  CHECK(used > 1u << 20, "%zu bytes are kept after another task", used);
  for (time_t end = time(NULL) + 20; used > 1u << 19 && time(NULL) < end; used = memory_in_use()) sched_yield();
  CHECK(used > 0 && used <= 1u << 19, "%zu bytes are kept by a pool that is idle again", used);
  free(bytes);
  lab_close(&lab);
}

void reply_limits(wp_start_method method) {
  test_lab lab;
  wp_process_pool_config config = lab_config(&lab, 1, method);
  config.max_payload = 1000;
  lab_open_with(&lab, &config, 5);
  char large[1001] = {0};
  wp_process_submission submission = lab_submission(0, DO_ECHO, large, 1001);
  CHECK(wp_process_pool_submit(lab.pool, &submission, NULL) == WP_TOO_LARGE, "1001 of 1000 bytes");
  lab_submit(&lab, 0, DO_ECHO, large, 1000);
  uint64_t length = 1001;
  lab_submit(&lab, 1, DO_FILL, &length, sizeof length);
  lab_submit(&lab, 2, DO_RESERVE_ONLY, &length, sizeof length);
  length = UINT64_MAX;
  lab_submit(&lab, 3, DO_FILL, &length, sizeof length);
  length = 1000;
  lab_submit(&lab, 4, DO_FILL, &length, sizeof length);
  lab_await(&lab, 5);
  CHECK(lab.endings[0].outcome.length == 1000, "got %zu", lab.endings[0].outcome.length);
  CHECK(lab.endings[1].outcome.end == WP_TASK_REPLY_TOO_LARGE, "end %d", (int)lab.endings[1].outcome.end);
  CHECK(lab.endings[1].outcome.length == 1001 && lab.endings[1].outcome.limit == 1000, "both sizes are told");
  CHECK(lab.endings[2].outcome.end == WP_TASK_REPLIED && lab.endings[2].head[0] == 1, "a later reservation counts");
  CHECK(lab.endings[2].outcome.reply_code == 77, "code %u", lab.endings[2].outcome.reply_code);
  CHECK(lab.endings[3].outcome.end == WP_TASK_REPLY_TOO_LARGE, "end %d", (int)lab.endings[3].outcome.end);
  CHECK(lab.endings[4].outcome.end == WP_TASK_REPLIED && lab.endings[4].head[15] == 0xA5, "exactly the limit");
  lab_close(&lab);
}

static void check_process_name(int32_t process, const char *expected) {
  char path[64], name[32] = {0};
  snprintf(path, sizeof path, "/proc/%d/comm", process);
  FILE *file = fopen(path, "r");
  if (file != NULL && fgets(name, sizeof name, file) != NULL) name[strcspn(name, "\n")] = '\0';
  if (file != NULL) fclose(file);
  CHECK(strcmp(name, expected) == 0, "process %d is called '%s', not '%s'", process, name, expected);
}

void names_and_identity(wp_start_method method) {
  test_lab lab;
  wp_process_pool_config config = lab_config(&lab, 1, method);
  config.name = "a-long-nxy\xc3\xa4\xc3\xb6\xc3\xb6";  // 13 bytes are left of it, which would end inside the first ö
  signal(SIGUSR2, SIG_IGN);
  lab_open_with(&lab, &config, 8);
  uint32_t first = 9, second = 9, same = 9;
  CHECK(wp_process_pool_intern(lab.pool, "alpha", 5, &first) == WP_OK && first == 0, "index %u", first);
  CHECK(wp_process_pool_intern(lab.pool, "", 0, &second) == WP_OK && second == 1, "index %u", second);
  CHECK(wp_process_pool_intern(lab.pool, "alpha", 5, &same) == WP_OK && same == 0, "index %u", same);
  static char huge[5 << 20];
  CHECK(wp_process_pool_intern(lab.pool, huge, sizeof huge, &same) == WP_TOO_LARGE, "5 MiB of name");
  int32_t pids[4] = {0};
  CHECK(wp_process_pool_worker_pids(lab.pool, pids, 4) == 1, "one worker");
  CHECK(kill(pids[0], SIGINT) == 0, "SIGINT is the host's to answer");
  lab_submit(&lab, 0, DO_NAME, &first, sizeof first);
  second = 2;
  lab_submit(&lab, 1, DO_NAME, &second, sizeof second);
  lab_submit(&lab, 2, DO_PID, NULL, 0);
  lab_submit(&lab, 3, DO_SIGNALS, NULL, 0);
  lab_await(&lab, 4);
  CHECK(memcmp(lab.endings[0].head, "alpha", 5) == 0 && lab.endings[0].outcome.length == 5, "the name");
  CHECK(lab.endings[1].outcome.reply_code == 404, "no such name");
  int32_t identity[2];
  memcpy(identity, lab.endings[2].head, sizeof identity);
  CHECK(identity[0] == pids[0] && lab.endings[2].outcome.worker_pid == pids[0], "%d, %d", identity[0], pids[0]);
  CHECK(identity[1] == 0, "index %d", identity[1]);
  CHECK(wp_process_worker_index() == -1, "the host is no worker");
  uint64_t found[2];
  memcpy(found, lab.endings[3].head, sizeof found);
  uint64_t never = (uint64_t)1 << SIGINT | (uint64_t)1 << SIGTTIN | (uint64_t)1 << SIGTTOU;
  CHECK(found[0] == (never | (uint64_t)1 << SIGUSR2), "ignored: %llx", (unsigned long long)found[0]);
  CHECK(found[1] == 1, "stdin is empty");
  check_process_name(pids[0], "a-long-nxy\xc3\xa4-0");
  check_process_name(wp_process_pool_template_pid(lab.pool), "a-long-template");
  lab_close(&lab);
}

void cancels(wp_start_method method) {
  test_lab lab;
  test_gate gate;
  gate_make(&gate);
  lab_open(&lab, 1, method, 11);
  uint64_t tickets[11];
  tickets[0] = lab_submit(&lab, 0, DO_AWAIT_FIFO, gate.path, strlen(gate.path));
  for (size_t i = 1; i < 11; i++) tickets[i] = lab_submit(&lab, i, DO_ECHO, "x", 1);
  lab_await_running(&lab, tickets[0]);
  CHECK(!wp_process_pool_cancel(lab.pool, tickets[0]), "a running task is not taken back");
  for (size_t i = 1; i < 11; i += 2) {
    CHECK(wp_process_pool_cancel(lab.pool, tickets[i]), "task %zu waits", i);  // task 1 in its slot, the rest pending
    CHECK(!wp_process_pool_cancel(lab.pool, tickets[i]), "task %zu is taken back already", i);
    CHECK(!wp_process_pool_is_running(lab.pool, tickets[i]), "task %zu does not run", i);
  }
  CHECK(!wp_process_pool_cancel(lab.pool, 0) && !wp_process_pool_cancel(lab.pool, UINT64_MAX), "no such ticket");
  gate_open(&gate);
  lab_await(&lab, 6);
  wp_process_pool_close(lab.pool);
  CHECK(wp_process_pool_join(lab.pool) == WP_OK, "join");
  for (size_t i = 0; i < 11; i++) {
    CHECK(lab.endings[i].times == (i % 2 == 0), "task %zu ended %d times", i, lab.endings[i].times);
  }
  gate_remove(&gate);
  lab_close(&lab);
}

void discards(wp_start_method method) {
  test_lab lab;
  test_gate gate;
  gate_make(&gate);
  lab_open(&lab, 1, method, 200);
  uint64_t first = lab_submit(&lab, 0, DO_AWAIT_FIFO, gate.path, strlen(gate.path));
  for (size_t i = 1; i < 200; i++) lab_submit(&lab, i, DO_ECHO, "a payload that is longer than the table keeps", 45);
  lab_await_running(&lab, first);
  CHECK(wp_process_pool_join(lab.pool) == WP_INVALID_ARGUMENT, "join of an open pool");
  wp_process_pool_close(lab.pool);
  wp_process_submission submission = lab_submission(0, DO_ECHO, NULL, 0);
  CHECK(wp_process_pool_submit(lab.pool, &submission, NULL) == WP_SHUT_DOWN, "submit to a closed pool");
  size_t count = wp_process_pool_discard_pending(lab.pool);
  CHECK(count == 199, "%zu of 199 discarded", count);
  CHECK(wp_process_pool_discard_pending(lab.pool) == 0, "nothing is left to discard");
  gate_open(&gate);
  lab_await(&lab, 200);
  for (size_t i = 0; i < 200; i++) {
    wp_task_end end = i == 0 ? WP_TASK_REPLIED : WP_TASK_DISCARDED;
    CHECK(lab.endings[i].times == 1 && lab.endings[i].outcome.end == end, "task %zu: end %d", i,
          (int)lab.endings[i].outcome.end);
  }
  gate_remove(&gate);
  lab_close(&lab);
}

void takes_over(wp_start_method method) {
  test_lab lab;
  test_gate gate;
  gate_make(&gate);
  wp_process_pool_config config = lab_config(&lab, 2, method);
  config.prefetch = 5;
  lab_open_with(&lab, &config, 41);
  // One worker is stuck; whatever was sent to it meanwhile must be run by the other, while the first is stuck still.
  lab_submit(&lab, 40, DO_AWAIT_FIFO, gate.path, strlen(gate.path));
  static unsigned char bytes[9000];
  for (size_t i = 0; i < 40; i++) lab_submit(&lab, i, DO_ECHO, bytes, i % 2 == 0 ? 9000 : 90);
  for (size_t i = 0; i < 40; i++) {
    ending end = lab_await_task(&lab, i);
    CHECK(end.outcome.length == (i % 2 == 0 ? 9000 : 90), "task %zu", i);
  }
  CHECK(lab_ended(&lab) == 40, "%zu ended", lab_ended(&lab));
  gate_open(&gate);
  lab_await(&lab, 41);
  gate_remove(&gate);
  lab_close(&lab);
}

static void check_refused(wp_process_pool_config config, wp_status expected, const char *call) {
  wp_process_pool *pool = NULL;
  wp_error error;
  memset(&error, 0, sizeof error);
  wp_status status = wp_process_pool_create(&config, &pool, &error);
  CHECK(status == expected && error.status == expected, "%s: %s", call, wp_status_name(status));
  CHECK(error.call != NULL && strcmp(error.call, call) == 0, "%s is blamed for %s", error.call, call);
  CHECK(error.rule != NULL, "%s: no rule", call);
}

static void *create_on_second_thread(void *argument) {
  test_lab *self = (test_lab *)argument;
  check_refused(lab_config(self, 1, WP_START_FORK), WP_UNSUPPORTED, "start_method");
  return NULL;
}

static void check_initializers_refused(wp_start_method method) {
  test_lab lab;
  wp_process_pool_config config = lab_config(&lab, 1, method);
  wp_process_initializer initializer;
  memset(&initializer, 0, sizeof initializer);
  initializer.function = DO_ECHO;
  initializer.length = 1;
  config.initializer = &initializer;
  check_refused(config, WP_INVALID_ARGUMENT, "initializer");
  initializer.length = 0;
  initializer.name_length = 1;
  check_refused(config, WP_INVALID_ARGUMENT, "initializer");
}

static void check_memories_refused(void) {
  const int missing[] = {-1};
  const wp_memory_placement placements[] = {
      {(wp_memory_policy)9, NULL, 0}, {WP_MEMORY_ON_NODES, NULL, 0}, {WP_MEMORY_ON_NODES, NULL, 1},
      {WP_MEMORY_INTERLEAVED, NULL, 1}, {WP_MEMORY_INTERLEAVED, missing, 1}};
  const char *calls[] = {"placement", "nodes", "nodes", "nodes", "nodes", "length"};
  for (size_t i = 0; i < 6; i++) {
    const wp_memory_placement *placement = i < 5 ? &placements[i] : NULL;
    size_t length = i < 5 ? 4096 : 0;
    wp_shared_memory *memory = NULL;
    void *address = NULL;
    wp_error errors[2];
    memset(errors, 0, sizeof errors);
    wp_shared_memory_create(length, true, placement, &memory, NULL, &errors[0]);
    wp_memory_create(length, placement, &address, NULL, &errors[1]);
    CHECK(memory == NULL && address == NULL, "memory %zu", i);
    for (size_t j = 0; j < 2; j++) {
      bool blamed = errors[j].call != NULL && strcmp(errors[j].call, calls[i]) == 0 && errors[j].rule != NULL;
      CHECK(errors[j].status == WP_INVALID_ARGUMENT && blamed, "memory %zu: %s, %s", i, wp_status_name(errors[j].status),
            errors[j].call);
    }
  }
}

/// What is refused stays its owner's: adopted bytes are not freed, and no token comes back.
static void check_submissions_refused(wp_start_method method) {
  test_lab lab;
  lab_open(&lab, 1, method, 1);
  wp_shared_memory *memory = NULL;
  CHECK(wp_shared_memory_create(1, true, NULL, &memory, NULL, NULL) == WP_OK, "a memory of one byte");
  wp_shared_memory *const twice[] = {memory, memory}, *const none[] = {NULL};
  unsigned char *adopted = (unsigned char *)malloc(9000);
  const wp_process_submission refused[] = {
      {.length = 1}, {.length = 9000}, {.shared_count = 1}, {.shared_count = WP_PROCESS_MAX_SHARED + 1, .shared = twice},
      {.shared_count = 2, .shared = twice}, {.shared_count = 1, .shared = none},
      {.bytes = adopted, .length = 9000, .adopt = true, .shared_count = 1}};
  for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
    wp_process_submission submission = refused[i];
    submission.token = &lab;
    wp_status status = wp_process_pool_submit(lab.pool, &submission, NULL);
    CHECK(status == WP_INVALID_ARGUMENT, "submission %zu: %s", i, wp_status_name(status));
  }
  free(adopted);
  // A timeout that does not end is none.
  wp_task_options options;
  memset(&options, 0, sizeof options);
  options.timeout_ns = options.grace_ns = UINT64_MAX;
  lab_submit_with(&lab, 0, DO_TELL_STOP, NULL, 0, options);
  ending end = lab_await_task(&lab, 0);
  CHECK(end.outcome.end == WP_TASK_REPLIED && end.head[0] == 0 && end.outcome.length == 16, "end %d", (int)end.outcome.end);
  uint64_t left = 0;
  memcpy(&left, end.head + 8, sizeof left);
  CHECK(left == 0, "%llu ns are left of a timeout for ever", (unsigned long long)left);
  wp_shared_memory_destroy(memory);
  lab_close(&lab);
}

void bad_arguments(wp_start_method method) {
  test_lab lab;
  leftovers before = count_leftovers();
  wp_process_pool_config config = lab_config(&lab, 1025, method);
  check_refused(config, WP_INVALID_ARGUMENT, "worker_count");
  config = lab_config(&lab, 1, method);
  config.prefetch = 17;
  check_refused(config, WP_INVALID_ARGUMENT, "prefetch");
  config = lab_config(&lab, 1, method);
  config.max_payload = (size_t)1 << 41;
  check_refused(config, WP_INVALID_ARGUMENT, "max_payload");
  config = lab_config(&lab, 1, WP_START_FORK);
  config.handler = NULL;
  check_refused(config, WP_INVALID_ARGUMENT, "handler");
  check_initializers_refused(method);
  check_memories_refused();
  check_submissions_refused(method);
  pthread_t thread;
  pthread_create(&thread, NULL, create_on_second_thread, &lab);
  pthread_join(thread, NULL);
  // A thread that was joined may still be on its way out; nothing of ours was ever there.
  before.threads = count_leftovers().threads;
  check_leftovers(before, "after pools that were refused");
}

void pinned(wp_start_method method) {
  cpu_set_t allowed, mask;
  CHECK(sched_getaffinity(0, sizeof allowed, &allowed) == 0, "sched_getaffinity");
  int cpus[2] = {-1, -1};
  for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (CPU_ISSET(cpu, &allowed)) cpus[cpus[0] >= 0] = (int)cpu;
  }
  if (cpus[1] < 0) cpus[1] = cpus[0];
  test_lab lab;
  wp_process_pool_config config = lab_config(&lab, 3, method);
  config.affinity.policy = WP_AFFINITY_CPUS;
  config.affinity.cpus = cpus;
  config.affinity.cpu_count = 2;
  lab_open_with(&lab, &config, 1);
  int32_t pids[3];
  CHECK(wp_process_pool_worker_pids(lab.pool, pids, 3) == 3, "three workers");
  for (int i = 0; i < 3; i++) {
    CHECK(sched_getaffinity(pids[i], sizeof mask, &mask) == 0, "worker %d", i);
    CHECK(CPU_COUNT(&mask) == 1 && CPU_ISSET((size_t)cpus[i % 2], &mask), "worker %d is not on CPU %d", i, cpus[i % 2]);
  }
  lab_close(&lab);
}
