// A worker that does what the fuzzer says, and the host that has to bear it, through the C API alone.
//
// An input is a program for the worker, which gets it as the argument of a task: replies of all sizes, blocks, deaths, and
// writes into whatever shared memory the worker can write to, without knowing what stands there. The host has to end the
// task once, and what it says of the task has to be true: all bytes can be read, and there are no more than the limit.
#include "wp_process_data.h"
#include "wp_process_pool.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PAYLOAD = 1 << 16, MAX_MAPPINGS = 16, STEP = 12, PATIENCE_SECONDS = 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// MARK: The worker

typedef struct mapping {
  unsigned char *start;
  size_t length;
} mapping;

static mapping mappings[MAX_MAPPINGS];
static size_t mapping_count;

/// Finds the shared memory that this process can write to.
static void find_mappings(void) {
  FILE *maps = fopen("/proc/self/maps", "r");
  if (maps == NULL) return;
  char line[512];
  while (mapping_count < MAX_MAPPINGS && fgets(line, sizeof line, maps) != NULL) {
    unsigned long start = 0, end = 0;
    char access[5] = "";
    if (sscanf(line, "%lx-%lx %4s", &start, &end, access) != 3 || strcmp(access, "rw-s") != 0) continue;
    mappings[mapping_count++] = (mapping){(unsigned char *)start, end - start};
  }
  fclose(maps);
}

static unsigned char *place(uint32_t choice, uint32_t offset) {
  if (mapping_count == 0) return NULL;
  const mapping *chosen = &mappings[choice % mapping_count];
  return chosen->start + (size_t)offset * 4 % (chosen->length - 64);
}

__attribute__((no_sanitize("address"))) static void scribble(unsigned char *to, const unsigned char *from, size_t length) {
  for (size_t i = 0; to != NULL && i < length; i++) ((volatile unsigned char *)to)[i] = from[i % 8];
}

/// One step: what to do, where, and with which number.
static void take_step(const unsigned char *step, wp_process_reply *reply) {
  uint32_t offset = (uint32_t)step[2] | (uint32_t)step[3] << 8;
  unsigned char number[8];
  memcpy(number, step + 4, sizeof number);
  uint64_t value;
  memcpy(&value, number, sizeof value);
  size_t ignored = 0;
  switch (step[0] % 8) {
  case 0: scribble(place(step[1], offset), number, 4); break;
  case 1: scribble(place(step[1], offset), number, 8); break;
  case 2: wp_process_reply_set_code(reply, (uint32_t)value); break;
  case 3: {
    unsigned char *room = wp_process_reply_reserve(reply, (size_t)value);
    if (room != NULL) memset(room, step[1], (size_t)value);
    break;
  }
  case 4: {
    unsigned char *block = wp_process_worker_block((size_t)value, &ignored);
    if (block != NULL) memset(block, step[1], (size_t)value);
    break;
  }
  case 5: (void)wp_process_worker_name((uint32_t)value, &ignored); break;
  case 6: scribble(place(step[1], offset), number, 64); break;
  // Rarely, since it takes a new worker.
  default:
    if (step[1] == 0xFF) _exit(step[4]);
  }
}

static void handle(void *context, const wp_process_request *request, wp_process_reply *reply) {
  (void)context;
  if (mapping_count == 0) find_mappings();
  const unsigned char *program = request->bytes;
  for (size_t at = 0; at + STEP <= request->length; at += STEP) take_step(program + at, reply);
}

// MARK: The host

static wp_process_pool *pool;
static _Atomic uint32_t ends;
static _Atomic bool is_broken;

static void fail(const char *what) {
  fprintf(stderr, "%s\n", what);
  abort();
}

/// Reads all that the outcome says there is.
static void check_outcome(void *context, void *token, const wp_task_outcome *outcome) {
  (void)context;
  (void)token;
  static volatile unsigned char sum;
  if (outcome->end > WP_TASK_NO_MEMORY) fail("an end that there is not");
  if (outcome->end == WP_TASK_POOL_BROKEN) atomic_store(&is_broken, true);
  if (outcome->end == WP_TASK_REPLIED) {
    if (outcome->length > MAX_PAYLOAD) fail("a reply over the limit");
    const unsigned char *bytes = outcome->bytes;
    for (size_t i = 0; bytes != NULL && i < outcome->length; i++) sum = (unsigned char)(sum + bytes[i]);
    const unsigned char *area = outcome->buffer;
    for (size_t i = 0; area != NULL && i < outcome->buffer_length; i++) sum = (unsigned char)(sum + area[i]);
  }
  for (size_t i = 0; i < outcome->output_length; i++) sum = (unsigned char)(sum + (unsigned char)outcome->output[i]);
  if (outcome->reason != NULL) sum = (unsigned char)(sum + strlen(outcome->reason));
  atomic_fetch_add(&ends, 1);
}

static void make_pool(void) {
  wp_process_pool_config config = {.worker_count = 1, .start_method = WP_START_FORK, .max_payload = MAX_PAYLOAD};
  config.handler = handle;
  config.hooks.completed = check_outcome;
  wp_error error = {0};
  if (wp_process_pool_create(&config, &pool, &error) != WP_OK) fail("the pool cannot be made");
}

static void replace_pool(void) {
  wp_process_pool_close(pool);
  (void)wp_process_pool_terminate_running(pool);
  (void)wp_process_pool_join(pool);
  wp_process_pool_release(pool);
  atomic_store(&is_broken, false);
  make_pool();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  // Made here: while the fuzzer has no other thread it can be forked.
  if (pool == NULL) make_pool();
  const wp_task_options options = {.timeout_ns = 500000000, .grace_ns = 10000000};
  wp_process_submission submission = {.bytes = data, .length = size, .options = &options};
  uint32_t before = atomic_load(&ends);
  wp_status status = wp_process_pool_submit(pool, &submission, NULL);
  if (status == WP_OK) {
    struct timespec pause = {.tv_nsec = 20000};
    for (long waited = 0; atomic_load(&ends) == before; waited++) {
      if (waited > PATIENCE_SECONDS * 10000L) fail("a task does not end");
      nanosleep(&pause, NULL);
    }
    if (atomic_load(&ends) != before + 1) fail("a task has ended twice");
  }
  if (status == WP_BROKEN || atomic_load(&is_broken)) replace_pool();
  return 0;
}
