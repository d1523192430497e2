// A worker that writes nonsense wherever it can, all the time, beside one that behaves: scribble.c is what it does. The
// host must neither crash nor hang, end every task once, and return what the other worker computed.
#include "hostile.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUBMITTERS = 3, AT_ONCE = 4, JOBS = SUBMITTERS * AT_ONCE, SCRIBBLES = 100000, DEATHS = 100 };
enum { PENDING = 0, ENDED = 1 };

/// One task at a time; `generation` tells it from the ones before it.
typedef struct hostile_job {
  _Atomic uint32_t word;
  _Atomic uint32_t generation;
  uint32_t function;
  uint64_t number;
  size_t length;
} hostile_job;

typedef struct hostile_host {
  wp_process_pool *pool;
  wp_shared_memory *memory;
  int32_t neighbour;
  /// Whether waiting threads collect.
  bool driven;
  hostile_job jobs[JOBS];
  unsigned char *argument;
  _Atomic uint32_t ends[WP_TASK_NO_MEMORY + 1];
  _Atomic uint32_t by_neighbour;
} hostile_host;

static uint64_t scribbled(const hostile_host *self) {
  return atomic_load((_Atomic uint64_t *)wp_shared_memory_address(self->memory));
}

// MARK: Ends

static size_t count_unequal(const unsigned char *bytes, size_t length, const unsigned char *expected, size_t step) {
  size_t count = 0;
  for (size_t i = 0; i < length; i++) count += bytes[i] != expected[i * step];
  return count;
}

/// Of a task that the worker ran which behaves: everything is known.
static void check_neighbour(const hostile_host *self, const hostile_job *job, const wp_task_outcome *outcome) {
  CHECK(outcome->end == WP_TASK_REPLIED, "function %u ended as %d beside a hostile worker", job->function, outcome->end);
  if (outcome->end != WP_TASK_REPLIED) return;
  CHECK(outcome->reply_code == 0 && outcome->stop == WP_STOP_NONE, "code %u", outcome->reply_code);
  size_t expected = job->function == DO_SCRIBBLE ? 0 : job->function == DO_INCREMENT ? 8 : job->length;
  CHECK(outcome->length == expected, "%zu bytes, not %zu", outcome->length, expected);
  if (outcome->length != expected || expected == 0) return;
  const unsigned char *bytes = (const unsigned char *)outcome->bytes;
  static const unsigned char filling = 0xA5;
  size_t wrong = 0;
  if (job->function == DO_ECHO) wrong = count_unequal(bytes, expected, self->argument, 1);
  else if (job->function == DO_FILL) wrong = count_unequal(bytes, expected, &filling, 0);
  else wrong = *(const uint64_t *)outcome->bytes != job->number + 1;
  CHECK(wrong == 0, "%zu of %zu bytes of function %u are wrong", wrong, expected, job->function);
}

/// Reads all that the outcome says can be read.
static unsigned touch(const wp_task_outcome *outcome) {
  unsigned sum = 0;
  const unsigned char *bytes = (const unsigned char *)outcome->bytes;
  for (size_t i = 0; outcome->end == WP_TASK_REPLIED && i < outcome->length; i++) sum += bytes[i];
  const unsigned char *buffer = (const unsigned char *)outcome->buffer;
  for (size_t i = 0; i < outcome->buffer_length; i += 512) sum += buffer[i];
  if (outcome->buffer_length > 0) sum += buffer[outcome->buffer_length - 1];
  return sum;
}

static void on_completed(void *context, void *token, const wp_task_outcome *outcome) {
  hostile_host *self = (hostile_host *)context;
  hostile_job *job = &self->jobs[(uintptr_t)token % JOBS];
  uint32_t generation = (uint32_t)((uintptr_t)token / JOBS);
  CHECK(atomic_load(&job->generation) == generation, "a task ended twice");
  if (outcome->worker_pid == self->neighbour) {
    check_neighbour(self, job, outcome);
    atomic_fetch_add(&self->by_neighbour, 1);
  }
  static _Atomic unsigned sink;
  atomic_fetch_add(&sink, touch(outcome));
  wp_process_loan *loan = generation % 8 == 0 ? wp_process_pool_lend(outcome) : NULL;
  if (loan != NULL) wp_process_loan_release(loan);
  atomic_fetch_add(&self->ends[outcome->end], 1);
  uint32_t before = atomic_exchange(&job->word, ENDED);
  CHECK(before == PENDING, "a task ended twice");
  wp_word_wake_all(&job->word);
}

// MARK: Tasks

/// Fills the job for its next task, and returns how many bytes of `argument` that takes.
static size_t choose(hostile_host *self, hostile_job *job, unsigned *seed, hostile_task *task) {
  unsigned choice = (unsigned)rand_r(seed);
  job->length = choice / 16 % 4 == 0 ? choice / 64 % (HOSTILE_MAX_PAYLOAD / 2) : choice / 64 % 300;
  job->number = job->length;
  switch (choice % 8) {
  case 0: case 1: job->function = DO_INCREMENT; return sizeof job->number;
  case 2: case 3: job->function = DO_FILL; return sizeof job->number;
  case 4: job->function = DO_ECHO; return job->length;
  default: break;
  }
  job->function = DO_SCRIBBLE;
  task->seed = choice;
  task->memory = wp_shared_memory_id(self->memory);
  task->way = (hostile_way)(choice / 16 % HOSTILE_WAYS);
  return sizeof *task;
}

static void submit(hostile_host *self, size_t index, unsigned *seed) {
  hostile_job *job = &self->jobs[index];
  hostile_task task;
  memset(&task, 0, sizeof task);
  size_t length = choose(self, job, seed, &task);
  const void *bytes = job->function == DO_SCRIBBLE ? (const void *)&task
                      : job->function == DO_ECHO   ? (const void *)self->argument
                                                   : (const void *)&job->number;
  atomic_store(&job->word, PENDING);
  uint32_t generation = atomic_fetch_add(&job->generation, 1) + 1;
  wp_process_submission submission = lab_submission(0, job->function, bytes, length);
  submission.token = (void *)((uintptr_t)generation * JOBS + index);
  submission.shared = &self->memory;
  submission.shared_count = job->function == DO_SCRIBBLE;
  // A worker that claims to be at work, or does not wake up, is as good as one that hangs. The others have long enough.
  wp_task_options options = {.timeout_ns = job->function == DO_SCRIBBLE ? 50000000u : 2000000000u};
  submission.options = &options;
  wp_status status = wp_process_pool_submit(self->pool, &submission, NULL);
  CHECK(status == WP_OK, "submit: %s", wp_status_name(status));
  if (status != WP_OK) exit(1);
}

static void await(hostile_host *self, hostile_job *job) {
  if (self->driven) wp_process_pool_spin(self->pool, &job->word, ENDED);
  while (atomic_load(&job->word) == PENDING) {
    if (self->driven) wp_process_pool_sleep(self->pool, &job->word, ENDED, UINT64_MAX);
    if (atomic_load(&job->word) == PENDING) wp_word_wait(&job->word, PENDING, UINT64_MAX);
  }
}

typedef struct hostile_submitter {
  hostile_host *host;
  size_t first;
} hostile_submitter;

static bool is_enough(hostile_host *self) {
  return scribbled(self) >= SCRIBBLES && atomic_load(&self->ends[WP_TASK_WORKER_DIED]) >= DEATHS;
}

static void *submit_all(void *argument) {
  hostile_submitter *self = (hostile_submitter *)argument;
  unsigned seed = (unsigned)self->first + 1;
  while (!is_enough(self->host)) {
    for (size_t i = self->first; i < self->first + AT_ONCE; i++) submit(self->host, i, &seed);
    for (size_t i = self->first; i < self->first + AT_ONCE; i++) await(self->host, &self->host->jobs[i]);
  }
  return NULL;
}

// MARK: The scenarios

static void open_host(hostile_host *self, wp_start_method method, bool driven) {
  memset(self, 0, sizeof *self);
  self->driven = driven;
  self->argument = (unsigned char *)malloc(HOSTILE_MAX_PAYLOAD);
  for (size_t i = 0; i < HOSTILE_MAX_PAYLOAD; i++) self->argument[i] = (unsigned char)(i % 251);
  CHECK(wp_shared_memory_create(4096, true, NULL, &self->memory, NULL, NULL) == WP_OK, "shared memory");
  wp_process_pool_config config = lab_config(NULL, HOSTILE_WORKERS, method);
  config.prefetch = HOSTILE_PREFETCH;
  config.max_payload = HOSTILE_MAX_PAYLOAD;
  config.hooks.context = self;
  config.hooks.completed = on_completed;
  config.hooks.destroy = NULL;
  CHECK(wp_process_pool_create(&config, &self->pool, NULL) == WP_OK, "create");
  int32_t pids[HOSTILE_WORKERS] = {0};
  CHECK(wp_process_pool_worker_pids(self->pool, pids, HOSTILE_WORKERS) == HOSTILE_WORKERS, "live workers");
  self->neighbour = pids[1 - HOSTILE_INDEX];
}

static void close_host(hostile_host *self) {
  int32_t pids[HOSTILE_WORKERS] = {0};
  wp_process_pool_worker_pids(self->pool, pids, HOSTILE_WORKERS);
  CHECK(pids[0] == self->neighbour || pids[1] == self->neighbour, "the worker that behaves is gone");
  wp_process_pool_close(self->pool);
  CHECK(wp_process_pool_join(self->pool) == WP_OK, "join");
  CHECK(wp_process_pool_breakage(self->pool) == NULL, "the pool broke");
  wp_process_pool_release(self->pool);
  wp_shared_memory_destroy(self->memory);
  free(self->argument);
}

static void run_hostile(wp_start_method method, bool driven) {
  alarm(120);
  static hostile_host self;
  leftovers before = count_leftovers();
  open_host(&self, method, driven);
  pthread_t threads[SUBMITTERS];
  hostile_submitter submitters[SUBMITTERS];
  for (size_t i = 0; i < SUBMITTERS; i++) {
    submitters[i] = (hostile_submitter){&self, i * AT_ONCE};
    pthread_create(&threads[i], NULL, submit_all, &submitters[i]);
  }
  for (size_t i = 0; i < SUBMITTERS; i++) pthread_join(threads[i], NULL);
  uint32_t submitted = 0;
  for (size_t i = 0; i < JOBS; i++) submitted += atomic_load(&self.jobs[i].generation);
  uint32_t ended = 0;
  for (size_t i = 0; i <= WP_TASK_NO_MEMORY; i++) ended += atomic_load(&self.ends[i]);
  CHECK(ended == submitted, "%u tasks ended of %u", ended, submitted);
  CHECK(atomic_load(&self.ends[WP_TASK_POOL_BROKEN]) == 0, "the pool broke");
  CHECK(atomic_load(&self.by_neighbour) > 0, "the worker that behaves got nothing to do");
  printf("%lu scribbles, %u tasks, %u by the other worker; %u replied, %u died, %u were too large, %u timed out\n",
         (unsigned long)scribbled(&self), submitted, atomic_load(&self.by_neighbour),
         atomic_load(&self.ends[WP_TASK_REPLIED]), atomic_load(&self.ends[WP_TASK_WORKER_DIED]),
         atomic_load(&self.ends[WP_TASK_REPLY_TOO_LARGE]), atomic_load(&self.ends[WP_TASK_TIMED_OUT]));
  close_host(&self);
  check_leftovers(before, "after a hostile worker");
}

void hostile(wp_start_method method) { run_hostile(method, false); }

void hostile_driven(wp_start_method method) { run_hostile(method, true); }
